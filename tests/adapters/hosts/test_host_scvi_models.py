"""scvi's other models, and which cells are measured: every number beside scvi's own."""

import logging

import numpy as np
import pytest
import torch

pytest.importorskip("scvi", reason="scvi-tools is not installed")

import anndata
import scvi
from scvi.model import PEAKVI, SCVI
from torch.distributions import Normal, kl_divergence

from lambda_vae.errors import InputError
from lambda_vae.integrations.scvi import CollapseCallback, diagnose_scvi, equalize_scvi

pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:scvi"),
    pytest.mark.filterwarnings("ignore::UserWarning:lightning"),
    pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning"),  # of pandas 3
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "")
    for name in ("lightning.pytorch", "lightning.fabric.utilities.seed", "scvi"):
        logging.getLogger(name).setLevel(logging.ERROR)
    yield
    scvi.settings.seed = None


@pytest.fixture(scope="module")
def cells():
    """200 cells of four factors and 30 regions that are open or not; as counts they are cells of genes, too."""
    chance = np.random.RandomState(0)
    shares = 1 / (1 + np.exp(-(chance.randn(200, 4) @ chance.randn(4, 30))))
    made = anndata.AnnData((chance.rand(200, 30) < shares).astype(np.float32))
    made.obs["batch"] = [str(i % 2) for i in range(200)]
    made.obs["depth"] = chance.normal(size=200).astype(np.float32)
    return made


def train(model, epochs=2, callbacks=(), **settings):
    scvi.settings.seed = 3
    model.train(max_epochs=epochs, accelerator="cpu", enable_progress_bar=False, callbacks=list(callbacks), **settings)
    return model


def peaks(cells, epochs=2, keys=None, **options):
    PEAKVI.setup_anndata(cells, **(keys or {}))
    torch.manual_seed(0)
    model = PEAKVI(cells, **({"n_latent": 4, "n_hidden": 8} | options))
    return train(model, epochs) if epochs else model


OPTIONS = {
    "plain": {},
    "covariates": {
        "keys": {"batch_key": "batch", "continuous_covariate_keys": ["depth"]},
        "encode_covariates": True,
    },
    "no factors": {"model_depth": False, "region_factors": False},
    "logistic normal": {"latent_distribution": "ln"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_bound_of_peakvi_is_minus_scvis_own_elbo(cells, name):
    model = peaks(cells, **OPTIONS[name])
    report = diagnose_scvi(model, indices="all", iw_samples=64)
    draws = np.array([float(model.get_elbo()) for _ in range(16)])
    error = 5.0 * draws.std() * (1 / 16 + 1 / 64) ** 0.5
    assert report.nll_bound == pytest.approx(-draws.mean(), abs=error + 1e-3)
    mean, variance = model.get_latent_representation(return_dist=True) if name != "logistic normal" else (None, None)
    if mean is not None:
        q = Normal(torch.as_tensor(mean), torch.as_tensor(variance).sqrt())
        kl = kl_divergence(q, Normal(0.0, 1.0)).mean(0)
        assert torch.allclose(report.kl.float(), kl.float(), rtol=1e-3, atol=1e-5)


def test_peakvis_own_loss_weighs_the_kl_by_one_over_its_batch(cells):
    model = peaks(cells, epochs=0)
    module = model.module.eval()
    for size in (1, 50, 200):
        tensors = next(iter(model._make_data_loader(cells, batch_size=size)))
        with torch.no_grad():
            lost = module(tensors)[2]
        reconstruction, kl = (
            sum(part.sum() for part in parts.values()) for parts in (lost.reconstruction_loss, lost.kl_local)
        )
        assert float(lost.loss) == pytest.approx(size * float(reconstruction + kl / size), rel=1e-4)


def test_causes_of_peakvi_are_judged_by_the_weight_that_its_loss_has(cells):
    model, callback = peaks(cells, epochs=0), CollapseCallback(every=1)
    train(model, epochs=3, callbacks=[callback], batch_size=60, n_epochs_kl_warmup=None, early_stopping=False)
    assert callback.history["kl_weight"] == pytest.approx([1 / 60] * 3)
    report = diagnose_scvi(model, history=callback.history, iw_samples=2)
    assert "weighs the KL by 1/60, its batch size" in str(report)
    assert "KL weight of 0.0167" in str(report)


def test_peakvi_is_equalized_and_at_delta_infinite_it_is_scvis_own(cells):
    plain, model = peaks(cells, epochs=0), peaks(cells, epochs=0)
    equalize_scvi(model, delta=float("inf"), refresh_every=1)
    train(plain)
    train(model)
    states = plain.module.state_dict(), model.module.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))
    narrow = peaks(cells, epochs=0)
    equalizer = equalize_scvi(narrow, delta=1.01, refresh_every=1)
    train(narrow)
    assert bool((equalizer.exponent > 1.0).all())
    assert diagnose_scvi(narrow, iw_samples=2).excess_kl > 0.0


