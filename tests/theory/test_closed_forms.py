"""Every formula against an independent solver, an integral, or a sample with its standard error."""

import math
from fractions import Fraction

import pytest
import torch
from scipy import integrate, optimize
from torch.distributions import Normal, kl_divergence

from lambda_vae.equalization import theory

STDS = [0.01, 0.2, 0.4, 0.647, 0.9, 0.99]
EXPONENTS = [1.0, 1.3, 2.0, 7.33, 20.0]
DELTAS = [1.001, 1.01, 1.1, 1.19, 1.5, 3.0, 100.0]


def excess_kl_as_printed(std: float, exponent: float) -> float:
    """Eq. 14, term by term."""
    return 0.5 * (std ** (2 * exponent) - std**2 - math.log(std ** (2 * exponent)) + math.log(std**2))


def net_gain_as_printed(std: float, exponent: float, delta: float) -> float:
    """Eq. 15, term by term."""
    return (exponent - 1) * abs(math.log(std)) - delta * excess_kl_as_printed(std, exponent)


@pytest.mark.parametrize("delta", DELTAS)
def test_critical_std_is_where_the_first_step_above_exponent_one_stops_paying(delta: float) -> None:
    def slope_at_one(std: float) -> float:  # Eq. 26 at lambda = 1
        return -math.log(std) - delta * math.log(std) * (std**2 - 1)

    root = optimize.brentq(slope_at_one, 1e-9, 1 - 1e-9, xtol=1e-14)
    assert theory.critical_std(delta) == pytest.approx(root, rel=1e-8)


@pytest.mark.parametrize("delta", [1 + 2**-50, 1 + 1e-9, 1.01, 7.0, 1e12, 1e300])
def test_critical_std_keeps_its_digits_at_both_ends(delta: float) -> None:
    exact = math.sqrt(1 - 1 / Fraction(delta))
    assert theory.critical_std(delta) == pytest.approx(exact, rel=1e-14)


def test_critical_std_of_no_equalization_is_one() -> None:
    assert theory.critical_std(math.inf) == 1.0


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("std", STDS)
def test_optimal_exponent_is_the_maximum_a_minimiser_finds(std: float, delta: float) -> None:
    found = optimize.minimize_scalar(
        lambda exponent: -net_gain_as_printed(std, exponent, delta),
        bounds=(1.0, 20.0),
        method="bounded",
        options={"xatol": 1e-10},
    )
    # A maximum is flat: its place is known to the square root of the precision of its height.
    assert theory.optimal_exponent(std, delta) == pytest.approx(found.x, rel=2e-5)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("std", STDS)
def test_optimal_exponent_beats_a_grid(std: float, delta: float) -> None:
    grid = torch.linspace(1, 20, 20001, dtype=torch.float64)
    stds = torch.full_like(grid, std)
    best = theory.net_information_gain(std, theory.optimal_exponent(std, delta), delta)
    on_grid = theory.net_information_gain(stds, grid, delta)
    assert best >= on_grid.max().item() - 1e-12
    assert on_grid.argmax().item() == pytest.approx((theory.optimal_exponent(std, delta) - 1) / 19 * 20000, abs=1)


@pytest.mark.parametrize("delta", DELTAS)
@pytest.mark.parametrize("std", STDS)
def test_net_information_gain_is_strictly_concave_as_eq_36_says(std: float, delta: float) -> None:
    step = 1e-3
    for exponent in (1.5, 3.0, 10.0):
        left, middle, right = (net_gain_as_printed(std, exponent + shift, delta) for shift in (-step, 0.0, step))
        second = -2 * delta * math.log(std) ** 2 * std ** (2 * exponent)
        assert second < 0
        value = torch.tensor(exponent, dtype=torch.float64, requires_grad=True)
        std_tensor = torch.tensor(std, dtype=torch.float64)
        (slope,) = torch.autograd.grad(theory.net_information_gain(std_tensor, value, delta), value, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, value)
        # autograd takes the derivative of expm1 as expm1 + 1, whose rounding is that of 1
        assert curvature.item() == pytest.approx(second, rel=1e-9, abs=1e-15 * delta * math.log(std) ** 2)
        # central differences: h^2/12 of the fourth derivative, and rounding of values up to 1e4 over h^2
        assert (left - 2 * middle + right) / step**2 == pytest.approx(second, rel=1e-3, abs=1e-4 * delta)


@pytest.mark.parametrize("std", STDS)
def test_optimal_exponent_has_the_limits_of_proposition_3(std: float) -> None:
    assert theory.optimal_exponent(std, math.inf) == 1.0
    assert theory.optimal_exponent(std, 1e12) == 1.0
    toward_one = [theory.optimal_exponent(std, 1 + 10.0**-k, max_exponent=1e6) for k in (1, 4, 8, 12)]
    assert toward_one == sorted(toward_one)
    assert toward_one[-1] == pytest.approx(12 * math.log(10) / (-2 * math.log(std)), rel=1e-4)


