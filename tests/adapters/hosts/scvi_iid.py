"""scvi's own synthetic cells, and how a model of them is made and trained without a word."""

import logging

import numpy as np
import pytest
import torch

pytest.importorskip("scvi", reason="scvi-tools is not installed")

import scvi
from scvi.model import SCVI

QUIET = [
    pytest.mark.usefixtures("quiet_scvi"),
    # scvi and Lightning about themselves: few CPU workers, no validation set, a batch size that leaves a small last one
    pytest.mark.filterwarnings("ignore::UserWarning:scvi"),
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning"),  # of pandas 3
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def quiet_scvi(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "")  # scvi's seed would stay in the environment
    for name in ("lightning.pytorch", "lightning.fabric.utilities.seed", "scvi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    yield
    scvi.settings.seed = None


def synthetic():
    """scvi's own synthetic cells in two batches, with two covariates and a size factor of ours."""
    scvi.settings.seed = 0  # synthetic_iid draws from numpy's global generator
    cells = scvi.data.synthetic_iid(batch_size=60, n_genes=12, n_proteins=0, n_regions=0)
    chance = np.random.default_rng(0)
    cells.obs["donor"] = chance.choice(["a", "b", "c"], cells.n_obs)
    cells.obs["age"] = chance.normal(size=cells.n_obs).astype(np.float32)
    cells.obs["size"] = np.asarray(cells.X.sum(1)).ravel() / 100.0
    return cells


def model_of(cells, kind=SCVI, keys=None, **options):
    kind.setup_anndata(cells, **(keys or {}))
    torch.manual_seed(0)
    return kind(cells, **({"n_hidden": 16, "n_latent": 4} | options))


def train(model, epochs=4, callbacks=(), plan=None, **more):
    scvi.settings.seed = 3  # of the split into training and validation cells, too
    model.train(
        max_epochs=epochs,
        accelerator="cpu",
        enable_progress_bar=False,
        plan_kwargs={"n_epochs_kl_warmup": None, "lr": 1e-2, "eps": 1e-8} | (plan or {}),
        callbacks=list(callbacks),
        **more,
    )
    return model
