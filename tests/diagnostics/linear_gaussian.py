"""A VAE whose every number is known in closed form: x = W z + noise, W with orthogonal columns, linear encoder."""

import torch
from torch import Tensor, nn

from lambda_vae.distributions import GaussianLikelihood
from lambda_vae.model import VAE
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

NOISE_VAR = 0.5
FEATURES = 12


def loadings(information: list[float], seed: int = 0) -> Tensor:
    """Orthogonal columns w_i with |w_i|^2 / v = information[i]: the Fisher information of z_i. [F, D], float64."""
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(FEATURES, FEATURES, generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(square).Q[:, : len(information)]
    return basis * (torch.tensor(information, dtype=torch.float64) * NOISE_VAR).sqrt()


def draw(weights: Tensor, n: int, seed: int = 1) -> Tensor:
    """n examples of the true model, [n, F]."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, weights.shape[1], generator=generator, dtype=torch.float64)
    noise = torch.randn(n, len(weights), generator=generator, dtype=torch.float64)
    return z @ weights.T + NOISE_VAR**0.5 * noise


def linear_vae(
    decoder: Tensor,
    *,
    encoder: Tensor | None = None,
    signal: list[float | None] | None = None,
    std: list[float | None] | None = None,
) -> VAE:
    """A VAE with this decoder and, unless told otherwise, the exact posterior of its own model.

    encoder: loadings that the encoder thinks of, the decoder's if absent. signal: S_i it should have on data drawn from
    `encoder`'s loadings. std: sigma_i.
    """
    seen = decoder if encoder is None else encoder
    features, dim = decoder.shape
    information = seen.square().sum(0) / NOISE_VAR
    var = 1.0 / (1.0 + information)
    gain = var[:, None] * seen.T / NOISE_VAR
    for i, target in enumerate(signal or []):
        if target is not None:
            direction = seen[:, i] / seen[:, i].norm()
            power = seen[:, i].square().sum() + NOISE_VAR
            gain[i] = direction * (target / power).sqrt()
    logvar = var.log()
    for i, target in enumerate(std or []):
        if target is not None:
            logvar[i] = 2.0 * torch.tensor(target).log()
    vae = VAE(
        nn.Identity(),
        GaussianPosterior(features, dim),
        StandardNormalPrior(dim),
        nn.Linear(dim, features),
        GaussianLikelihood(features),
    ).double()
    with torch.no_grad():
        vae.posterior.head.weight.copy_(torch.cat((gain, torch.zeros_like(gain))))
        vae.posterior.head.bias.copy_(torch.cat((torch.zeros(dim), logvar)))
        vae.decoder.weight.copy_(decoder)
        vae.decoder.bias.zero_()
        vae.likelihood.logvar.fill_(torch.tensor(NOISE_VAR).log())
    return vae


def exact_nll(weights: Tensor, x: Tensor) -> Tensor:
    """-ln p(x), [B]."""
    covariance = weights @ weights.T + NOISE_VAR * torch.eye(len(weights), dtype=torch.float64)
    law = torch.distributions.MultivariateNormal(torch.zeros(len(weights), dtype=torch.float64), covariance)
    return -law.log_prob(x)
