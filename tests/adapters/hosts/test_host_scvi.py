"""scvi-tools for real: SCVI measured as scvi measures it, equalized in its own training, and cured on real counts."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("scvi", reason="scvi-tools is not installed")

import anndata
import scanpy
import scvi
from adapters.hosts.scvi_iid import QUIET, model_of, quiet_scvi, synthetic, train  # noqa: F401 - a fixture
from scvi.model import SCVI, LinearSCVI
from sklearn.datasets import load_digits
from torch.distributions import Normal

from lambda_vae.equalization.theory import sampling_std
from lambda_vae.errors import InputError
from lambda_vae.integrations.scvi import CollapseCallback, diagnose_scvi, equalize_scvi

pytestmark = QUIET


@pytest.fixture(scope="module")
def blood():
    """700 blood cells (10x Genomics, in scanpy's own package): the counts of the 100 genes that vary most."""
    with warnings.catch_warnings():  # scanpy's wheel has the file in anndata's first format, of which anndata warns
        warnings.simplefilter("ignore", anndata.OldFormatWarning)
        cells = scanpy.datasets.pbmc68k_reduced()
    per_count = cells.obs.n_counts.to_numpy()[:, None] / 1e4  # scanpy keeps ln(1 + 10,000 x the share of all counts)
    counts = np.expm1(cells.raw.X.toarray()) * per_count
    assert np.abs(counts - counts.round()).max() < 0.1
    counts = counts.round().astype(np.float32)[:, np.sort(np.argsort(-counts.var(0))[:100])]
    return anndata.AnnData(counts, obs=cells.obs[["bulk_labels"]].copy())


@pytest.fixture(scope="module")
def digits():
    """Handwritten digits: 1,797 examples of 61 counts between 0 and 16, of which many things can be told."""
    pixels = load_digits().data.astype(np.float32)
    return anndata.AnnData(pixels[:, pixels.sum(0) > 0])


@pytest.fixture(scope="module")
def iid():
    return synthetic()


COVARIATES = {
    "batch_key": "batch",
    "labels_key": "labels",
    "categorical_covariate_keys": ["donor"],
    "continuous_covariate_keys": ["age"],
}
MODELS = {
    "zinb": {},
    "nb, all covariates": {"gene_likelihood": "nb", "keys": COVARIATES, "encode_covariates": True},
    "poisson, size factor": {"gene_likelihood": "poisson", "keys": {"size_factor_key": "size"}},
    "dispersion of a label": {"dispersion": "gene-label", "keys": COVARIATES},
    "batch embedding": {"keys": {"batch_key": "batch"}, "batch_representation": "embedding"},
    "logistic normal": {"latent_distribution": "ln"},
    "latent library": {"use_observed_lib_size": False, "keys": {"batch_key": "batch"}},
    "linear": {"kind": LinearSCVI},
}


@pytest.mark.parametrize("name", MODELS)
def test_the_bound_is_minus_scvis_own_elbo(iid, name):
    model = train(model_of(iid, **MODELS[name]), epochs=2)
    report = diagnose_scvi(model, indices="all", iw_samples=64)
    draws = np.array([float(model.get_elbo()) for _ in range(16)])
    error = 5.0 * draws.std() * (1 / 16 + 1 / 64) ** 0.5
    assert report.nll_bound == pytest.approx(-draws.mean(), abs=error + 1e-3)
    assert report.examples == iid.n_obs
    assert report.nll_bound > -float(model.get_marginal_ll(n_mc_samples=32)) - error
    # each likelihood needs what is registered of its own cell: another cell's batch or counts give another number
    few = diagnose_scvi(model, indices=[3, 70], iw_samples=400).nll_bound
    own = model.get_elbo(indices=[3, 70] * 400, return_mean=False, batch_size=800)
    assert few == pytest.approx(-float(own.mean()), abs=4.0 * float(own.view(-1, 2).mean(1).std()) * (2 / 400) ** 0.5)


def test_chance_and_the_model_are_left_as_they_were(iid):
    model = train(model_of(iid), epochs=1)
    before, state = copy.deepcopy(model.module.state_dict()), torch.random.get_rng_state()
    diagnose_scvi(model, iw_samples=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(before[name], weight) for name, weight in model.module.state_dict().items())


@pytest.mark.parametrize("options", [{}, {"kind": LinearSCVI}, {"keys": COVARIATES, "encode_covariates": True}])
def test_with_delta_infinite_a_training_is_scvis_bit_for_bit(iid, options):
    plain, model = model_of(iid, **options), model_of(iid, **options)
    start = copy.deepcopy(plain.module.state_dict())
    equalizer = equalize_scvi(model, delta=math.inf, refresh_every=1)
    callback = CollapseCallback(every=1)
    train(plain, plan={"n_epochs_kl_warmup": 4})
    train(model, plan={"n_epochs_kl_warmup": 4}, callbacks=[callback])
    assert int(equalizer.epoch) == len(callback.history["epochs"]) == 4
    states = plain.module.state_dict(), model.module.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))
    name = "z_encoder.mean_encoder.weight"
    assert not torch.equal(start[name], states[0][name])


