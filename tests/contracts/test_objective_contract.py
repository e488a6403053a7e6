"""What every objective keeps to, with an exponent and without."""

import inspect

import pytest
import torch
from torch import Tensor

import lambda_vae.objectives
from lambda_vae.distributions import LIKELIHOODS
from lambda_vae.equalization import Equalization
from lambda_vae.model import VAE, Trace
from lambda_vae.networks import mlp
from lambda_vae.objectives import (
    ELBO,
    IMQ,
    IWAE,
    WAE,
    BetaELBO,
    FreeBits,
    InfoVAE,
    Objective,
    SampledELBO,
    TargetRate,
    nll_bound,
    surrogate_nll,
)
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

K, B, F, D = 2, 4, 6, 3

#: One or more of every class; the last test sees to it that none is missing.
OBJECTIVES = [
    ELBO(), SampledELBO(), BetaELBO(1.0), BetaELBO(4.0), BetaELBO(0.25), FreeBits(D, 0.1), FreeBits(D, 0.3, D),
    TargetRate(5.0, 10.0), InfoVAE(0.0, 3.0), InfoVAE(0.7, 0.5, IMQ((0.5, 2.0))), WAE(20.0), IWAE(),
]  # fmt: skip

#: In these the schedule's weight multiplies no term of the loss: it moves the target, or stands inside the logarithm.
NOT_A_FACTOR = (TargetRate, IWAE)


@pytest.fixture(params=OBJECTIVES, ids=repr)
def objective(request: pytest.FixtureRequest) -> Objective:
    return request.param


#: Objectives ask a likelihood for log_prob alone; those that take rows of theta fit the network here.
OF_ROWS = [name for name, likelihood in LIKELIHOODS.items() if not likelihood.as_maps]


@pytest.fixture(params=OF_ROWS)
def vae(request: pytest.FixtureRequest) -> VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        likelihood = LIKELIHOODS[request.param](F)
        return VAE(
            mlp(F, (8,), activation="tanh"),
            GaussianPosterior(8, D),
            StandardNormalPrior(D),
            mlp(D, (8,), F, "tanh"),
            likelihood,
        )


@pytest.fixture(params=[None, 1.0, 3.0], ids=lambda value: f"exponent {value}")
def exponent(request: pytest.FixtureRequest) -> Tensor | None:
    return None if request.param is None else torch.full((D,), request.param)


@pytest.fixture
def trace(vae: VAE, exponent: Tensor | None) -> Trace:
    generator = torch.Generator().manual_seed(0)
    x = torch.bernoulli(torch.full((B, F), 0.4), generator=generator)
    eps, prior_eps = (torch.randn(shape, generator=generator) for shape in ((K, B, D), (B, D)))
    made: Trace = vae.with_equalization(Equalization(exponent))(x, eps, prior_eps=prior_eps)
    return made


def test_terms_are_nats_per_sample_and_example(objective: Objective, trace: Trace) -> None:
    terms = objective(trace)
    assert terms.loss.shape == terms.reconstruction.shape == (K, B)
    assert terms.rate_q.shape == (B,)
    assert torch.equal(terms.reconstruction, -trace.p_x.log_prob(trace.x))
    assert torch.equal(terms.rate_q, trace.q.kl(trace.p_z))
    assert (terms.rate_q > 0).all()


def test_weight_acts_on_what_pulls_towards_the_prior_alone(objective: Objective, trace: Trace) -> None:
    if isinstance(objective, NOT_A_FACTOR):
        assert not torch.allclose(objective(trace, 0.0).loss, objective(trace).loss)
        return
    assert torch.equal(objective(trace, 0.0).loss, objective(trace).reconstruction)
    half = objective(trace, 0.5)
    torch.testing.assert_close(
        half.loss, 0.5 * (objective(trace, 0.0).loss + objective(trace, 1.0).loss), rtol=1e-5, atol=1e-5
    )


def test_weight_may_be_a_tensor(objective: Objective, trace: Trace) -> None:
    torch.testing.assert_close(objective(trace, torch.tensor(0.5)).loss, objective(trace, 0.5).loss)


def test_each_sample_s_own_score_is_read_from_the_gradient_that_arrives_at_z(
    objective: Objective, trace: Trace
) -> None:
    arrived: list[Tensor] = []
    trace.z.register_hook(arrived.append)
    terms = objective(trace, 0.5)
    expected = torch.autograd.grad(trace.p_x.log_prob(trace.x).sum(), trace.z, retain_graph=True)[0]
    arrived.clear()
    terms.loss.mean().backward()
    torch.testing.assert_close(terms.dlogp_dz(arrived[0]), expected, rtol=1e-4, atol=1e-6)


def test_gradients_are_finite_and_reach_every_parameter(objective: Objective, trace: Trace, vae: VAE) -> None:
    objective(trace).loss.mean().backward()
    for name, parameter in vae.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


def test_bounds_can_be_read_from_the_same_trace(objective: Objective, trace: Trace) -> None:
    objective(trace)
    assert nll_bound(trace).shape == surrogate_nll(trace).shape == (K, B)
    assert (nll_bound(trace) >= surrogate_nll(trace) - 1e-4).all()  # float32 sums of about 10 nats


def test_nothing_ticks_in_secret(objective: Objective, trace: Trace) -> None:
    assert torch.equal(objective(trace, 0.3).loss, objective(trace, 0.3).loss)


def test_no_objective_is_missing() -> None:
    members = [getattr(lambda_vae.objectives, name) for name in lambda_vae.objectives.__all__]
    called = {member for member in members if inspect.isclass(member) and "__call__" in vars(member)} - {Objective}
    classes = {member for member in called if "kl_weight" in inspect.signature(member.__call__).parameters}
    assert classes == {type(objective) for objective in OBJECTIVES}
