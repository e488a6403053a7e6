"""scvi-tools: SCVI."""

from typing import Any

from scvi.model import SCVI, TOTALVI
from scvi_small import DIMENSIONS, case, cells

from lambda_vae.integrations.scvi import diagnose_scvi, equalize_scvi


def make(**options: Any) -> SCVI:
    made = cells()
    SCVI.setup_anndata(made)
    return SCVI(made, n_hidden=16, n_latent=DIMENSIONS, **options)


CASE = case(
    make,
    {
        "latent_distribution is 'ln'": lambda: equalize_scvi(make(latent_distribution="ln"), 1.1),
        "TOTALVI cannot be equalized": lambda: equalize_scvi(object.__new__(TOTALVI), 1.1),
        "dict cannot be diagnosed": lambda: diagnose_scvi({}),
        "delta is 0.5": lambda: equalize_scvi(make(), 0.5),
        "indices is 'unseen'": lambda: diagnose_scvi(make(), indices="unseen"),
    },
)