def test_training_draws_with_sigma_to_the_lambda_and_keeps_the_kl_scvis_own(iid):
    model, plain = model_of(iid, dropout_rate=0.0), model_of(iid, dropout_rate=0.0)
    equalizer = equalize_scvi(model, delta=1.5)
    equalizer.exponent.copy_(torch.tensor([1.0, 2.0, 4.0, 1.0]))
    with torch.no_grad():
        for one in (model, plain):
            one.module.z_encoder.var_encoder.weight.mul_(0.1)
            one.module.z_encoder.var_encoder.bias.fill_(-1.5)
    x = torch.log1p(torch.tensor(np.asarray(iid.X[:50]), dtype=torch.float32)).repeat(40, 1)
    batch = torch.zeros(len(x), 1)
    drawn = []
    for one in (model, plain):
        torch.manual_seed(1)
        drawn.append(one.module.z_encoder(x, batch))
    (q, z), (q_plain, z_plain) = drawn
    assert torch.equal(q.loc, q_plain.loc)
    assert torch.equal(q.scale, q_plain.scale)
    assert type(q) is Normal
    eps = (z - q.loc) / sampling_std(q.scale, equalizer.exponent)
    assert torch.allclose(eps, (z_plain - q.loc) / q.scale, atol=1e-3)
    assert torch.equal(z[:, [0, 3]], z_plain[:, [0, 3]])
    assert bool((q.scale < 1.0).all())
    assert not torch.allclose(z[:, 1], z_plain[:, 1])
    # the gradient goes through sigma^lambda: d z / d ln sigma = lambda sigma^lambda eps
    (slope,) = torch.autograd.grad(z[:, 2].sum(), q.scale)
    expected = 4.0 * q.scale[:, 2] ** 3 * eps[:, 2]
    assert torch.allclose(slope[:, 2], expected, rtol=1e-2, atol=1e-4)
    for one in (model, plain):
        one.module.eval()
    torch.manual_seed(2)
    ours = model.module.z_encoder(x, batch)[1]
    torch.manual_seed(2)
    assert torch.equal(ours, plain.module.z_encoder(x, batch)[1])


def test_lambda_follows_every_epoch_and_is_released(iid):
    model = model_of(iid)
    equalizer = equalize_scvi(model, delta=1.01, refresh_every=1, release_epochs=3, total_epochs=6)
    seen = []
    end_epoch = equalizer.end_epoch
    equalizer.end_epoch = lambda: (end_epoch(), seen.append(float(equalizer.exponent.max())))
    train(model, epochs=6)
    assert len(seen) == 6
    assert seen[0] > 1.0
    assert seen[-1] == seen[-2] == 1.0
    equalizer.exponent.fill_(3.0)
    assert diagnose_scvi(model, iw_samples=2).excess_kl > 0.0
    assert diagnose_scvi(model, iw_samples=2, equalizer=None).excess_kl == 0.0


def test_a_release_that_the_training_does_not_reach_is_refused(iid):
    model = model_of(iid)
    equalize_scvi(model, delta=1.1, release_epochs=3, total_epochs=6)
    with pytest.raises(InputError, match="total_epochs is 6, but this training ends at epoch 5; make them the same"):
        train(model, epochs=5)


def test_an_equalized_model_saves_and_loads_as_scvis_own(iid, tmp_path):
    model = model_of(iid)
    equalizer = equalize_scvi(model, delta=1.01, refresh_every=1)
    train(model, callbacks=[CollapseCallback()])
    assert float(equalizer.exponent.max()) > 1.0
    model.save(str(tmp_path / "saved"))
    loaded = SCVI.load(str(tmp_path / "saved"), adata=iid, accelerator="cpu")
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())
    assert not hasattr(loaded.module, "equalizer")
    assert loaded.history["latent/active_units"].shape == (4, 1)
    again = equalize_scvi(loaded, delta=1.01, refresh_every=1)
    again.load_state_dict(equalizer.state_dict())
    assert torch.equal(again.exponent, equalizer.exponent)
    model.module.load_state_dict(loaded.module.state_dict())  # strict, as scvi's checkpoints are loaded
    twin = copy.deepcopy(model)
    train(twin, epochs=1)
    assert int(equalizer.epoch) == 4
    assert int(twin.module.equalizer.epoch) == 5  # though scvi trains in eval mode, the second time
    assert not twin.module.equalizer.training


def test_the_kl_weight_of_a_warm_up_is_the_weight_that_causes_are_judged_by(iid):
    model, callback = model_of(iid), CollapseCallback(every=1)
    train(model, epochs=6, callbacks=[callback], plan={"n_epochs_kl_warmup": 8}, batch_size=10)
    assert callback.history["kl_weight"] == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5, 0.625])
    report = diagnose_scvi(model, iw_samples=2)
    assert "KL weight of 0.625" in str(report)
    assert "was not over" in str(report)
    full = train(model_of(iid), epochs=2, batch_size=10)
    assert "KL weight" not in str(diagnose_scvi(full, iw_samples=2))
    assert report.nll_bound == pytest.approx(-float(model.get_elbo()), rel=0.05)  # the KL in full


