"""A Normal drawn with sigma^lambda: torch's own bit for bit at exponent 1, and all but its samples torch's above it."""

import pytest
import torch
from apart import run_apart
from torch.distributions import Independent, Normal, kl_divergence

from lambda_vae.equalizing import EqualizedNormal
from lambda_vae.errors import InputError

HALF = (torch.float16, torch.bfloat16)


def parameters(dtype=torch.float32):
    return torch.linspace(-1, 1, 12).view(3, 4).to(dtype), torch.linspace(0.1, 1.3, 12).view(3, 4).to(dtype)


@pytest.mark.parametrize("draw", ["rsample", "sample"])
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("exponent", [1.0, 1, torch.ones(4), torch.ones(4, dtype=torch.float64)])
@pytest.mark.parametrize("dtype", [*HALF, torch.float32, torch.float64])
def test_with_exponent_one_it_is_torchs_normal_bit_for_bit(draw, wrapped, exponent, dtype):
    laws = [EqualizedNormal(*parameters(dtype), exponent), Normal(*parameters(dtype))]
    if wrapped:
        laws = [Independent(law.expand((2, 3, 4)), 1) for law in laws]
    draws = []
    for law in laws:
        torch.manual_seed(0)
        draws.append(getattr(law, draw)((5,)))
    assert torch.equal(*draws)
    assert draws[0].dtype == draws[1].dtype == dtype


def test_samples_are_narrow_and_all_else_is_of_scale():
    loc, scale = parameters()
    exponent = torch.tensor([1.0, 2.0, 3.0, 20.0])
    q, plain, prior = EqualizedNormal(loc, scale, exponent), Normal(loc, scale), Normal(torch.zeros(3, 4), 1.0)
    z = q.rsample((40000,))
    narrow = torch.where(scale < 1, scale**exponent, scale)
    assert torch.allclose(z.std(0), narrow, rtol=0.02)
    assert torch.allclose(z.mean(0), loc, atol=0.03)
    assert torch.equal(kl_divergence(q, prior), kl_divergence(plain, prior))
    assert torch.equal(kl_divergence(Independent(q, 1), Independent(prior, 1)), kl_divergence(plain, prior).sum(1))
    assert torch.equal(q.entropy(), plain.entropy())
    assert torch.equal(q.log_prob(loc + 1), plain.log_prob(loc + 1))
    assert torch.equal(q.sampled.scale, q.sampling_std)
    assert float(kl_divergence(q.sampled, prior).sum()) > float(kl_divergence(q, prior).sum())


def test_the_gradient_goes_through_sigma_to_the_lambda():
    scale = torch.tensor([0.5], requires_grad=True)
    torch.manual_seed(0)
    z = EqualizedNormal(torch.zeros(1), scale, 3.0).rsample()
    (slope,) = torch.autograd.grad(z.sum(), scale)
    torch.manual_seed(0)
    assert float(slope) == pytest.approx(3 * 0.5**2 * float(torch.randn(1)), rel=1e-5)


@pytest.mark.parametrize("dtype", HALF)
def test_in_half_precision_sigma_to_the_lambda_is_taken_in_single(dtype):
    scale = torch.tensor([0.7], dtype=dtype)
    q = EqualizedNormal(torch.zeros(1, dtype=dtype), scale, torch.tensor([1.037]))  # 1.037 is no number of half's
    assert q.sampling_std.dtype == q.rsample().dtype == dtype
    assert torch.equal(q.sampling_std, (scale.float() ** 1.037).to(dtype))


def test_in_double_a_number_keeps_its_digits():
    q = EqualizedNormal(torch.zeros(1, dtype=torch.float64), torch.tensor([0.7], dtype=torch.float64), 1.1)
    assert float(q.sampling_std) == pytest.approx(0.7**1.1, rel=1e-15)


