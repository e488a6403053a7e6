"""disent's BetaVae with its defaults on its own XYObjectData, of a quarter of the width."""

from collections.abc import Mapping
from typing import Any

from package import Found, Package


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train on 4,800 images; half of the others chooses a setting, half reports.

    Args:
        seed: Of it.
        kind: Of the remedy.
        setting: Its own.
    """
    from disent_training import run  # imports the package

    return run(seed, kind, setting)


PACKAGE = Package(
    title="disent BetaVae",
    package="disent",
    requires=("disent==0.9.3", "lightning==2.6.6"),
    python="3.12",
    users="disentanglement research",
    data="its XYObjectData, 12,168 colour images of 16 x 16, a quarter of its width; EncoderFC, 450 steps of 32",
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
