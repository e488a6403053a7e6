"""What an exponent does to gradients: Eq. 3, 11 and 21 against autograd and finite differences, on common noise."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Normal, kl_divergence

from lambda_vae.equalization import theory


class Scene:
    """A small decoder, five data points, and noise shared by everything compared."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(11)
        weights = [torch.randn(4, 3, generator=generator), torch.randn(6, 4, generator=generator)]
        self.weights = [weight.double() for weight in weights]
        self.x = torch.bernoulli(torch.full((5, 6), 0.4), generator=generator).double()
        self.mu = torch.randn(5, 3, generator=generator).double()
        self.std = (0.1 + 0.8 * torch.rand(5, 3, generator=generator)).double()
        self.eps = torch.randn(50, 5, 3, generator=generator).double()
        self.exponent = torch.tensor([1.0, 2.5, 7.0], dtype=torch.float64)

    def log_likelihood(self, z: Tensor) -> Tensor:
        first, second = self.weights
        return Bernoulli(logits=torch.tanh(z @ first.T) @ second.T).log_prob(self.x).sum(-1)

    def reconstruction(self, std: Tensor, exponent: Tensor) -> Tensor:
        """E log p(x|z) over the noise, summed over the data."""
        return self.log_likelihood(self.mu + theory.sampling_std(std, exponent) * self.eps).mean(0).sum()

    def objective(self, std: Tensor, exponent: Tensor) -> Tensor:
        """Eq. 10: z from q_lambda, the KL of q_1."""
        q, prior = Normal(self.mu, std), Normal(torch.zeros_like(std), torch.ones_like(std))
        return self.reconstruction(std, exponent) - kl_divergence(q, prior).sum()

    def decoder_slope(self, std: Tensor, exponent: Tensor) -> Tensor:
        """The gradient of log p(x|z) at the sampled z, [K, B, D]."""
        z = (self.mu + theory.sampling_std(std, exponent) * self.eps).requires_grad_()
        (slope,) = torch.autograd.grad(self.log_likelihood(z).sum(), z)
        return slope

    def reconstruction_gradient(self, exponent: Tensor) -> Tensor:
        """g of Eq. 3: the mean over the noise of slope times eps, at the z of this exponent."""
        return (self.decoder_slope(self.std, exponent) * self.eps).mean(0)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_eq_11_is_the_gradient_of_the_objective(scene: Scene) -> None:
    std = scene.std.clone().requires_grad_()
    (by_autograd,) = torch.autograd.grad(scene.objective(std, scene.exponent), std)
    g = scene.reconstruction_gradient(scene.exponent)
    printed = theory.gradient_amplification(scene.std, scene.exponent) * g + 1 / scene.std - scene.std
    torch.testing.assert_close(by_autograd, printed, rtol=1e-11, atol=1e-12)
    without_amplification = g + 1 / scene.std - scene.std
    assert not torch.allclose(by_autograd[:, 1:], without_amplification[:, 1:], rtol=1e-2)


def test_eq_11_is_what_finite_differences_give(scene: Scene) -> None:
    g = scene.reconstruction_gradient(scene.exponent)
    printed = theory.gradient_amplification(scene.std, scene.exponent) * g + 1 / scene.std - scene.std
    for i in range(3):
        step = torch.zeros_like(scene.std)
        step[2, i] = 1e-5
        up, down = scene.objective(scene.std + step, scene.exponent), scene.objective(scene.std - step, scene.exponent)
        assert ((up - down) / 2e-5).item() == pytest.approx(printed[2, i].item(), rel=1e-6, abs=1e-8)


def test_eq_21_is_the_correction_of_the_gradient_with_respect_to_log_std(scene: Scene) -> None:
    slope = scene.decoder_slope(scene.std, scene.exponent)  # Eq. 21 holds this fixed: it has one g for both terms
    log_std = scene.std.log().requires_grad_()
    equalized = (slope * theory.sampling_std(log_std.exp(), scene.exponent) * scene.eps).mean(0).sum()
    plain = (slope * log_std.exp() * scene.eps).mean(0).sum()
    (by_autograd,) = torch.autograd.grad(equalized - plain, log_std)
    g = scene.reconstruction_gradient(scene.exponent)
    printed = (scene.exponent * scene.std**scene.exponent - scene.std) * g
    torch.testing.assert_close(by_autograd, printed, rtol=1e-11, atol=1e-13)
    assert by_autograd[:, 1:].abs().min() > 0