def test_planted_dead_dimensions_are_found(blood):
    model = train(model_of(blood, n_latent=6, gene_likelihood="nb"), epochs=10)
    module, dead = model.module, [1, 4]
    with torch.no_grad():
        for part in (module.z_encoder.mean_encoder, module.z_encoder.var_encoder):
            part.weight[dead] = 0.0
            part.bias[dead] = 0.0
        module.decoder.px_decoder.fc_layers[0][0].weight[:, dead] = 0.0
    report = diagnose_scvi(model, iw_samples=2)
    assert [i for i, verdict in enumerate(report.verdicts) if verdict == "collapsed"] == dead
    assert [report.causes[i] for i in dead] == ["undetermined"] * 2  # what counts leave unsaid is not searched


class Other:
    """No model of scvi's."""


def test_what_cannot_be_taken_is_refused_by_name(iid):
    model = model_of(iid)
    equalize_scvi(model, delta=1.1)
    with pytest.raises(InputError, match=r"Encoder \(z_encoder\) is equalized already, with delta=1\.1, where now del"):
        equalize_scvi(model, delta=1.2)
    logistic = model_of(iid, latent_distribution="ln")
    with pytest.raises(InputError, match=r"latent_distribution is 'ln': a softmax .* use latent_distribution='normal'"):
        equalize_scvi(logistic, delta=1.1)
    with pytest.raises(InputError, match="latent_distribution is 'ln'"):
        train(logistic, callbacks=[CollapseCallback()])
    with pytest.raises(InputError, match=r"delta is 1.00005, whose noise 0.00707 lies below 0.01, .* scvi's var_eps"):
        equalize_scvi(model_of(iid), delta=1.00005)
    with pytest.raises(InputError, match=r"delta is 0\.5"):
        equalize_scvi(model_of(iid), delta=0.5)
    with pytest.raises(InputError, match="Other cannot be diagnosed: its sampling is not known"):
        diagnose_scvi(Other())
    with pytest.raises(InputError, match="in train mode"):
        diagnose_scvi(model)


REASONS = {"TOTALVI": "EncoderTOTALVI", "MULTIVI": "mixture of several"}


@pytest.mark.parametrize("name", REASONS)
def test_relatives_that_draw_elsewhere_are_refused_with_the_reason(name):
    relative = object.__new__(getattr(scvi.model, name))
    calls = {"equalized": lambda model: equalize_scvi(model, delta=1.1)} | (
        {} if name == "TOTALVI" else {"diagnosed": diagnose_scvi}
    )
    for action, call in calls.items():
        with pytest.raises(
            InputError, match=f"{name} cannot be {action}: .*{REASONS[name]}.*; use SCVI, LinearSCVI or PEAKVI"
        ):
            call(relative)


def test_a_model_without_cells_says_what_to_give(iid, tmp_path):
    train(model_of(iid), epochs=1).save(str(tmp_path / "saved"))
    alone = SCVI.load(str(tmp_path / "saved"), adata=False, accelerator="cpu")
    with pytest.raises(InputError, match=r"loaded without cells; give diagnose_scvi\(model, adata\)"):
        diagnose_scvi(alone)
    assert diagnose_scvi(alone, iid.copy(), iw_samples=2).examples == iid.n_obs


def test_a_minified_model_has_no_counts(iid):
    model = train(model_of(iid.copy()), epochs=1)
    mean, variance = model.get_latent_representation(return_dist=True)
    model.adata.obsm["X_latent_qzm"], model.adata.obsm["X_latent_qzv"] = mean, variance
    model.minify_adata(use_latent_qzm_key="X_latent_qzm", use_latent_qzv_key="X_latent_qzv")
    with pytest.raises(InputError, match="minified and its counts are gone"):
        diagnose_scvi(model)


def trained_on(cells, **settings):
    """SCVI at the full KL weight from the start, with lambda if there are settings."""
    model, callback = model_of(cells, n_latent=20, n_hidden=64, gene_likelihood="nb"), CollapseCallback()
    if settings:
        equalize_scvi(model, **settings)
    train(model, epochs=40, callbacks=[callback], plan={"lr": 5e-3})
    return diagnose_scvi(model, history=callback.history, iw_samples=4), callback


@pytest.fixture(scope="module")
def collapsed(digits):
    return trained_on(digits)


def test_real_counts_collapse_scvi_and_the_report_says_why(collapsed):
    report, callback = collapsed
    assert report.active_units <= 14
    causes = [cause for cause in report.causes if cause is not None]
    assert len(causes) == 20 - report.active_units
    assert sum(cause in ("gradient imbalance", "information gap") for cause in causes) > len(causes) / 2
    assert "when it last carried something" in str(report)
    assert callback.monitor.warnings  # said while it happened


def test_one_line_keeps_more_dimensions(digits, collapsed):
    before, _ = collapsed
    after, _ = trained_on(digits, delta=1.4, release_epochs=20, total_epochs=40, release_path="delta")
    assert after.active_units >= before.active_units + 3
    assert after.excess_kl == pytest.approx(0.0, abs=1e-9)  # lambda was released: an ordinary SCVI
    assert after.nll_bound < before.nll_bound + 1.5
