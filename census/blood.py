"""The blood cells of scanpy, and what single-cell people look at in a latent space of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from package import DEFAULT, Found

DATA = (
    "pbmc68k_reduced of scanpy 1.11.5's wheel (10x Genomics' PBMC): 700 cells in 10 types, counts of the {genes}; "
    "420 cells train, 140 validation, 140 test"
)
SPLIT = {"train_size": 0.6, "validation_size": 0.2, "accelerator": "cpu", "enable_progress_bar": False}
EPOCHS, RELEASE, DRAWS = 400, 133, 16


def blood(genes: int) -> Any:
    """Return the cells with the counts of the genes that vary most, and the types of the cells.

    scanpy keeps ln(1 + 10,000 x share of all counts) and each cell's total: counts come back within 0.1.

    Args:
        genes: How many, at most 765.
    """
    import anndata
    import scanpy

    cells = scanpy.datasets.pbmc68k_reduced()
    counts = (np.expm1(cells.raw.X.toarray()) * cells.obs.n_counts.to_numpy()[:, None] / 1e4).round()
    most = np.sort(np.argsort(-counts.var(0))[:genes])
    return anndata.AnnData(counts[:, most].astype(np.float32), obs=cells.obs[["bulk_labels"]].copy())


def told_apart(codes: np.ndarray, types: np.ndarray, train: Any, unseen: Any) -> dict[str, float]:
    """Return how well cell types of unseen cells are told by a latent space, as scib and its likes ask.

    Args:
        codes: Of all cells.
        types: Likewise.
        train: Indices of the cells that were trained on.
        unseen: Of those that are asked about.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, silhouette_score
    from sklearn.neighbors import KNeighborsClassifier

    nearest = KNeighborsClassifier(15).fit(codes[train], types[train])
    clusters = KMeans(len(set(types)), n_init=10, random_state=0).fit(codes[train])
    return {
        "kNN accuracy": float(nearest.score(codes[unseen], types[unseen])),
        "ARI of k-means": float(adjusted_rand_score(types[unseen], clusters.predict(codes[unseen]))),
        "silhouette": float(silhouette_score(codes[unseen], types[unseen])),
    }


def trained(make: Any, kind: str, setting: Mapping[str, Any], epochs: int = EPOCHS, **train: Any) -> Any:
    """Return scvi's model after its training, with lambda where the setting has a delta.

    Args:
        make: Of the model, from n_latent where the setting has it.
        kind: Of the remedy.
        setting: delta and settings of lambda; n_latent; or settings of scvi's training plan.
        epochs: Of the training.
        train: For `model.train`, beside SPLIT.
    """
    from lambda_vae.integrations.scvi import equalize_scvi

    own = {name: value for name, value in setting.items() if name not in ("n_latent", "delta", "release_epochs")}
    model = make(**({"n_latent": setting["n_latent"]} if "n_latent" in setting else {}))
    if "delta" in setting:
        release = setting.get("release_epochs")
        ends = {} if release is None else {"total_epochs": epochs, "release_epochs": release}
        equalize_scvi(model, setting["delta"], **ends)
        own = {}
    assert kind != DEFAULT or not own
    model.train(**({"max_epochs": epochs} | SPLIT | train), plan_kwargs=own)
    return model


def found(model: Any, types: np.ndarray, more: Any = None) -> Found:
    """Return what there is to say of a trained model.

    Args:
        model: scvi's.
        types: Of all its cells.
        more: (codes, indices) -> measures of the package's own, by name.
    """
    from lambda_vae.integrations.scvi import diagnose_scvi

    codes = np.asarray(model.get_latent_representation())
    parts, reports = {}, {}
    for part in ("validation", "test"):
        unseen = getattr(model, f"{part}_indices")
        report = reports[part] = diagnose_scvi(model, indices=unseen, equalizer=None)
        elbo = np.mean([float(model.get_elbo(indices=unseen)) for _ in range(DRAWS)])
        own = {} if more is None else more(codes, unseen)
        apart = told_apart(codes, types, model.train_indices, unseen)
        parts[part] = {**own, **apart, "own ELBO": float(elbo), "bound": report.nll_bound, "nll_iw": report.nll_iw}
    return Found(report=reports["test"], validation=parts["validation"], test=parts["test"], modules=(model.module,))