@pytest.mark.parametrize(
    ("loc", "scale", "exponent", "batch_shape"),
    [
        (0.0, 0.5, 2.0, ()),
        (0.0, 0.5, torch.tensor([1.0, 2.0, 4.0]), (3,)),
        (torch.zeros(3), 0.5, torch.full((2, 3), 2.0), (2, 3)),
        (torch.zeros(2, 1), torch.full((3,), 0.5), torch.tensor([1.0, 2.0, 4.0]), (2, 3)),
        (torch.zeros(5, 2, 1), torch.full((1, 1), 0.5), torch.tensor([[1.0, 2.0, 4.0]]), (5, 2, 3)),
        (torch.zeros(2, 3, 4), torch.full((2, 3, 4), 0.5), torch.tensor([[1.0], [2.0], [4.0]]), (2, 3, 4)),
    ],
)  # fmt: skip
def test_all_three_broadcast_and_everything_has_the_batch_shape(loc, scale, exponent, batch_shape):
    q = EqualizedNormal(loc, scale, exponent)
    z = q.rsample((20000,))
    shapes = [
        q.batch_shape, q.loc.shape, q.scale.shape, q.sampling_std.shape, q.rsample().shape, q.sample().shape,
        kl_divergence(q, Normal(0.0, 1.0)).shape, q.log_prob(q.mean).shape, q.entropy().shape, z.shape[1:],
        q.expand((6, *batch_shape)).rsample().shape[1:], q.expand((6, *batch_shape)).batch_shape[1:],
    ]  # fmt: skip
    assert set(shapes) == {torch.Size(batch_shape)}
    assert torch.allclose(z.std(0), (0.5 ** torch.as_tensor(exponent)).expand(batch_shape), rtol=0.03)
    assert torch.allclose(q.expand((6, *batch_shape)).sampling_std, q.sampling_std)


@pytest.mark.parametrize(
    ("exponent", "says"),
    [
        (0.5, r"exponent is 0\.5; it must be at least 1"),
        (float("nan"), "exponent is nan; it must be at least 1"),
        (torch.tensor([2.0, 0.5, 3.0]), r"exponent is 0\.5; it must be at least 1"),
        (torch.tensor([2.0, torch.nan, 3.0]), "exponent is nan; it must be at least 1"),
        (torch.full((4,), 2.0), r"exponent has shape \[4\], which does not broadcast .* \[2, 3\]"),
        (torch.full((3, 3), 2.0), r"exponent has shape \[3, 3\], which does not broadcast .* \[2, 3\]"),
    ],
)
def test_an_exponent_that_is_none_is_refused(exponent, says):
    with pytest.raises(InputError, match=says):
        EqualizedNormal(torch.zeros(2, 3), torch.ones(3), exponent, validate_args=True)


def test_without_validation_no_tensor_is_looked_at_but_every_number_is():
    EqualizedNormal(torch.zeros(2), torch.ones(2), torch.tensor(0.5), validate_args=False)
    # on the meta device a look at a value is an error
    EqualizedNormal(*(torch.ones(2, device="meta") for _ in range(3)), validate_args=False)
    with pytest.raises(InputError, match=r"exponent is 0\.5"):
        EqualizedNormal(torch.zeros(2), torch.ones(2), 0.5, validate_args=False)


COMPILED = """
import torch
from torch.distributions import Normal, kl_divergence
from lambda_vae import EqualizedNormal

def loss(mu, std, exponent):
    q = EqualizedNormal(mu, std, exponent)
    kl = kl_divergence(q, Normal(torch.zeros_like(mu), 1.0))
    return (q.rsample() * torch.arange(6.0).view(3, 2) + kl).sum()

for exponent in (2.0, torch.tensor([1.0, 2.0])):
    losses, slopes = [], []
    for function in (loss, torch.compile(loss, backend="aot_eager", fullgraph=True)):
        std = torch.full((3, 2), 0.5, requires_grad=True)
        torch.manual_seed(0)
        losses.append(function(torch.zeros(3, 2), std, exponent))
        slopes.append(torch.autograd.grad(losses[-1], std)[0])
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*slopes)
"""


def test_it_compiles_into_one_graph():
    run_apart(COMPILED)
