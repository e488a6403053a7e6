"""Reports without a likelihood, without its gradients, and with one that draws."""

import math

import numpy as np
import pytest
import torch
from planted import Planted

from lambda_vae.any_vae import diagnose
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import gaussian

MODEL = Planted(["healthy", "healthy", "dead", "prior", "sharp"], examples=300)
NOISE = 0.5**0.5
GRADIENTS = ("reconstruction_gradient", "gradient_ratio", "decoder_capacity")
OTHERS = ("kl", "std_mean", "signal_power", "snr_capacity", "capacity_lost", "sampling_std")
TERMS = ("nll_bound", "surrogate_nll", "reconstruction")


def whole(**options):
    return diagnose(MODEL.encode, MODEL.log_likelihood, MODEL.x, iw_samples=4, **options)


def same(report, full, names):
    for name in names:
        assert getattr(report, name).tolist() == pytest.approx(getattr(full, name).tolist(), rel=1e-5, abs=1e-9)


def usable(report, tmp_path):
    """It prints, becomes plain data and a page, and no error of what was measured is lost to what was not."""
    assert str(report)
    assert report.to_dict()["verdict"] == report.verdict
    assert report.to_html(tmp_path / "page.html").stat().st_size > 1000
    for name in ("kl", "signal_power", "snr_capacity"):
        assert bool(getattr(report.dimensions, name).stderr.isfinite().all())


WAYS = {
    "in its place": lambda: diagnose(MODEL.encode, MODEL.x),
    "None": lambda: diagnose(MODEL.encode, None, MODEL.x),
    "by name": lambda: diagnose(encode=MODEL.encode, data=MODEL.x),
    "as batches": lambda: diagnose(MODEL.encode, list(MODEL.x.split(100))),
}


@pytest.mark.parametrize("way", WAYS)
def test_without_a_likelihood(way, tmp_path):
    report, full = WAYS[way](), whole()
    same(report, full, OTHERS)
    assert report.rate == pytest.approx(full.rate, rel=1e-5)
    assert report.active_directions == full.active_directions
    assert all(math.isnan(getattr(report, name)) for name in TERMS)
    assert all(bool(getattr(report, name).isnan().all()) for name in GRADIENTS)
    assert report.verdicts == ["active", "active", "collapsed", "collapsed", "active"]
    assert report.causes == [None, None, "undetermined", "undetermined", None]
    assert any("No log_likelihood was given" in text for text in report.caveats)
    assert "nan" not in str(report).lower()
    assert "the encoder is not at work" in report.findings[2].explanation
    usable(report, tmp_path)


def as_numpy(z):
    return torch.from_numpy(z.detach().numpy() @ MODEL.weights.T.numpy())


DEAF = {
    "numpy behind a wrapper": as_numpy,
    "numpy that wants no gradient": lambda z: torch.from_numpy(np.asarray(z.numpy()) @ MODEL.weights.T.numpy()),
    "no_grad": torch.no_grad()(lambda z: z @ MODEL.weights.T),
    "inference_mode": torch.inference_mode()(lambda z: z @ MODEL.weights.T),
    "detached": lambda z: z.detach() @ MODEL.weights.T,
    "cut off in part": lambda z: z @ (0.1 * MODEL.weights.T) + z.detach() @ (0.9 * MODEL.weights.T),
    "rounded": lambda z: (z * 64).round() / 64 @ MODEL.weights.T,
}


@pytest.mark.parametrize("decoder", DEAF)
def test_without_gradients(decoder, tmp_path):
    report, full = diagnose(MODEL.encode, gaussian(DEAF[decoder], std=NOISE), MODEL.x, iw_samples=4), whole()
    same(report, full, OTHERS)
    for name in TERMS:
        assert getattr(report, name) == pytest.approx(getattr(full, name), rel=2e-4)
    assert all(bool(getattr(report, name).isnan().all()) for name in GRADIENTS)
    assert report.verdicts == ["active", "active", "collapsed", "collapsed", "active"]
    assert any("no gradient in z" in text for text in report.caveats)
    usable(report, tmp_path)


IGNORING = {
    "constant": lambda z: MODEL.x.mean(0).expand(len(z), -1),
    "zero weights": lambda z: z @ torch.zeros(5, 40) + MODEL.x.mean(0),
    "numpy": lambda z: torch.from_numpy(np.tile(MODEL.x.mean(0).numpy(), (len(z), 1))),
}


@pytest.mark.parametrize("decoder", IGNORING)
def test_a_decoder_that_ignores_z_has_a_gradient_of_zero(decoder):
    report = diagnose(MODEL.encode, gaussian(IGNORING[decoder]), MODEL.x, iw_samples=2)
    assert report.reconstruction_gradient.tolist() == [0.0] * 5
    assert not any("no gradient in z" in text for text in report.caveats)


def test_gradients_that_torch_knows_are_left_alone():
    kinked = torch.nn.Sequential(torch.nn.Linear(5, 64), torch.nn.ReLU(), torch.nn.Linear(64, 40)).eval()
    for std in (0.05, 1.0, 10.0):
        report = diagnose(MODEL.encode, gaussian(kinked, std=std), MODEL.x, iw_samples=2)
        assert bool(report.reconstruction_gradient.isfinite().all())


SHAKE = 0.3


def shaking(x, z):
    """A decoder that adds noise of its own to what it gives."""
    mean = z @ MODEL.weights.T
    return gaussian(lambda _: mean + SHAKE * torch.randn_like(mean), std=NOISE)(x, z)


@pytest.mark.parametrize("draws", [2, 16])
def test_a_likelihood_that_draws_is_averaged(draws):
    torch.manual_seed(0)
    state = torch.get_rng_state()
    report = diagnose(MODEL.encode, shaking, MODEL.x, draws=draws, iw_samples=4)
    assert bool((torch.get_rng_state() == state).all())
    # E log p(x|z, u) is log p(x|z) less F s^2 / (2 v): in closed form
    expected = whole().nll_bound + 40 * SHAKE**2 / (2 * NOISE**2)
    assert report.nll_bound == pytest.approx(expected, abs=0.15)
    # and a bound on that of the decoder with its noise integrated out
    marginal = diagnose(
        MODEL.encode, gaussian(lambda z: z @ MODEL.weights.T, std=(NOISE**2 + SHAKE**2) ** 0.5), MODEL.x, iw_samples=4
    )
    assert report.nll_bound > marginal.nll_bound
    assert report.verdicts == whole().verdicts
    assert any(f"called {draws} times" in note for note in report.notes)


def test_without_draws_it_is_refused_by_that_name():
    with pytest.raises(InputError, match=r"two answers for the same x and z.*draws=8, if the decoder draws by design"):
        diagnose(MODEL.encode, shaking, MODEL.x)
    with pytest.raises(InputError, match="draws is 0"):
        whole(draws=0)


def test_draws_change_nothing_of_a_likelihood_that_draws_not():
    assert whole(draws=3).nll_bound == pytest.approx(whole().nll_bound, rel=1e-6)
