"""Bijections and the laws they make, against autograd's Jacobians, quadrature and torch.distributions."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, LogNormal, MultivariateNormal

from lambda_vae.distributions import (
    AffineFlow,
    Density,
    DiagGaussian,
    Inverse,
    PlanarFlow,
    PosteriorDistribution,
    SplineFlow,
    TransformedDistribution,
    standard_normal,
)
from lambda_vae.errors import InputError

K, B, H = 3, 4, 5


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


FLOWS: dict[str, Callable[[int], nn.Module]] = {
    "autoregressive": lambda dim: AffineFlow(dim, H, 3, (8,), dim),
    "coupling": lambda dim: AffineFlow(dim, H, 3, (8,), 2),
    "planar": lambda dim: PlanarFlow(dim, H, 3),
}


def moved(flow: nn.Module, by: float = 0.5) -> nn.Module:
    """The flow in float64, its weights away from the identity."""
    flow = flow.double()
    with torch.no_grad():
        for number, parameter in enumerate(flow.parameters()):
            parameter.add_(by * drawn(*parameter.shape, seed=number))
    return flow


@pytest.fixture(params=FLOWS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


DIMS = pytest.mark.parametrize("dim", [1, 2, 5])


@DIMS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_flow_begins_as_the_identity_bit_for_bit(kind: str, dim: int, dtype: torch.dtype) -> None:
    flow, h, z = FLOWS[kind](dim).to(dtype), drawn(B, H, seed=1).to(dtype), drawn(K, B, dim, seed=2).to(dtype)
    y, log_volume = flow(h).forward(z)
    assert torch.equal(y, z)
    assert torch.equal(log_volume, torch.zeros(K, B, dtype=dtype))


@DIMS
def test_volume_is_the_jacobians(kind: str, dim: int) -> None:
    bijection, z = moved(FLOWS[kind](dim))(drawn(B, H, seed=1)), drawn(B, dim, seed=2)
    y, log_volume = bijection.forward(z)
    jacobian = torch.autograd.functional.jacobian(lambda z: bijection.forward(z)[0], z)
    own = torch.stack([jacobian[row, :, row] for row in range(B)])
    torch.testing.assert_close(log_volume, own.det().abs().log(), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(y, z)
    if B > 1:  # an example's map is its own affair
        assert (jacobian[0, :, 1:] == 0).all()


@DIMS
def test_inverse_comes_back_with_the_opposite_volume(kind: str, dim: int) -> None:
    bijection, z = moved(FLOWS[kind](dim))(drawn(B, H, seed=1)), drawn(K, B, dim, seed=2)
    y, log_volume = bijection.forward(z)
    again, opposite = bijection.inverse(y)
    torch.testing.assert_close(again, z, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(opposite, -log_volume, rtol=1e-7, atol=1e-7)


def test_inverse_is_differentiable(kind: str) -> None:
    bijection, y = moved(FLOWS[kind](2))(drawn(B, H, seed=1)), drawn(B, 2, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: bijection.inverse(y), (y,), atol=1e-5)


def test_planar_layers_stay_invertible_whatever_their_weights() -> None:
    for seed in range(20):
        flow = moved(PlanarFlow(3, H, 4), by=5.0)
        bijection, z = flow(3.0 * drawn(B, H, seed=seed)), 3.0 * drawn(K, B, 3, seed=100 + seed)
        _, log_volume = bijection.forward(z)
        assert log_volume.isfinite().all()  # ln of 1 + w.u (1 - tanh^2), which is positive only if w.u > -1


@pytest.mark.parametrize("passes", [2, 3])
def test_affine_flows_keep_tails_in_proportion_whatever_their_weights(passes: int) -> None:
    """Networks that grow with z would throw some draws of a flow prior a million times too far."""
    for seed in range(10):
        flow = moved(AffineFlow(3, H, 3, (8,), passes), by=5.0)
        z = 1e6 * drawn(B, 3, seed=seed)
        for y in (flow(drawn(B, H, seed=seed)).forward(z)[0], flow(drawn(B, H, seed=seed)).inverse(z)[0]):
            assert (y.abs() < 1.01 * 10**3 * z.abs().clamp(min=1e3)).all()


def test_autoregressive_flow_really_is(float64: None) -> None:
    flow = moved(AffineFlow(4, H, 1, (16,), 4))
    bijection, z = flow(drawn(1, H, seed=1)), drawn(1, 4, seed=2)
    jacobian = torch.autograd.functional.jacobian(lambda z: bijection.forward(z)[0], z)[0, :, 0]
    assert torch.equal(jacobian, jacobian.tril())
    assert (jacobian.tril(-1).count_nonzero()) == 6


def law(kind: str, dim: int, batch: int = B) -> TransformedDistribution:
    base = DiagGaussian(drawn(batch, dim, seed=3), 0.5 * drawn(batch, dim, seed=4) - 1.0)
    return TransformedDistribution(base, moved(FLOWS[kind](dim), by=0.3)(drawn(batch, H, seed=1)))


def test_is_a_law(kind: str) -> None:
    q = law(kind, 2)
    assert isinstance(q, PosteriorDistribution)
    assert isinstance(q, Density)
    assert q.noise_dim == 2
    assert q.mu is q.base.mu
    assert q.logvar is q.base.logvar


def test_density_of_a_draw_is_that_of_the_inverse(kind: str) -> None:
    q, eps = law(kind, 3), drawn(K, B, 3, seed=5)
    draw = q.rsample_and_log_prob(eps)
    assert draw.z.shape == (K, B, 3)
    assert torch.equal(draw.z, q.rsample(eps))
    assert draw.log_prob().shape == (K, B)
    torch.testing.assert_close(draw.log_prob(), q.log_prob(draw.z), rtol=1e-7, atol=1e-7)


def test_density_integrates_to_one(kind: str) -> None:
    q = law(kind, 2, batch=1)
    line = torch.arange(-12, 12, 0.1, dtype=torch.float64)
    z = torch.cartesian_prod(line, line)[:, None]
    with torch.no_grad():
        assert float(q.log_prob(z).exp().sum()) * 0.1**2 == pytest.approx(1.0, abs=1e-3)


class _Exp:
    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z.exp(), z.sum(-1)

    def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return y.log(), -y.log().sum(-1)


def test_exponential_of_a_gaussian_is_torchs_log_normal() -> None:
    base = DiagGaussian(drawn(B, 3, seed=1), drawn(B, 3, seed=2))
    q, outside = TransformedDistribution(base, _Exp()), Independent(LogNormal(base.mu, base.std), 1)
    z = drawn(K, B, 3, seed=3).exp()
    torch.testing.assert_close(q.log_prob(z), outside.log_prob(z), rtol=1e-12, atol=1e-12)
    eps = drawn(K, B, 3, seed=4)
    torch.testing.assert_close(
        q.rsample_and_log_prob(eps).log_prob(), outside.log_prob(q.rsample(eps)), rtol=1e-12, atol=1e-12
    )
    back = TransformedDistribution(base, Inverse(Inverse(_Exp())))
    assert torch.equal(back.log_prob(z), q.log_prob(z))


@pytest.mark.parametrize("dim", [1, 2, 30, 40])
def test_marginals_of_an_affine_map_are_exact(dim: int) -> None:
    """y = A z + b with z of unit covariance and mean 0 has the covariance A A^T, to the digit and for any D."""

    class Affine:
        matrix, offset = drawn(dim, dim, seed=1), drawn(dim, seed=2)

        def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
            return z @ self.matrix.T + self.offset, torch.linalg.slogdet(self.matrix)[1].expand(z.shape[:-1])

        def inverse(self, y: Tensor) -> tuple[Tensor, Tensor]:
            raise NotImplementedError

    map_, base = Affine(), DiagGaussian(drawn(B, dim, seed=3), drawn(B, dim, seed=4))
    marginals = TransformedDistribution(base, map_).marginals()
    for row in range(B):
        covariance = map_.matrix @ base.var[row].diag() @ map_.matrix.T
        outside = MultivariateNormal(map_.matrix @ base.mu[row] + map_.offset, covariance)
        torch.testing.assert_close(marginals.mu[row], outside.mean, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(marginals.var[row], outside.variance, rtol=1e-8, atol=1e-9)


def test_marginals_are_near_the_moments_of_many_draws(kind: str) -> None:
    q = law(kind, 3)
    with torch.no_grad():
        z = q.rsample(drawn(100_000, B, 3, seed=6))
    # 64 points know a standard deviation to about a tenth, and a mean, every point with its negative, better still;
    # less so where the flow has stretched the tails.
    assert ((q.marginals().mu - z.mean(0)).abs() < 0.2 * z.std(0)).all()
    assert ((q.marginals().std / z.std(0)).log().abs() < 0.35).all()
    assert ((q.marginals().std / z.std(0)).log().abs().median()) < 0.05


def test_marginals_of_equal_laws_are_equal_so_that_a_collapsed_dimension_shows_no_spread(kind: str) -> None:
    flow = moved(FLOWS[kind](3))
    same = TransformedDistribution(
        DiagGaussian(*drawn(2, 1, 3, seed=1).expand(2, B, 3)), flow(drawn(1, H, seed=1).expand(B, H))
    )
    with torch.no_grad():
        marginals = same.marginals()
    # What is left is the order of sums.
    assert float((marginals.mu.std(0) / marginals.std[0]).max()) < 1e-12
    assert float((marginals.std.std(0) / marginals.std[0]).max()) < 1e-12


def test_identity_flow_has_the_bases_marginals() -> None:
    base = DiagGaussian(drawn(B, 30, seed=1), drawn(B, 30, seed=2))
    marginals = TransformedDistribution(base, AffineFlow(30, 0, 2, (8,), 30).double()()).marginals()
    torch.testing.assert_close(marginals.mu, base.mu, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(marginals.logvar, base.logvar, rtol=1e-9, atol=1e-9)


def test_lambda_acts_on_the_noise_of_the_base() -> None:
    q, eps = law("autoregressive", 3), drawn(K, B, 3, seed=5)
    exponent = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    narrow = q.with_logvar(q.logvar * exponent)
    by_hand = q.bijection.forward(q.mu + q.std**exponent * eps)[0]
    torch.testing.assert_close(narrow.rsample(eps), by_hand, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        narrow.rsample_and_log_prob(eps).log_prob(), narrow.log_prob(narrow.rsample(eps)), rtol=1e-7, atol=1e-7
    )
    assert q.with_logvar(q.logvar) is q


def test_law_without_a_batch_serves_as_a_prior() -> None:
    flow = moved(AffineFlow(3, 0, 2, (8,), 3))
    p = TransformedDistribution(DiagGaussian(*torch.zeros(2, 3, dtype=torch.float64)), Inverse(flow()))
    z = p.rsample(drawn(K, B, 3, seed=1))
    assert z.shape == (K, B, 3)
    assert p.log_prob(z).shape == (K, B)
    assert p.marginals().mu.shape == (3,)
    start, log_volume = flow().forward(z)
    torch.testing.assert_close(start, drawn(K, B, 3, seed=1), rtol=1e-7, atol=1e-7)
    by_hand = -0.5 * (start.square() + math.log(2 * math.pi)).sum(-1) + log_volume
    torch.testing.assert_close(p.log_prob(z), by_hand, rtol=1e-10, atol=1e-10)


def test_nothing_is_computed_in_reduced_precision(kind: str) -> None:
    flow, h, z = FLOWS[kind](3), drawn(B, H, seed=1).float(), drawn(K, B, 3, seed=2).float()
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.3)
    wide = flow(h).forward(z)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = flow(h).forward(z)
        back = flow(h).inverse(narrow[0])[0]
    assert {narrow[0].dtype, narrow[1].dtype, back.dtype} == {torch.float32}
    assert torch.equal(wide[0], narrow[0])
    assert torch.equal(wide[1], narrow[1])


def test_making_a_flow_leaves_torchs_checks_as_they_were() -> None:
    AffineFlow(2, 0, 1, (4,), 2)
    with pytest.raises(ValueError, match="scale"):
        torch.distributions.Normal(0.0, -1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AffineFlow(2, 3, 0, (4,), 2), "flow_layers is 0"),
        (lambda: AffineFlow(2, 3, 1, (4, 0), 2), r"flow_hidden is \[4, 0\]"),
        (lambda: PlanarFlow(2, 3, 0), "flow_layers is 0"),
    ],
)
def test_sizes_out_of_range_are_refused(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_standard_normal_through_nothing_is_standard_normal() -> None:
    p = TransformedDistribution(standard_normal(3), AffineFlow(3, 0, 2, (8,), 3)())
    z = drawn(B, 3, seed=1).float()
    assert torch.equal(p.log_prob(z), standard_normal(3).log_prob(z))


def test_a_spline_flow_begins_as_the_identity_and_inverts_itself(normal64):
    for dim in (1, 4):
        flow, z = SplineFlow(dim, 2, (8,)), 2.0 * normal64(50, dim).float()
        y, log_volume = flow().forward(z)
        assert torch.allclose(y, z, atol=1e-5)
        assert torch.allclose(log_volume, torch.zeros(50), atol=1e-5)
        with torch.no_grad():
            for parameter in flow.parameters():
                parameter.add_(0.3 * normal64(*parameter.shape).float())
        y, log_volume = flow().forward(z)
        assert (y - z).abs().max() > 0.05
        back, returned = flow().inverse(y)
        assert torch.allclose(back, z, atol=1e-4)
        assert torch.allclose(returned, -log_volume, atol=1e-4)
        jacobian = torch.func.vmap(torch.func.jacrev(lambda one, flow=flow: flow().forward(one)[0]))(z[:5])
        assert torch.allclose(torch.linalg.slogdet(jacobian).logabsdet, log_volume[:5], atol=1e-4)


def test_a_spline_flow_of_no_layers_is_refused():
    with pytest.raises(InputError, match="a flow needs at least 1"):
        SplineFlow(2, 0, (8,))
