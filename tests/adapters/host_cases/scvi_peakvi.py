"""scvi-tools: PEAKVI, whose loss weighs the KL by 1 / batch."""

from typing import Any

from scvi.model import PEAKVI
from scvi_small import DIMENSIONS, case, cells

from lambda_vae.integrations.scvi import diagnose_scvi, equalize_scvi


def make(**options: Any) -> PEAKVI:
    made = cells()
    made.X = (made.X > 1).astype("float32")
    PEAKVI.setup_anndata(made)
    return PEAKVI(made, n_hidden=16, n_latent=DIMENSIONS, **options)


CASE = case(
    make,
    {
        "latent_distribution is 'ln'": lambda: equalize_scvi(make(latent_distribution="ln"), 1.1),
        "indices is 'unseen'": lambda: diagnose_scvi(make(), indices="unseen"),
    },
)
