"""PEAKVI of scvi-tools on what is open or not of blood cells' genes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from blood import DATA, blood, found, trained
from package import Found, Package

GENES = 765

EPOCHS, RELEASE = 500, 167


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise.
        kind: Of the remedy.
        setting: Its own.
    """
    import scvi

    cells = blood(GENES)
    cells.X = (cells.X > 0).astype(np.float32)
    scvi.settings.seed = seed
    scvi.model.PEAKVI.setup_anndata(cells)
    ends = {**setting}
    lambdas = {name: ends.pop(name) for name in ("delta", "release_epochs") if name in ends}
    model = trained(lambda **given: scvi.model.PEAKVI(cells, **given), kind, lambdas, epochs=EPOCHS, **ends)
    return found(model, cells.obs.bulk_labels.to_numpy())


PACKAGE = Package(
    title="scvi-tools PEAKVI",
    package="scvi-tools",
    requires=("scvi-tools==1.4.2", "scanpy==1.11.5"),
    users="single-cell genomics",
    data=DATA.format(genes=f"{GENES} genes, as present or not, in the place of regions that are open or not"),
    latent_dim=5,
    loss="Bernoulli; KL weight 1/128, 1 over its batch size, after a warm-up over 50 epochs",
    metric="kNN accuracy",
    more=True,
    remedies={
        "default": ({},),
        "own knob": ({"lr": 1e-3},),
        "KL warm-up": ({"n_epochs_kl_warmup": EPOCHS - RELEASE},),
        "lambda released": ({"delta": 1.05, "release_epochs": RELEASE},),
    },
    run=run,
    diagnose="print(diagnose_scvi(model))",
    equalize="equalize_scvi(model, delta=1.05, total_epochs=500, release_epochs=167)",
)
