"""disent's BetaVae with its defaults on its own XYObjectData, of a quarter of the width."""

import warnings
from collections.abc import Mapping
from typing import Any

import lightning
import numpy as np
import torch
from disent.dataset import DisentDataset
from disent.dataset.data import XYObjectData
from disent.dataset.transform import ToImgTensorF32
from disent.frameworks.vae import BetaVae
from disent.metrics._mig import _compute_mig
from disent.metrics._sap import _compute_sap
from disent.model import AutoEncoder
from disent.model.ae import DecoderFC, EncoderFC
from disent.schedule import LinearSchedule
from torch.utils.data import DataLoader, Subset

from lambda_vae.adapters.hosts.disent import diagnose_disent, equalize_disent
from package import Found, Package

#: lambda's epochs are of 15 steps, for Lightning's, of 150, are few.
EPOCHS, RELEASE, STEPS = 3, 10, 15
TOTAL = EPOCHS * 150 // STEPS


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train on 9,600 images; 1,284 choose a setting, 1,284 report.

    Args:
        seed: Of the weights, the batches and the draws.
        kind: Of the remedy.
        setting: beta or delta.
    """
    warnings.filterwarnings("ignore")
    data = XYObjectData(grid_size=16, grid_spacing=1, min_square_size=2, max_square_size=4, square_size_spacing=1)
    dataset = DisentDataset(data, transform=ToImgTensorF32())
    order = np.random.RandomState(0).permutation(len(data))
    train, validation, test = order[:9600], order[9600:10884], order[10884:]
    framework = BetaVae(
        AutoEncoder(
            EncoderFC(x_shape=data.x_shape, z_size=10, z_multiplier=2), DecoderFC(x_shape=data.x_shape, z_size=10)
        ),
        BetaVae.cfg(beta=setting.get("beta", 0.003)),
    )
    if kind == "KL warm-up":
        framework.register_schedule("beta", LinearSchedule(0, setting["steps"]), logging=False)
    callbacks = []
    if "delta" in setting:
        release = {"release_epochs": RELEASE, "total_epochs": TOTAL} if kind == "lambda released" else {}
        callbacks = [equalize_disent(framework, setting["delta"], steps_per_epoch=STEPS, **release)]
    trainer = lightning.Trainer(
        max_epochs=EPOCHS,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=callbacks,
    )
    batches = DataLoader(
        Subset(dataset, train), batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(seed)
    )
    trainer.fit(framework, batches)
    framework.eval()
    equalizer = callbacks[0].equalizer if callbacks else None
    reports = {}
    for part, rows in (("v", validation), ("t", test)):
        images = torch.stack([dataset[int(row)]["x_targ"][0] for row in rows])
        reports[part] = diagnose_disent(framework, images, equalizer=equalizer, iw_samples=16 if part == "t" else 1)
    measured = {part: _measured(framework, dataset, train, rows) for part, rows in (("v", validation), ("t", test))}
    bounds = {part: report.nll_bound for part, report in reports.items()}
    return Found(
        reports["t"],
        {**measured["v"], "bound": bounds["v"]},
        {**measured["t"], "bound": bounds["t"], "nll_iw": reports["t"].nll_iw},
        (framework._model,),
    )


def _measured(framework: BetaVae, dataset: DisentDataset, train: Any, rows: Any) -> dict[str, float]:
    """The package's own scores, of the codes of given images rather than of any that its sampler draws."""
    codes, factors, errors = [], [], []
    for part in (train[:2000], rows):
        images = torch.stack([dataset[int(row)]["x_targ"][0] for row in part])
        with torch.no_grad():
            codes.append(framework.encode(images))
            errors.append(float((framework.decode(codes[-1]) - images).square().mean()))
        factors.append(np.stack([dataset.gt_data.idx_to_pos(int(row)) for row in part]).T)
    mus = [one.numpy().T for one in codes]
    return {
        "MIG": float(_compute_mig(mus[1], factors[1])["mig.discrete_score"]),
        "SAP": float(_compute_sap(mus[0], factors[0], mus[1], factors[1], False)["sap.score"]),
        "reconstruction MSE": errors[1],
    }


PACKAGE = Package(
    title="disent BetaVae",
    package="disent",
    requires=("disent==0.9.3", "lightning==2.6.6"),
    python="3.12",
    users="disentanglement research",
    data="its XYObjectData, 12,168 colour images of 16 x 16, a quarter of its default width; EncoderFC, 450 steps",
    latent_dim=10,
    loss="squared error, mean over F = 768, + 0.003 times the KL's mean over D = 10: noise variance 0.003 F / (2 D), "
    "noise 0.34 (8 directions of the data have a larger standard deviation, up to 0.47)",
    metric="MIG",
    more=True,
    remedies={
        "default": ({},),
        "own knob": ({"beta": 0.001}, {"beta": 0.0003}),
        "KL warm-up": ({"steps": 300},),
        "lambda released": ({"delta": 1.2},),
        "lambda": ({"delta": 1.2},),
    },
    run=run,
    diagnose="report = diagnose_disent(framework, dataset)",
    equalize="Trainer(callbacks=[equalize_disent(framework, 1.2, steps_per_epoch=15, release_epochs=10)])",
)