def test_eq_21_holds_exactly_if_each_term_has_its_own_g(scene: Scene) -> None:
    log_std = scene.std.log().requires_grad_()
    ones = torch.ones_like(scene.exponent)
    correction = scene.objective(log_std.exp(), scene.exponent) - scene.objective(log_std.exp(), ones)
    (by_autograd,) = torch.autograd.grad(correction, log_std)
    equalized = scene.exponent * scene.std**scene.exponent * scene.reconstruction_gradient(scene.exponent)
    plain = scene.std * scene.reconstruction_gradient(ones)
    torch.testing.assert_close(by_autograd, equalized - plain, rtol=1e-11, atol=1e-12)


def test_gradient_amplification_is_the_derivative_of_sampling_std() -> None:
    std = torch.tensor([0.01, 0.3, 0.999, 1.0, 1.7, 1e10], dtype=torch.float64, requires_grad=True)
    for exponent in (1.0, 1.5, 20.0):
        (slope,) = torch.autograd.grad(theory.sampling_std(std, exponent).sum(), std)
        torch.testing.assert_close(slope, theory.gradient_amplification(std.detach(), exponent), rtol=1e-12, atol=0)


def test_gradient_amplification_is_the_exponent_close_to_collapse() -> None:
    assert theory.gradient_amplification(1 - 1e-9, 7.0) == pytest.approx(7.0, rel=1e-7)


@pytest.mark.parametrize("exponent", [1.0, 1.000001, 1.2, 6.0])
def test_every_formula_has_the_derivative_of_finite_differences(exponent: float) -> None:
    std = torch.tensor([0.15, 0.5, 0.93], dtype=torch.float64, requires_grad=True)
    power = torch.full_like(std, exponent + 1e-3).requires_grad_()
    pairs = [theory.excess_kl, theory.information_gain, theory.gradient_amplification, theory.sampling_std]
    for formula in (*pairs, lambda s, e: theory.net_information_gain(s, e, 1.1)):
        assert torch.autograd.gradcheck(formula, (std, power))
    assert torch.autograd.gradcheck(theory.attractor_std, (torch.full_like(std, exponent).requires_grad_(),))
    assert torch.autograd.gradcheck(lambda s: theory.optimal_exponent(s, 1.1), (std,))
    assert torch.autograd.gradcheck(theory.sampling_logvar, (2 * std.log().detach().requires_grad_(), power))


def test_gradients_are_finite_wherever_std_is_positive() -> None:
    std = torch.tensor([1e-30, 0.5, 1.0, 1.5, 1e30], requires_grad=True)
    exponent = torch.tensor([1.0, 20.0, 1.0, 20.0, 20.0], requires_grad=True)
    for formula in (theory.sampling_std, theory.excess_kl, theory.information_gain, theory.gradient_amplification):
        gradients = torch.autograd.grad(formula(std, exponent).sum(), (std, exponent))
        assert all(gradient.isfinite().all() for gradient in gradients), formula.__name__
    (gradient,) = torch.autograd.grad(theory.optimal_exponent(std, 1.01).sum(), std)
    assert gradient.isfinite().all()


def test_noise_hurts_a_good_decoder_so_that_g_is_negative() -> None:
    # log p(x|z) = -(x - z)^2 / 2 with mu = x: the gradient of E log p with respect to sigma is -sigma.
    eps = torch.randn(4000, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    std = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad((-0.5 * (std * eps) ** 2).mean(), std)
    assert g.item() == pytest.approx(-0.6, rel=0.1)
    # A.2 has the sign of g flipped: the root of g + 1/sigma - sigma = 0 is below 1 just because g is negative.
    equilibrium = (g + torch.sqrt(g**2 + 4)) / 2
    assert (g + 1 / equilibrium - equilibrium).abs() < 1e-12
    assert equilibrium < 1 < (-g + torch.sqrt(g**2 + 4)) / 2


def test_a_module_trains_through_sampling_logvar() -> None:
    layer = nn.Linear(2, 2)
    theory.sampling_logvar(layer(torch.ones(3, 2)), torch.tensor([1.0, 3.0])).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.isfinite().all()
    assert math.isfinite(float(layer.weight.grad.sum()))
