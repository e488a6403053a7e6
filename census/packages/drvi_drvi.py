"""DRVI of drvi-py on blood cells."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from blood import DATA, EPOCHS, RELEASE, blood, found, trained
from package import Found, Package

GENES = 100

#: Cells of a type, below which it is not asked about: drvi's measure of neighbours divides by this less 1.
FEWEST = 5


def disentangled(codes: np.ndarray, types: Any) -> dict[str, float]:
    """Return drvi's own measures: dimensions that it does not call vanished, and how far each tells one cell type.

    Args:
        codes: Of some cells.
        types: Likewise.
    """
    from drvi.utils.metrics import DiscreteDisentanglementBenchmark

    types = types.reset_index(drop=True)
    usual = types.isin([name for name, count in types.value_counts().items() if count >= FEWEST]).to_numpy()
    benchmark = DiscreteDisentanglementBenchmark(codes[usual], types[usual].astype(str).reset_index(drop=True))
    benchmark.evaluate()
    return {name: float(value) for name, value in benchmark.get_results().items()}


def run(seed: int, kind: str, setting: Mapping[str, Any]) -> Found:
    """Train, and measure.

    Args:
        seed: Of the split, of the weights and of the noise.
        kind: Of the remedy.
        setting: Its own.
    """
    import anndata
    import scvi
    from drvi.model import DRVI

    cells = blood(GENES)
    scvi.settings.seed = seed
    DRVI.setup_anndata(cells, is_count_data=True)
    model = trained(lambda **given: DRVI(cells, **given), kind, setting)
    embed = anndata.AnnData(model.get_latent_representation())
    model.set_latent_dimension_stats(embed)
    kept = float((~embed.var["vanished"]).sum())

    def own(codes: np.ndarray, indices: Any) -> dict[str, float]:
        return {**disentangled(codes[indices], cells.obs.bulk_labels.iloc[indices]), "not vanished": kept}

    return found(model, cells.obs.bulk_labels.to_numpy(), own)


PACKAGE = Package(
    title="drvi-py DRVI",
    package="drvi-py",
    requires=("scvi-tools==1.4.2", "scanpy==1.11.5"),
    no_deps=("drvi-py==0.2.8",),
    users="single-cell genomics",
    data=DATA.format(genes=f"{GENES} genes that vary most"),
    latent_dim=32,
    loss="negative binomial counts, their dispersion learned; KL weight rising to 1 over 400 epochs",
    metric="LMS-SMI",
    more=True,
    remedies={
        "default": ({},),
        "own knob": ({"max_kl_weight": 0.5},),
        "KL warm-up": ({"n_epochs_kl_warmup": EPOCHS - RELEASE},),
        "lambda released": ({"delta": 1.05, "release_epochs": RELEASE}, {"delta": 1.2, "release_epochs": RELEASE}),
    },
    run=run,
    diagnose="print(diagnose_scvi(model))",
    equalize="equalize_scvi(model, delta=1.05, total_epochs=400, release_epochs=133)",
)
