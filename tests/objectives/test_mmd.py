"""The squared MMD and its kernels: a double loop, closed forms for Gaussians, and its mean under equal laws."""

import math

import pytest
import torch
from scipy.integrate import quad
from small_scene import B, D, normal, passed

from lambda_vae.errors import InputError
from lambda_vae.objectives import IMQ, KERNELS, RBF, squared_mmd
from lambda_vae.objectives.mmd import mmd_from_prior

KERNELS_HERE = [RBF(), RBF(0.3), IMQ(), IMQ((0.1, 1.0, 10.0))]


def similarity(kernel, x, y):
    """One pair of points from the formulas as they are printed, with C = 2 D scale."""
    squared = sum((float(a) - float(b)) ** 2 for a, b in zip(x, y, strict=True))
    base = 2.0 * len(x)
    if isinstance(kernel, RBF):
        return math.exp(-squared / (base * kernel.scale))
    return sum(base * scale / (base * scale + squared) for scale in kernel.scales)


@pytest.mark.parametrize("kernel", KERNELS_HERE, ids=repr)
def test_statistic_is_the_double_loop(kernel):
    x, y = normal(5, 3), 1.5 * normal(4, 3, seed=3) + 0.5
    within = [
        sum(similarity(kernel, a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j) / (n * (n - 1))
        for z, n in ((x, 5), (y, 4))
    ]
    across = sum(similarity(kernel, a, b) for a in x for b in y) / 20
    assert squared_mmd(x, y, kernel).item() == pytest.approx(sum(within) - 2 * across, rel=1e-11, abs=1e-13)


def test_sets_do_not_meet():
    x, y = normal(3, 5, 2), normal(6, 2, seed=3)
    whole = squared_mmd(x, y, IMQ())
    assert whole.shape == (3,)
    torch.testing.assert_close(whole[1], squared_mmd(x[1], y, IMQ()))


@pytest.mark.parametrize("kernel", KERNELS_HERE, ids=repr)
def test_mean_is_zero_where_the_laws_are_the_same(kernel):
    """4,000 small sets; the biased statistic, with each point beside itself, would be far above."""
    values = torch.cat([squared_mmd(normal(40, 8, 3, seed=s), normal(8, 3, seed=1000 + s), kernel) for s in range(100)])
    by_prior = values.view(100, 40).mean(1)  # sets that share draws of y are not independent
    stderr = by_prior.std().item() / 10
    assert abs(by_prior.mean().item()) < 4 * stderr
    assert (values < 0).double().mean() > 0.3
    assert values.mean().item() + (kernel(torch.zeros(())).item() / 8) > 20 * stderr


def expected_rbf(variance, shift, scale):
    """E k(x, y) where x - y is N(shift, variance I) in D dimensions, in closed form."""
    length = 2.0 * D * scale
    return (1 + 2 * variance / length) ** (-D / 2) * math.exp(-(shift**2) / (length + 2 * variance))


def expected_imq(variance, shift, scale):
    """The same, IMQ being a mixture of RBFs: C/(C + s) is the integral of exp(-t (1 + s/C)) over t."""
    return quad(lambda t: math.exp(-t) * expected_rbf(variance, shift, scale / t), 0, math.inf)[0]


@pytest.mark.parametrize(("name", "expected"), [("rbf", expected_rbf), ("imq", expected_imq)])
@pytest.mark.parametrize("scale", [0.4, 2.0])
def test_mean_for_two_gaussians_is_the_closed_form(name, expected, scale):
    std, shift, sets = 0.5, 1.2, 400
    exact = expected(2 * std**2, 0, scale) + expected(2, 0, scale) - 2 * expected(1 + std**2, shift, scale)
    move = torch.zeros(D, dtype=torch.float64)
    move[0] = shift
    values = torch.stack(
        [squared_mmd(move + std * normal(30, D, seed=s), normal(30, D, seed=5000 + s), KERNELS[name](scale))
         for s in range(sets)]
    )  # fmt: skip
    stderr = values.std().item() / sets**0.5
    assert abs(values.mean().item() - exact) < 4 * stderr
    assert exact > 20 * stderr


def test_identical_points_have_finite_gradients():
    """At distance 0 a root has none; a collapsed encoder gets there."""
    x = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    for kernel in KERNELS_HERE:
        (gradient,) = torch.autograd.grad(squared_mmd(x, normal(4, 3), kernel), x)
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0


def test_gradient_is_right():
    y = normal(4, 3, seed=3)
    for kernel in KERNELS_HERE:
        assert torch.autograd.gradcheck(
            lambda x, kernel=kernel: squared_mmd(x, y, kernel), normal(5, 3).requires_grad_()
        )


def test_float32_keeps_its_digits_far_from_the_origin():
    x, y = 100 + normal(20, 3), 100 + normal(20, 3, seed=3)
    torch.testing.assert_close(
        squared_mmd(x.float(), y.float(), RBF()).double(), squared_mmd(x, y, RBF()), rtol=1e-3, atol=1e-5
    )


def test_of_a_trace_it_compares_what_the_decoder_gets_with_draws_from_the_prior():
    trace = passed(exponent=(2.0, 2.0, 2.0, 2.0))
    found = mmd_from_prior(trace, RBF())
    assert found.shape == (3, 1)
    for k in range(3):
        torch.testing.assert_close(found[k, 0], squared_mmd(trace.z[k], normal(B, D, seed=3), RBF()))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("name", KERNELS)
def test_bad_scales_are_refused(name, scale):
    with pytest.raises(InputError, match=f"kernel_scale is {scale}"):
        KERNELS[name](scale)


def test_a_single_point_is_refused():
    with pytest.raises(InputError, match="a batch of 1 has no pairs for the MMD; use `batch_size=2` or more"):
        squared_mmd(normal(3, 1, 2), normal(1, 2), RBF())
