"""SCVI of scvi-tools on blood cells."""

from collections.abc import Mapping
from typing import Any

from blood import DATA, EPOCHS, RELEASE, blood, found, trained
from package import Found, Package

GENES = 100


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise.
        kind: Of the remedy.
        setting: Its own.
    """
    import scvi

    cells = blood(GENES)
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(cells)
    model = trained(lambda **given: scvi.model.SCVI(cells, **given), kind, setting)
    return found(model, cells.obs.bulk_labels.to_numpy())


PACKAGE = Package(
    title="scvi-tools SCVI",
    package="scvi-tools",
    requires=("scvi-tools==1.4.2", "scanpy==1.11.5"),
    users="single-cell genomics",
    data=DATA.format(genes=f"{GENES} genes that vary most"),
    latent_dim=10,
    loss="zero-inflated negative binomial counts, their dispersion learned; KL weight rising to 1 over 400 epochs",
    metric="kNN accuracy",
    more=True,
    remedies={
        "default": ({},),
        "own knob": ({"max_kl_weight": 0.5}, {"n_latent": 30}, {"n_latent": 30, "n_epochs_kl_warmup": None}),
        "KL warm-up": ({"n_epochs_kl_warmup": EPOCHS - RELEASE},),
        "lambda released": ({"delta": 1.05, "release_epochs": RELEASE}, {"delta": 1.2, "release_epochs": RELEASE}),
        "lambda": ({"delta": 1.05},),
    },
    run=run,
    diagnose="print(diagnose_scvi(model))",
    equalize="equalize_scvi(model, delta=1.05, total_epochs=400, release_epochs=133)",
)
