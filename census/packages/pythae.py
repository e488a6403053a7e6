"""pythae's VAE with its defaults on the digits of scikit-learn."""

from collections.abc import Mapping
from typing import Any

from package import Found, Package


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train on 1,197 digits; 300 choose a setting, 300 report.

    Args:
        seed: Of it.
        kind: Of the remedy.
        setting: Its own.
    """
    from pythae_training import run  # imports the package

    return run(seed, kind, setting)


PACKAGE = Package(
    title="pythae VAE",
    package="pythae",
    requires=("pythae==0.1.2", "scikit-learn==1.9.1"),
    users="comparisons of generative autoencoders",
    data="scikit-learn 1.9.1 `digits`, 1,797 x 64 in [0, 1]; 100 epochs, learning rate 1e-3 as in its README",
    latent_dim=10,
    loss="half the summed squared error: noise 1 (largest standard deviation of the data 0.84), KL weight 1",
    metric="Fréchet distance of samples",
    more=False,
    remedies={
        "default": ({},),
        "own knob": ({"reconstruction_loss": "bce"}, {"beta": 0.1}, {"beta": 0.03}, {"beta": 0.01}),
        "KL warm-up": ({"epochs": 67},),
        "lambda released": ({"delta": 1.05}, {"delta": 1.2}),
        "lambda": ({"delta": 1.05}, {"delta": 1.2}),
    },
    run=run,
    diagnose="report = diagnose_pythae(model, test_x)",
    equalize="equalize_pythae(model, 1.2, release_epochs=33, total_epochs=100)",
    no_bound="`bce` of grey levels is no density of them: these rows have no bound. With beta, which is a noise of its "
    "square root beside a full KL, the bound is that of this noise.",
)