@pytest.mark.parametrize("std", [*STDS, 0.9999])
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_excess_kl_is_the_difference_of_two_kls(std: float, exponent: float) -> None:
    prior, q, q_sampled = (
        Normal(torch.tensor(m, dtype=torch.float64), s) for m, s in ((0, 1), (0.7, std), (0.7, std**exponent))
    )
    difference = kl_divergence(q_sampled, prior) - kl_divergence(q, prior)
    assert theory.excess_kl(std, exponent) == pytest.approx(difference.item(), rel=1e-9, abs=1e-14)
    assert theory.excess_kl(std, exponent) == pytest.approx(excess_kl_as_printed(std, exponent), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize(("std", "exponent"), [(0.3, 2.0), (0.647, 5.3), (0.9, 12.0)])
def test_excess_kl_is_the_difference_of_two_integrals(std: float, exponent: float) -> None:
    def kl_to_prior(scale: float) -> float:
        def integrand(eps: float) -> float:
            z = 0.7 + scale * eps
            log_q = -0.5 * eps**2 - math.log(scale)
            return math.exp(-0.5 * eps**2) / math.sqrt(2 * math.pi) * (log_q + 0.5 * z**2)

        return integrate.quad(integrand, -12, 12, epsabs=1e-12)[0]

    assert theory.excess_kl(std, exponent) == pytest.approx(kl_to_prior(std**exponent) - kl_to_prior(std), abs=1e-10)


def test_excess_kl_summed_is_what_a_sample_says() -> None:
    generator = torch.Generator().manual_seed(3)
    mu = torch.tensor([0.0, 1.5, -0.4, 0.2], dtype=torch.float64)
    std = torch.tensor([0.1, 0.5, 0.8, 1.4], dtype=torch.float64)
    exponent = torch.tensor([1.0, 2.5, 9.0, 20.0], dtype=torch.float64)
    eps = torch.randn(200_000, 4, generator=generator, dtype=torch.float64)
    q, q_sampled = Normal(mu, std), Normal(mu, theory.sampling_std(std, exponent))
    prior = Normal(torch.zeros_like(mu), torch.ones_like(mu))

    def log_ratio(q: Normal) -> torch.Tensor:
        z = q.mean + q.stddev * eps
        return (q.log_prob(z) - prior.log_prob(z)).sum(-1)

    draws = log_ratio(q_sampled) - log_ratio(q)
    stderr = draws.std() / math.sqrt(len(draws))
    assert 0 < stderr < 0.01
    assert abs(draws.mean() - theory.excess_kl(std, exponent).sum()) < 4 * stderr


@pytest.mark.parametrize("distance", [1e-2, 1e-3, 1e-4, 1e-5])
def test_excess_kl_keeps_its_digits_near_collapse(distance: float) -> None:
    std = torch.tensor(1 - distance)
    exact = theory.excess_kl(std.double(), torch.tensor(2.0).double()).item()
    logvar = 2 * std.log()
    printed = 0.5 * ((2 * logvar).exp() - logvar.exp() - logvar)
    tolerance = 2 * torch.finfo(torch.float32).eps / distance  # what float32 knows of ln sigma itself
    error = abs(theory.excess_kl(std, 2.0).item() / exact - 1)
    assert error < tolerance
    if distance < 1e-3:
        assert abs(printed.item() / exact - 1) > 10 * error


def test_excess_kl_near_collapse_is_right_in_double() -> None:
    logvar = Fraction(math.log(1 - 1e-6)) * 2  # the series below is exact to 1e-30

    def expm1_minus(x: Fraction) -> Fraction:
        return sum((x**k / math.factorial(k) for k in range(2, 7)), Fraction(0))

    exact = float((expm1_minus(3 * logvar) - expm1_minus(logvar)) / 2)
    assert theory.excess_kl(1 - 1e-6, 3.0) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("std", STDS)
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_information_gain_is_the_entropy_the_narrower_noise_saves(std: float, exponent: float) -> None:
    zero = torch.zeros((), dtype=torch.float64)
    saved = Normal(zero, std).entropy() - Normal(zero, std**exponent).entropy()
    assert theory.information_gain(std, exponent) == pytest.approx(saved.item(), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("std", STDS)
@pytest.mark.parametrize("delta", DELTAS)
def test_net_information_gain_is_eq_15(std: float, delta: float) -> None:
    for exponent in EXPONENTS:
        printed = net_gain_as_printed(std, exponent, delta)
        assert theory.net_information_gain(std, exponent, delta) == pytest.approx(printed, rel=1e-9, abs=1e-12)


def test_net_information_gain_at_infinite_delta_allows_exponent_one_alone() -> None:
    gains = theory.net_information_gain(torch.tensor([0.5, 0.5, math.nan]), torch.tensor([1.0, 1.5, 1.0]), math.inf)
    assert gains[0] == 0
    assert gains[1] == -math.inf
    assert gains[2].isnan()


@pytest.mark.parametrize("exponent", [1.001, 1.5, 2.0, 5.0, 20.0])
def test_attractor_std_is_where_the_amplification_is_one(exponent: float) -> None:
    root = optimize.brentq(lambda std: exponent * std ** (exponent - 1) - 1, 1e-6, 1.0, xtol=1e-15)
    assert theory.attractor_std(exponent) == pytest.approx(root, rel=1e-10)
    assert theory.gradient_amplification(theory.attractor_std(exponent), exponent) == pytest.approx(1, rel=1e-12)


def test_attractor_std_at_exponent_one_is_its_limit() -> None:
    assert theory.attractor_std(1.0) == pytest.approx(math.exp(-1), rel=1e-15)
    for step in (1e-4, 1.0001e-5, 0.9999e-5, 1e-7, 1e-12):  # both sides of the series' border
        assert theory.attractor_std(1 + step) == pytest.approx(math.exp(-1 + step / 2 - step**2 / 3), rel=1e-12)


@pytest.mark.parametrize("delta", [1.0001, 1.01, 1.05, 1.1, 1.15])
def test_joint_fixed_point_solves_both_equations(delta: float) -> None:
    exponent, std = theory.joint_fixed_point(delta, max_exponent=100.0)
    critical = math.sqrt(1 - 1 / delta)
    root = optimize.brentq(
        lambda value: -value * math.log(value) / (value - 1) - math.log(critical), 1 + 1e-9, 100.0, xtol=1e-13
    )
    assert exponent == pytest.approx(root, rel=1e-8)
    assert theory.optimal_exponent(std, delta, 100.0) == pytest.approx(exponent, rel=1e-8)
    assert theory.attractor_std(exponent) == std


def test_joint_fixed_point_is_the_one_of_the_notes() -> None:
    exponent, std = theory.joint_fixed_point(1.01)
    assert exponent == pytest.approx(7.33, abs=0.01)
    assert std == pytest.approx(0.73, abs=0.005)


@pytest.mark.parametrize("delta", [1 / (1 - math.exp(-2)) + 1e-9, 1.19, 3.0, math.inf])
def test_joint_fixed_point_rests_at_exponent_one_where_none_exists(delta: float) -> None:
    exponent, std = theory.joint_fixed_point(delta)
    assert exponent == pytest.approx(1.0, abs=1e-12)
    assert std == pytest.approx(math.exp(-1), rel=1e-9)
    grid = [1 + 0.01 * k for k in range(1, 1900)]
    assert all(theory.attractor_std(value) ** value < theory.critical_std(delta) for value in grid)


def test_joint_fixed_point_rests_at_the_greatest_exponent_next_to_one() -> None:
    exponent, std = theory.joint_fixed_point(1.0 + 1e-9, max_exponent=5.0)
    assert exponent == 5.0
    assert std == theory.attractor_std(5.0)
    assert theory.optimal_exponent(std, 1.0 + 1e-9, 5.0) == 5.0


@pytest.mark.parametrize("std", [0.001, *STDS])
@pytest.mark.parametrize("delta", DELTAS)
def test_predicted_sampling_std_is_the_smaller_of_std_and_critical_std(std: float, delta: float) -> None:
    sampled = theory.predicted_sampling_std(std, delta, max_exponent=1e5)
    assert sampled == pytest.approx(min(std, math.sqrt(1 - 1 / delta)), rel=1e-12)


def test_predicted_sampling_std_stops_at_the_greatest_exponent() -> None:
    assert theory.predicted_sampling_std(0.99, 1.01, 20.0) == pytest.approx(0.99**20, rel=1e-12)
    assert theory.predicted_sampling_std(1.2, 1.01) == 1.2


@pytest.mark.parametrize(
    ("latent_dim", "delta", "nats", "tolerance"),
    [(30, 1.01, 69.4, 0.05), (30, 1.10, 37.3, 0.05), (512, 1.001, 1768, 1.0)],
)
def test_predicted_capacity_gives_the_figures_of_the_paper(
    latent_dim: int, delta: float, nats: float, tolerance: float
) -> None:
    assert theory.predicted_capacity(latent_dim, delta) == pytest.approx(nats, abs=tolerance)


@pytest.mark.parametrize("signal_power", [0.0, 0.3, 1.0, 9.0])
def test_predicted_capacity_is_the_information_through_a_gaussian_channel(signal_power: float) -> None:
    noise = theory.critical_std(1.1)
    zero = torch.zeros((), dtype=torch.float64)
    through = Normal(zero, math.sqrt(signal_power + noise**2)).entropy() - Normal(zero, noise).entropy()
    assert theory.predicted_capacity(7, 1.1, signal_power) == pytest.approx(7 * through.item(), rel=1e-12, abs=1e-14)
    in_tensor = theory.predicted_capacity(1, 1.1, torch.tensor([signal_power], dtype=torch.float64))
    assert in_tensor.tolist() == pytest.approx([through.item()], abs=1e-14)


def test_predicted_capacity_without_equalization_is_that_of_prior_noise() -> None:
    assert theory.predicted_capacity(2, math.inf) == pytest.approx(math.log(2))
