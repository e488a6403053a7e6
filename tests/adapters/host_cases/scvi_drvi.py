"""drvi-py: DRVI, which is built on scvi-tools."""

from typing import Any

import pytest
from scvi_small import DIMENSIONS, case, cells

from lambda_vae.integrations.scvi import diagnose_scvi, equalize_scvi

model = pytest.importorskip("drvi.model", reason="drvi-py is not installed")


def make(**options: Any) -> Any:
    made = cells()
    model.DRVI.setup_anndata(made, is_count_data=True)
    return model.DRVI(made, n_latent=DIMENSIONS, encoder_dims=[16], decoder_dims=[16], **options)


class Derived(model.DRVI):
    """Somebody's own."""


CASE = case(
    make,
    {
        "Derived cannot be equalized: it inherits from DRVI": lambda: equalize_scvi(object.__new__(Derived), 1.1),
        "indices is 'unseen'": lambda: diagnose_scvi(make(), indices="unseen"),
    },
)
