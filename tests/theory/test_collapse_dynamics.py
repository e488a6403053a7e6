"""Proposition 1 by simulation: the collapsed fixed point, its rates, the regimes of alpha, and a VAE solved exactly."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from lambda_vae.distributions import DiagGaussian


def flow(field: Callable[..., list[float]], start: list[float], until: float, points: int = 400) -> np.ndarray:
    """The solution at equally spaced times, [variables, points]."""
    times = np.linspace(0, until, points)
    options = {"method": "LSODA", "rtol": 1e-9, "atol": 1e-13}
    return solve_ivp(lambda _, y: field(*y), (0, until), start, t_eval=times, **options).y


def last_rate(values: np.ndarray, until: float) -> float:
    """d ln|value| / dt over the last half."""
    half = len(values) // 2
    return float(np.polyfit(np.linspace(0, until, len(values))[half:], np.log(np.abs(values[half:])), 1)[0])


# The KL term alone ---------------------------------------------------------------------------------------------------

RATES = {
    "sigma": (lambda s: [1 / s - s], 1.0, -2.0),
    "ln sigma": (lambda t: [1 - math.exp(2 * t)], 0.0, -2.0),
    "ln sigma^2": (lambda v: [0.5 * (1 - math.exp(v))], 0.0, -0.5),
    "mu": (lambda m: [-m], 0.0, -1.0),
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("side", [-1, 1])
def test_collapse_is_approached_at_a_rate_that_depends_on_what_the_encoder_gives(name: str, side: int) -> None:
    """The paper's -2 is that of sigma. An encoder that gives ln sigma^2, as all do, has -1/2: slower than mu's -1."""
    field, rest, rate = RATES[name]
    path = flow(field, [rest + side * 1e-4], 4.0)[0] - rest
    assert last_rate(path, 4.0) == pytest.approx(rate, rel=1e-3)


def test_rates_are_the_curvatures_of_the_kl() -> None:
    prior = DiagGaussian(torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64))
    of = {
        "mu": lambda t: DiagGaussian(t, prior.logvar),
        "sigma": lambda t: DiagGaussian(prior.mu, 2 * t.log1p()),
        "ln sigma^2": lambda t: DiagGaussian(prior.mu, t),
    }
    for name, q in of.items():
        curvature = torch.autograd.functional.hessian(lambda t, q=q: q(t).kl_per_dim(prior).sum(), prior.mu)
        assert -curvature.item() == pytest.approx(RATES[name][2], rel=1e-12), name


# The decay model |g| = g_0 (1 - sigma)^alpha of Figure 1 -------------------------------------------------------------


def decay_path(alpha: float, g0: float, start: float, until: float, exponent: float = 1.0) -> np.ndarray:
    """1 - sigma over time. The reconstruction pulls sigma down: its g is negative, where the appendix has it positive.

    In ln(1 - sigma), which keeps its digits as sigma goes to 1.
    """

    def field(log_u: float) -> list[float]:
        u = math.exp(log_u)
        s = 1 - u
        return [exponent * s ** (exponent - 1) * g0 * math.exp((alpha - 1) * log_u) - (2 - u) / s]

    return np.exp(flow(field, [math.log1p(-start)], until)[0])


def ratio(u: np.ndarray | float, alpha: float, g0: float) -> np.ndarray | float:
    return g0 * u ** (alpha - 1) * (1 - u) / (2 - u)


@pytest.mark.parametrize("start", [0.1, 0.5, 0.95])
def test_above_one_every_start_collapses_and_the_ratio_vanishes(start: float) -> None:
    u = decay_path(2.0, 2.0, start, 8.0)
    assert (np.diff(u) < 0).all()  # the monotone convergence of the proof of sufficiency
    assert u[-1] < 1e-6
    assert ratio(u, 2.0, 2.0)[-1] < 1e-5
    assert last_rate(u, 8.0) == pytest.approx(-2, rel=1e-2)


def test_above_one_collapse_is_stable_but_not_the_only_stable_point() -> None:
    """A strong decoder has a second one: which of them is reached depends on the start."""
    ends = [1 - decay_path(2.0, 20.0, start, 10.0)[-1] for start in (0.3, 0.85, 0.91, 0.97)]
    active = (19 - math.sqrt(281)) / 40  # of 20 s (1 - s) = 1 + s
    assert ends == pytest.approx([active, active, 1, 1], abs=1e-6)
    assert ratio(1 - active, 2.0, 20.0) == pytest.approx(1.0, rel=1e-9)  # exactly 1, not "at least 1"


@pytest.mark.parametrize(("g0", "collapses"), [(0.5, True), (1.8, True), (2.2, False), (6.0, False)])
def test_at_one_collapse_hangs_on_the_scale_and_the_ratio_tells_it(g0: float, collapses: bool) -> None:
    """A.1 calls this regime uninformative since rho does not go to 0. It goes to g_0/2, which is below 1 just then."""
    u = decay_path(1.0, g0, 0.7, 60.0)
    assert (u[-1] < 1e-3) == collapses
    assert ratio(u[-1], 1.0, g0) == pytest.approx(g0 / 2 if collapses else 1.0, rel=1e-3)


@pytest.mark.parametrize("g0", [0.02, 0.1, 0.5])
def test_below_one_nothing_collapses_but_a_weak_decoder_comes_close(g0: float) -> None:
    """A.1 says that no collapse occurs, Figure 1 that rho stays up though it has: both, at 1 - sigma = (g_0/2)^2."""
    for start in (0.3, 0.999999):
        u = decay_path(0.5, g0, start, 20.0)[-1]
        assert u == pytest.approx((g0 / 2) ** 2, rel=0.1)
        assert ratio(u, 0.5, g0) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(("alpha", "protected"), [(1.0, True), (1.5, False)])
def test_an_exponent_protects_at_alpha_one_only(alpha: float, protected: bool) -> None:
    """lambda > rho_crit/rho (Section 4.1) can be met for good only where rho does not go to 0."""
    assert (decay_path(alpha, 0.5, 0.9999, 20.0, exponent=8.0)[-1] > 0.02) == protected
    assert decay_path(alpha, 0.5, 0.9999, 20.0)[-1] < 1e-4


# One dimension of a linear VAE, exact: x' = w z, z = m x + sigma eps, data variance l, decoder noise v ----------------


class Linear:
    """Gradient flow of the exact bound in w, m and sigma.

    tied: How fast sigma moves beside w and m. 1: all are parameters alike. An encoder that gives ln sigma^2 has
        d sigma/dt = (sigma/2)^2 times the gradient: 1/4 near collapse.
    """

    def __init__(self, data: float, noise: float, tied: float = 1.0) -> None:
        self.data, self.noise, self.tied = data, noise, tied

    def field(self, w: float, m: float, u: float) -> list[float]:
        """Of w, m and u = 1 - sigma."""
        s, lack = 1 - u, (1 - w * m) * self.data / self.noise
        kl = u * (2 - u) / s
        return [lack * m - w * s**2 / self.noise, lack * w - m * self.data, self.tied * (s * w**2 / self.noise - kl)]

    def pull(self, w: np.ndarray, u: np.ndarray) -> np.ndarray:
        return (1 - u) * w**2 / self.noise

    def ratio(self, w: np.ndarray, u: np.ndarray) -> np.ndarray:
        return self.pull(w, u) * (1 - u) / (u * (2 - u))

    @property
    def fading(self) -> float:
        """kappa: the slower rate at which w and m die, linearised at the collapsed point."""
        p, data = 1 / self.noise, self.data
        return float(np.linalg.eigvalsh(np.array([[p, p * data], [p * data, data]]))[0])


def test_linear_flow_is_the_gradient_of_the_bound() -> None:
    w, m, s = (torch.tensor(t, dtype=torch.float64, requires_grad=True) for t in (0.7, 0.4, 0.8))
    data, noise = 0.9, 0.5
    reconstruction = -((1 - w * m) ** 2 * data + w**2 * s**2) / (2 * noise)
    kl = 0.5 * (m**2 * data + s**2 - 1 - 2 * s.log())
    by_autograd = [g.item() for g in torch.autograd.grad(reconstruction - kl, (w, m, s))]
    by_autograd[2] *= -1  # of u
    assert Linear(data, noise).field(0.7, 0.4, 0.2) == pytest.approx(by_autograd, rel=1e-12)


@pytest.mark.parametrize(("data", "noise", "tied"), [(0.4, 1.0, 1.0), (0.4, 1.0, 0.25), (0.2, 0.5, 1.0), (1.2, 2, 0.5)])
def test_linear_dimension_collapses_with_alpha_one_and_a_ratio_that_stays(
    data: float, noise: float, tied: float
) -> None:
    """Sigma keeps up with the fading decoder: |g| stays proportional to 1 - sigma, rho goes to 1 - kappa/tied."""
    vae = Linear(data, noise, tied)
    w, _, u = flow(vae.field, [0.3, 0.3, 0.1], 5 / vae.fading)
    late = slice(len(u) // 2, None)
    assert u[-1] < 1e-3
    assert np.polyfit(np.log(u[late]), np.log(vae.pull(w, u)[late]), 1)[0] == pytest.approx(1.0, abs=0.02)
    assert vae.ratio(w, u)[-1] == pytest.approx(1 - vae.fading / tied, abs=0.01)


def test_linear_dimension_never_fades_faster_than_a_quarter() -> None:
    """So that alpha > 1 does not occur with equal rates: kappa <= 1/4, reached at l = 1/2, v = 2."""
    grid = [Linear(share * v, v).fading for v in np.geomspace(0.05, 20, 80) for share in np.geomspace(0.01, 1, 40)]
    assert max(grid) <= 0.25 + 1e-12
    assert Linear(0.5, 2.0).fading == pytest.approx(0.25, rel=1e-12)


@pytest.mark.parametrize("tied", [0.05, 0.1])
def test_alpha_is_above_one_if_sigma_lags_behind_the_decoder(tied: float) -> None:
    """Proposition 1's regime is one of learning rates: alpha = kappa/tied once that exceeds 1, and rho goes to 0."""
    vae = Linear(0.4, 1.0, tied)
    w, _, u = flow(vae.field, [0.3, 0.3, 0.1], 8 / vae.fading)
    late = slice(len(u) // 2, None)
    alpha = np.polyfit(np.log(u[late]), np.log(vae.pull(w, u)[late]), 1)[0]
    assert alpha == pytest.approx(vae.fading / tied, rel=0.03)
    assert vae.ratio(w, u)[-1] < 0.05


def test_ratio_below_any_threshold_does_not_condemn() -> None:
    """Section 3.3 calls collapse inevitable once rho < rho_crit: a slow start passes through 0.0001 and recovers."""
    vae = Linear(2.0, 1.0)
    w, _, u = flow(vae.field, [1e-3, 1e-3, 0.3], 40.0, 4000)
    ratios = vae.ratio(w, u)
    assert ratios.min() < 1e-4
    assert u.min() < 1e-3  # it had collapsed, to all appearances
    assert (1 - u[-1]) ** 2 == pytest.approx(vae.noise / vae.data, rel=1e-5)  # and ends as probabilistic PCA says
    assert ratios[-1] == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("data", "collapses"), [(0.8, True), (0.95, True), (1.05, False), (3.0, False)])
def test_linear_collapse_is_decided_by_the_data_not_by_alpha(data: float, collapses: bool) -> None:
    """Below the noise of the decoder it collapses; the idealised rho_crit = 1 of the footnote does tell which do."""
    vae = Linear(data, 1.0)
    w, _, u = flow(vae.field, [0.5, 0.5, 0.2], 5 / abs(vae.fading))
    assert (u[-1] < 1e-3) == collapses
    assert (vae.ratio(w, u)[-1] < 1 - 1e-3) == collapses
