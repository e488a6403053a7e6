"""disent's BetaVae with its defaults on its own XYObjectData, of a quarter of the width."""

import warnings
from collections.abc import Mapping
from functools import cache
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
from torch import Tensor
from torch.utils.data import DataLoader

from lambda_vae.integrations.disent import diagnose_disent, equalize_disent
from package import Found

#: lambda's epochs are of 15 steps, for Lightning's, of 150, are few.
EPOCHS, RELEASE, STEPS = 3, 10, 15
TOTAL = EPOCHS * 150 // STEPS


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train on 4,800 images; half of the others chooses a setting, half reports.

    Args:
        seed: Of the weights, the batches and the draws.
        kind: Of the remedy.
        setting: beta or delta.
    """
    warnings.filterwarnings("ignore")
    images, factors = _data()
    order = np.random.RandomState(0).permutation(len(images))
    train, validation, test = order[:4800], order[4800:8484], order[8484:]
    x_shape = tuple(images.shape[1:])
    framework = BetaVae(
        AutoEncoder(EncoderFC(x_shape, z_size=10, z_multiplier=2), DecoderFC(x_shape, z_size=10)),
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
    batches = [{"x_targ": (image,)} for image in images[train]]  # as a DisentDataset gives them
    trainer.fit(framework, DataLoader(batches, batch_size=32, shuffle=True))
    framework.eval()
    equalizer = callbacks[0].equalizer if callbacks else None
    reports = {
        part: diagnose_disent(framework, images[rows[:1000]], equalizer=equalizer, iw_samples=samples)
        for part, rows, samples in (("v", validation, 1), ("t", test, 16))
    }
    measured = {
        part: _measured(framework, images, factors, train[:2000], rows)
        for part, rows in (("v", validation), ("t", test))
    }
    return Found(
        reports["t"],
        {**measured["v"], "bound": reports["v"].nll_bound},
        {**measured["t"], "bound": reports["t"].nll_bound, "nll_iw": reports["t"].nll_iw},
        (framework._model,),
    )


@cache
def _data() -> tuple[Tensor, Any]:
    """All images [N, 3, 16, 16], and their four factors [N, 4]."""
    data = XYObjectData(grid_size=16, grid_spacing=1, min_square_size=2, max_square_size=4, square_size_spacing=1)
    dataset = DisentDataset(data, transform=ToImgTensorF32())
    return torch.stack([row["x_targ"][0] for row in dataset]), np.stack([data.idx_to_pos(i) for i in range(len(data))])


def _measured(framework: BetaVae, images: Tensor, factors: Any, train: Any, rows: Any) -> dict[str, float]:
    """The package's own scores, of the codes of given images rather than of any that its sampler draws."""
    with torch.no_grad():
        codes = [framework.encode(images[part]) for part in (train, rows)]
        error = float((framework.decode(codes[1]) - images[rows]).square().mean())
    mus, truth = [one.numpy().T for one in codes], [factors[part].T for part in (train, rows)]
    return {
        "MIG": float(_compute_mig(mus[1], truth[1])["mig.discrete_score"]),
        "SAP": float(_compute_sap(mus[0], truth[0], mus[1], truth[1], False)["sap.score"]),
        "reconstruction MSE": error,
    }
