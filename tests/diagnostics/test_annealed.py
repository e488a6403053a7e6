"""Annealing against exact likelihoods, from both sides; its moves against the laws that they must leave as they are."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from exact_models import LinearGaussian
from test_other_laws import data, exact_nll, trained
from torch import Tensor, nn

from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.errors import InputError
from lambda_vae.estimation.annealed import Annealing, anneal_down, anneal_up, simulate
from lambda_vae.estimation.annealed_reading import annealed_columns, read_annealed, read_gap
from lambda_vae.estimation.hamiltonian import Tempered, transition
from lambda_vae.estimation.importance import importance_weights
from lambda_vae.model import VAE

SIZES = [(4, 1), (10, 3), (30, 8)]
SETTINGS = Annealing(temperatures=300, chains=10, leapfrog=5)


def scene(features: int, dim: int, std_factor: float = 1.0) -> tuple[LinearGaussian, VAE]:
    weight = torch.randn(features, dim, generator=torch.Generator().manual_seed(dim)) / dim**0.5
    model = LinearGaussian(weight, torch.full((features,), 0.3), 0.5)
    return model, model.vae(std_factor)


@pytest.mark.parametrize(("features", "dim"), SIZES)
def test_both_sides_are_within_their_errors_and_within_a_fifth_of_a_nat(features: int, dim: int) -> None:
    model, vae = scene(features, dim)
    generator = torch.Generator().manual_seed(0)
    x, z = simulate(vae, 20, generator)
    up = anneal_up(vae, x, SETTINGS, generator)
    down = anneal_down(vae, x, z, SETTINGS, up.step, generator)
    exact = model.nll(x).double()
    for nll, stderr in ((up.weights.nll, up.weights.stderr), (-down.weights.nll, down.weights.stderr)):
        error = nll - exact
        assert abs(float(error.mean())) < 0.2
        # ln of a mean of 10 weights is off by about half its variance, beside its own scatter
        assert abs(float(error.mean())) < 4 * float(error.std()) / 20**0.5 + float(stderr.square().mean())
    gap = read_gap(SETTINGS, annealed_columns(up), annealed_columns(down, down=True))
    assert abs(float(gap.gap.value)) < 0.2
    assert gap.reasons == ()
    if dim < 8:  # at 8 the mean over chains is good, but a single chain would not be
        assert read_annealed(SETTINGS, annealed_columns(up)).reasons == ()
    assert 0.5 < float(up.acceptance.mean()) <= 1.0


def test_few_temperatures_leave_the_truth_between_the_sides() -> None:
    model, vae = scene(30, 8)
    generator, short = torch.Generator().manual_seed(1), Annealing(temperatures=8, chains=4, leapfrog=3)
    x, z = simulate(vae, 60, generator)
    up = anneal_up(vae, x, short, generator)
    down = anneal_down(vae, x, z, short, up.step, generator)
    exact, root = model.nll(x).double(), 60**0.5
    above, below = up.weights.nll - exact, exact + down.weights.nll
    assert above.mean() > 3 * above.std() / root
    assert below.mean() > 3 * below.std() / root
    gap = read_gap(short, annealed_columns(up), annealed_columns(down, down=True))
    torch.testing.assert_close(gap.gap.value, (above + below).mean())
    assert any("nats apart" in reason for reason in gap.reasons)
    assert any("from chain to chain" in reason for reason in read_annealed(short, annealed_columns(up)).reasons)


def test_bound_is_above_importance_is_above_annealing() -> None:
    """With a posterior that is wrong on purpose, each estimator comes nearer."""
    model, vae = scene(10, 3, std_factor=2.5)
    generator = torch.Generator().manual_seed(2)
    x, _ = simulate(vae, 60, generator)
    with torch.no_grad():
        q = vae.encode(x)
    levels = [
        anneal_up(vae, x, Annealing(temperatures=60, chains=4, leapfrog=5), generator).weights.nll,
        importance_weights(vae, x, q, 3, generator).weights.nll,
        model.nll_bound(x, q).double(),
    ]
    for smaller, larger in pairwise(levels):
        gap = larger - smaller
        assert gap.mean() > 3 * gap.std() / len(x) ** 0.5


@pytest.mark.parametrize("name", ["vamp", "flow prior", "ar1"])
def test_any_prior_with_a_density_can_be_annealed_from(name: str) -> None:
    vae, x = trained(name), data()[:6]
    found = anneal_up(vae, x, Annealing(temperatures=60, chains=16, leapfrog=4), torch.Generator().manual_seed(3))
    error = found.weights.nll - exact_nll(vae, x)
    assert (error.abs() < 5 * found.weights.stderr + 0.02).all()
    assert (found.weights.stderr < 0.25).all()


@pytest.mark.parametrize("t", [0.0, 0.3, 1.0])
def test_moves_leave_the_tempered_posterior_as_it_is(t: float) -> None:
    model, vae = scene(10, 3)
    generator = torch.Generator().manual_seed(4)
    x = model.sample(1, generator)
    tempered = LinearGaussian(model.weight, model.bias, model.noise_var / t) if t else None
    mean = tempered.posterior(x).mean if tempered else torch.zeros(1, 3)
    covariance = tempered.posterior_covariance if tempered else torch.eye(3)
    chains = 4000
    noise = torch.randn(chains, 1, 3, generator=generator)
    target = Tempered(vae, x)
    point = target.at(mean + noise @ torch.linalg.cholesky(covariance).T)
    step, rates = torch.full((chains, 1), 0.6), []
    for _ in range(4):
        momentum, uniform = (torch.randn(chains, 1, 3, generator=generator), torch.rand(chains, 1, generator=generator))
        point, probability = transition(target, point, t, step, 3, momentum, uniform)
        rates.append(float(probability.mean()))
    z = point.z[:, 0]
    assert ((z.mean(0) - mean[0]).abs() < 4 * (covariance.diagonal() / chains).sqrt()).all()
    stderr = ((covariance.square() + covariance.diagonal()[:, None] * covariance.diagonal()) / chains).sqrt()
    assert ((z.T.cov() - covariance).abs() < 4 * stderr).all()
    # what was kept along the way is what the model says there
    afresh = target.at(point.z)
    torch.testing.assert_close(point.log_px_z, afresh.log_px_z)
    torch.testing.assert_close(point.slope_px_z, afresh.slope_px_z)
    assert min(rates) > 0.2


def test_without_the_rejections_the_law_is_lost() -> None:
    """The control: at this step size the decisions matter, so that the test above would see them missing."""
    model, vae = scene(10, 3)
    generator = torch.Generator().manual_seed(4)
    x, chains = model.sample(1, generator), 4000
    noise = torch.randn(chains, 1, 3, generator=generator)
    covariance, target = model.posterior_covariance, Tempered(vae, x)
    point = target.at(model.posterior(x).mean + noise @ torch.linalg.cholesky(covariance).T)
    for _ in range(4):
        momentum = torch.randn(chains, 1, 3, generator=generator)
        point, _ = transition(target, point, 1.0, torch.full((chains, 1), 0.6), 3, momentum, -torch.ones(chains, 1))
    stderr = ((covariance.square() + covariance.diagonal()[:, None] * covariance.diagonal()) / chains).sqrt()
    assert ((point.z[:, 0].T.cov() - covariance).abs() > 4 * stderr).any()


def test_a_trajectory_that_runs_off_is_rejected() -> None:
    model, vae = scene(10, 3)
    target = Tempered(vae, model.sample(2, torch.Generator().manual_seed(5)))
    start = target.at(torch.zeros(3, 2, 3))
    huge = torch.full((3, 2), 1e6)
    end, probability = transition(target, start, 1.0, huge, 20, torch.ones(3, 2, 3), torch.zeros(3, 2))
    assert (probability == 0.0).all()
    assert torch.equal(end.z, start.z)


def test_every_move_costs_as_many_passes_as_leapfrog_steps() -> None:
    model, vae = scene(4, 1)
    passes = []
    vae.decoder.register_forward_hook(lambda *_: passes.append(1))
    settings = Annealing(temperatures=6, chains=2, leapfrog=3)
    anneal_up(vae, model.sample(3, torch.Generator().manual_seed(6)), settings, torch.Generator().manual_seed(6))
    assert len(passes) == 1 + 5 * 3  # the start, and a move between each two temperatures


def test_nothing_is_left_in_the_model_and_the_seed_decides_everything() -> None:
    model, vae = scene(10, 3)
    x = model.sample(4, torch.Generator().manual_seed(7))
    before = {name: tensor.clone() for name, tensor in vae.state_dict().items()}
    ticks: list[int] = []
    settings = Annealing(temperatures=10, chains=3, leapfrog=2)
    first, second = (
        anneal_up(vae, x, settings, torch.Generator().manual_seed(7), lambda: ticks.append(1)) for _ in range(2)
    )
    assert torch.equal(first.log_weights, second.log_weights)
    assert len(ticks) == 20
    assert all(parameter.grad is None for parameter in vae.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in vae.state_dict().items())
    assert first.log_weights.dtype == torch.float64
    assert not first.log_weights.requires_grad


class Cut(nn.Module):
    """A decoder through which no gradient comes."""

    def __init__(self, inner: nn.Module, how: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.how = inner, how

    def forward(self, z: Tensor) -> Tensor:
        return self.how(self.inner, z)


def unfollowed(inner: nn.Module, z: Tensor) -> Tensor:
    with torch.no_grad():
        return inner(z)


@pytest.mark.parametrize(
    "how",
    [unfollowed, lambda inner, z: inner(z.detach()), lambda inner, z: inner(3 * z.round())],
    ids=["no_grad", "detached", "rounded"],
)
def test_a_decoder_without_gradients_is_refused(how: Callable[[nn.Module, Tensor], Tensor]) -> None:
    model, vae = scene(10, 3)
    vae.decoder = Cut(vae.decoder, how)
    with pytest.raises(InputError, match=r"d log p\(x\|z\)/dz, and this decoder gives none"):
        anneal_up(vae, model.sample(4, torch.Generator().manual_seed(8)), SETTINGS, torch.Generator().manual_seed(8))


def test_a_decoder_that_ignores_z_is_annealed_exactly() -> None:
    """Complete collapse has no slope either, and is no bad input."""
    model = LinearGaussian(torch.zeros(4, 2), torch.ones(4), 0.5)
    x = model.sample(3, torch.Generator().manual_seed(9))
    found = anneal_up(model.vae(), x, Annealing(5, 2, 2), torch.Generator().manual_seed(9))
    torch.testing.assert_close(found.weights.nll, model.nll(x).double(), rtol=1e-5, atol=1e-5)


def test_data_that_cannot_be_drawn_are_refused() -> None:
    class Undrawable(Likelihood):
        def forward(self, theta: Tensor) -> torch.distributions.Laplace:
            return torch.distributions.Laplace(theta, 1.0)

    _, vae = scene(4, 1)
    vae.likelihood = Undrawable(4)
    with pytest.raises(InputError, match="cannot be drawn from Laplace"):
        simulate(vae, 2, torch.Generator().manual_seed(0))


def test_the_schedule_is_sigmoidal() -> None:
    t = torch.tensor(Annealing(temperatures=100).schedule(), dtype=torch.float64)
    assert t[0] == 0.0
    assert t[-1] == 1.0
    assert (t.diff() > 0).all()
    torch.testing.assert_close(t + t.flip(0), torch.ones_like(t))
    ends = torch.special.expit(torch.tensor([-4.0, 4.0 * (2 * 30 / 100 - 1), 4.0], dtype=torch.float64))
    torch.testing.assert_close(t[30], (ends[1] - ends[0]) / (ends[2] - ends[0]))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"temperatures": 0}, "temperatures is 0"),
        ({"chains": 0}, "chains is 0"),
        ({"leapfrog": 0}, "leapfrog is 0"),
        ({"acceptance": 1.0}, "acceptance is 1.0"),
        ({"first_step": 0.0}, "first_step is 0.0"),
    ],
)
def test_bad_settings_are_refused(options: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Annealing(**options)


def columns(acceptance: float, spread: float) -> dict[str, Tensor]:
    both = {"acceptance": acceptance, "spread": spread, "nll": 90.0, "ess": 2.0}
    return {name: torch.full((5,), value, dtype=torch.float64) for name, value in both.items()}


def test_every_reason_not_to_believe_it_is_given() -> None:
    assert read_annealed(Annealing(), columns(0.65, 0.5)).reasons == ()
    assert "only 20% of the moves" in read_annealed(Annealing(), columns(0.2, 0.5)).reasons[0]
    assert "7.0 nats^2" in read_annealed(Annealing(), columns(0.65, 7.0)).reasons[0]
    assert "7.0 nats^2" not in str(read_annealed(Annealing(), columns(0.65, 0.7)).reasons)
    assert "a single chain" in read_annealed(Annealing(chains=1), columns(0.65, float("nan"))).reasons[0]
    assert "1 temperature" in read_annealed(Annealing(temperatures=1), columns(float("nan"), 0.0)).reasons[0]
    assert "from chain to chain" in read_annealed(Annealing(), columns(0.65, float("nan"))).reasons[0]
