"""Proposition 1 in a VAE with a tanh decoder: rates at the collapsed point, alpha with the decoder held fixed."""

import math

import numpy as np
import torch
from diagnostics.linear_gaussian import draw, loadings
from torch import Tensor, nn

from lambda_vae.diagnostics.gradients import gradient_features
from lambda_vae.distributions import DiagGaussian, GaussianLikelihood
from lambda_vae.model import VAE
from lambda_vae.objectives import nll_bound
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

D, F = 6, 12
X = draw(loadings([12.0]), 256)  # one direction worth encoding


def small_vae(seed: int) -> VAE:
    decoder = nn.Sequential(nn.Linear(D, 16), nn.Tanh(), nn.Linear(16, F))
    vae = VAE(nn.Identity(), GaussianPosterior(F, D), StandardNormalPrior(D), decoder, GaussianLikelihood(F)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.normal_(0, 0.3, generator=generator)
        vae.posterior.head.weight[D:].zero_()
        vae.posterior.head.bias[D:].zero_()
        vae.likelihood.logvar.fill_(0.0)  # twice the noise of the data: what is left of them collapses
    vae.likelihood.logvar.requires_grad_(requires_grad=False)
    return vae


def noise(seed: int, samples: int = 4) -> Tensor:
    return torch.randn(samples, len(X), D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pull(vae: VAE, q: DiagGaussian, seed: int) -> np.ndarray:
    return gradient_features(vae, X, q, noise(seed))["pull"].mean(0).abs().numpy()


def trained() -> VAE:
    """A model of which all dimensions but one are collapsing."""
    vae = small_vae(1)
    optimizer = torch.optim.SGD([p for p in vae.parameters() if p.requires_grad], lr=0.05)
    for step in range(200):
        optimizer.zero_grad()
        nll_bound(vae(X, noise(1000 + step, 2))).mean().backward()
        optimizer.step()
    return vae


def test_rates_at_the_collapsed_point_are_those_of_mu_and_of_ln_sigma_squared() -> None:
    """Where the decoder ignores z, the gradient is the rate times the displacement: -1 for mu, -1/2 for logvar."""
    vae, shift = small_vae(0), 1e-4
    head = vae.posterior.head
    with torch.no_grad():
        vae.decoder[0].weight.zero_()
        head.weight.zero_()
        head.bias.fill_(shift)
    nll_bound(vae(X, noise(3))).mean().backward()
    rates = -head.bias.grad / shift
    torch.testing.assert_close(rates[:D], torch.full((D,), -1.0, dtype=torch.float64), rtol=1e-6, atol=0)
    torch.testing.assert_close(rates[D:], torch.full((D,), -0.5, dtype=torch.float64), rtol=1e-3, atol=0)


def test_with_the_decoder_fixed_alpha_is_zero() -> None:
    """g tends to minus the mean curvature of -log p(x|z) in z (Stein): sigma = 1 is no special point to a decoder."""
    distances = np.geomspace(0.0002, 0.02, 8)
    for vae in (small_vae(0), small_vae(2), trained()):
        with torch.no_grad():
            q = vae.encode(X).marginals()
        pulls = np.array(
            [pull(vae, DiagGaussian(q.mu, torch.full_like(q.mu, 2 * math.log1p(-u))), 5) for u in distances]
        )
        used = pulls[0] > 1e-3
        assert used.any()
        u = np.broadcast_to(distances[:, None], pulls.shape)[:, used].ravel()
        who = np.broadcast_to(np.arange(D), pulls.shape)[:, used].ravel()
        slopes = [np.polyfit(np.log(u[who == i]), np.log(pulls[:, i]), 1)[0] for i in np.flatnonzero(used)]
        assert max(map(abs, slopes)) < 0.05  # of a smooth g: u g'(1)/g(1), with u up to 0.02
