"""Bound and importance-weighted estimate where posterior and prior are no plain Gaussians, against quadrature."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
from linear_gaussian import equalized
from torch import Tensor

from lambda_vae.diagnostics import diagnose
from lambda_vae.distributions import BernoulliLikelihood, bijections
from lambda_vae.estimation.likelihood import likelihood_features
from lambda_vae.model import VAE
from lambda_vae.networks import mlp
from lambda_vae.objectives import ELBO
from lambda_vae.posteriors import CommittedPosterior, FlowPosterior, GaussianPosterior, Posterior
from lambda_vae.priors import AutoregressivePrior, FlowPrior, Prior, StandardNormalPrior, VampPrior

F, H, D = 6, 8, 2

LAWS: dict[str, tuple[Callable[[], Posterior], Callable[[], Prior]]] = {
    "plain": (lambda: GaussianPosterior(H, D), lambda: StandardNormalPrior(D)),
    "iaf": (lambda: FlowPosterior(H, D, "autoregressive", 2, (8,)), lambda: StandardNormalPrior(D)),
    "coupling": (lambda: FlowPosterior(H, D, "coupling", 2, (8,)), lambda: StandardNormalPrior(D)),
    "planar": (lambda: FlowPosterior(H, D, "planar", 3), lambda: StandardNormalPrior(D)),
    "committed": (lambda: CommittedPosterior(H, D, 0.3), lambda: StandardNormalPrior(D)),
    "ar1": (lambda: GaussianPosterior(H, D), lambda: AutoregressivePrior(D, 0.3)),
    "vamp": (lambda: GaussianPosterior(H, D), lambda: VampPrior(F, 5)),
    "flow prior": (lambda: GaussianPosterior(H, D), lambda: FlowPrior(D, 2, (8,))),
    "iaf and flow prior": (lambda: FlowPosterior(H, D, "autoregressive", 2, (8,)), lambda: FlowPrior(D, 2, (8,))),
}

#: Without lambda, and with.
EXPONENTS = {"plain": None, "lambda": torch.tensor([1.5, 2.0])}


def data(rows: int = 40) -> Tensor:
    codes = torch.randint(0, 2, (rows, 2), generator=torch.Generator().manual_seed(1)).repeat_interleave(F // 2, 1)
    return torch.bernoulli(0.1 + 0.8 * codes, generator=torch.Generator().manual_seed(2))


@cache
def trained(name: str) -> VAE:
    """A model on two codes, trained for as long as moves all its parts from where they began."""
    torch.manual_seed(0)
    posterior, prior = (make() for make in LAWS[name])
    vae = VAE(mlp(F, (H,), activation="tanh"), posterior, prior, mlp(D, (H,), F, "tanh"), BernoulliLikelihood(F))
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-2)
    for _ in range(60):
        loss = ELBO()(vae(data(), torch.randn(1, len(data()), D))).loss.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return vae.eval()


@torch.no_grad()
def exact_nll(vae: VAE, x: Tensor, reach: float = 14.0, step: float = 0.07) -> Tensor:
    line = torch.arange(-reach, reach + step / 2, step)
    z = torch.cartesian_prod(line, line)
    mass = vae.p_z().log_prob(z).exp() * step**2
    assert float(mass.double().sum()) == pytest.approx(1.0, abs=1e-3)
    kept = mass > 1e-12
    z, log_pz = z[kept], mass[kept].double().log()
    p_x = vae.decode(z)
    return -torch.stack([(p_x.log_prob(row.expand(len(z), F)).double() + log_pz).logsumexp(0) for row in x])


@pytest.mark.parametrize("exponent", EXPONENTS.values(), ids=EXPONENTS.keys())
@pytest.mark.parametrize("name", LAWS)
def test_the_bound_lies_above_and_more_samples_come_down_to_the_truth(name: str, exponent: Tensor | None) -> None:
    vae, x, generator = equalized(trained(name), exponent), data()[:8], torch.Generator().manual_seed(3)
    exact = exact_nll(vae, x)
    with torch.no_grad():
        q = vae.encode(x)
        features = likelihood_features(vae, x, q, 4000, generator)
        few = [likelihood_features(vae, x, q, 4, generator) for _ in range(60)]
    bound = (features["reconstruction"] + features["rate"])[:, 0]
    iw = features["nll_iw.q"][:, 0]  # q is the wider law of the two
    stderr = (1 / features["ess.q"][:, 0] - 1 / 4000).clamp(min=0).sqrt() + 1e-3  # of ln of a mean weight
    assert ((iw - exact).abs() < 5 * stderr).all()
    assert (stderr < 0.1).all()  # tight enough that a wrong density shows
    coarse = torch.cat([one["nll_iw.q"] for one in few], 1)
    coarse_stderr = coarse.std(1) / len(few) ** 0.5
    assert (coarse.mean(1) > exact - 5 * coarse_stderr - 1e-3).all()
    # The bound's mean over draws has the spread of ln w; at 4,000 draws that is below 0.05 nats here.
    assert (bound > coarse.mean(1) - 5 * coarse_stderr - 0.05).all()
    assert (bound - exact).mean() > 0


def test_the_check_sees_a_density_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a flow without its volume change passes for a law until it is weighed."""
    whole = bijections._Layered.forward

    def without(self: object, z: Tensor) -> tuple[Tensor, Tensor]:
        y, log_volume = whole(self, z)  # type: ignore[arg-type]
        return y, 0.0 * log_volume

    trained("iaf")
    monkeypatch.setattr(bijections._Layered, "forward", without)
    with pytest.raises(AssertionError):
        test_the_bound_lies_above_and_more_samples_come_down_to_the_truth("iaf", None)


@pytest.mark.parametrize("exponent", EXPONENTS.values(), ids=EXPONENTS.keys())
@pytest.mark.parametrize("name", LAWS)
def test_every_measure_can_be_read(name: str, exponent: Tensor | None) -> None:
    report = diagnose(equalized(trained(name), exponent), data(), iw_samples=8)
    assert len(report.findings) == D
    assert all(estimate.nll.value.isfinite().all() for estimate in report.importance.values())
    readings = (report.dimensions.kl, report.dimensions.std_mean, report.dimensions.signal_power)
    assert all(reading.value.isfinite().all() for reading in readings)