def genes(cells, kind=SCVI, **options):
    kind.setup_anndata(cells, batch_key="batch")
    torch.manual_seed(0)
    return kind(cells, n_hidden=8, n_latent=3, gene_likelihood="nb", **options)


def test_unseen_cells_are_measured_where_there_are_any_and_the_report_says_which(cells, tmp_path):
    model = train(genes(cells), train_size=0.8)
    report = diagnose_scvi(model, iw_samples=64)
    assert report.examples == len(model.validation_indices) == 40
    assert any("40 cells that the model was not trained on" in note for note in report.notes)
    own = [-float(model.get_elbo(indices=model.validation_indices)) for _ in range(16)]
    assert report.nll_bound == pytest.approx(np.mean(own), abs=5.0 * np.std(own) * (1 / 16 + 1 / 64) ** 0.5 + 1e-3)
    every = diagnose_scvi(model, indices="all", iw_samples=2)
    assert every.examples == 200
    assert any("those that the model was trained on among them" in note for note in every.notes)
    assert diagnose_scvi(model, indices=[1, 2, 3], iw_samples=2).examples == 3
    assert diagnose_scvi(model, cells.copy(), iw_samples=2).examples == 200
    model.save(str(tmp_path / "saved"))
    loaded = SCVI.load(str(tmp_path / "saved"), adata=cells, accelerator="cpu")
    assert diagnose_scvi(loaded, iw_samples=2).examples == 40
    others = SCVI.load(str(tmp_path / "saved"), adata=cells[:150].copy(), accelerator="cpu")
    report = diagnose_scvi(others, iw_samples=2)
    assert report.examples == 150
    assert any("validation_indices are of other cells" in note for note in report.notes)
    seen = train(genes(cells), train_size=1.0)
    assert any("no validation_indices" in note for note in diagnose_scvi(seen, iw_samples=2).notes)
    with pytest.raises(InputError, match="indices is 'validation'; give the numbers of cells, or 'all'"):
        diagnose_scvi(model, indices="validation")


def test_a_training_too_short_to_log_its_kl_weight_is_not_taken_for_one_at_full_weight(cells):
    model = train(genes(cells), epochs=4)
    assert "kl_weight" not in model.history
    assert any("KL weight of 0.01" in note for note in diagnose_scvi(model, iw_samples=2).notes)


class Joint(SCVI):
    """Somebody's own."""


def test_a_class_that_inherits_is_refused_by_name(cells):
    model = genes(cells, Joint)
    with pytest.raises(InputError, match="Joint cannot be diagnosed: it inherits from SCVI, and what it changes"):
        diagnose_scvi(model)
    with pytest.raises(InputError, match="Joint cannot be equalized: it inherits from SCVI"):
        equalize_scvi(model, 1.1)


def test_a_loss_that_holds_something_else_is_refused(cells):
    model = train(genes(cells), epochs=1)
    loss = model.module.loss

    def changed(*given, **named):
        lost = loss(*given, **named)
        lost.kl_local["more"] = torch.full_like(next(iter(lost.kl_local.values())), 3.0)
        return lost

    model.module.loss = changed
    with pytest.raises(InputError, match=r"the own loss of VAE is .* nats a cell where .* holds something else"):
        diagnose_scvi(model, iw_samples=2)


def test_drvi_is_measured_and_equalized_as_scvis_own(cells):
    model_of = pytest.importorskip("drvi.model", reason="drvi-py is not installed").DRVI
    model_of.setup_anndata(cells, is_count_data=True)
    torch.manual_seed(0)
    model = model_of(cells, n_latent=4, encoder_dims=[8], decoder_dims=[8])
    equalizer = equalize_scvi(model, delta=1.01, refresh_every=1)
    train(model, plan_kwargs={"n_epochs_kl_warmup": None})
    assert bool((equalizer.exponent > 1.0).all())
    report = diagnose_scvi(model, indices="all", equalizer=None, iw_samples=64)
    draws = np.array([float(model.get_elbo()) for _ in range(16)])
    assert report.nll_bound == pytest.approx(-draws.mean(), abs=5.0 * draws.std() * (1 / 16 + 1 / 64) ** 0.5 + 1e-3)
