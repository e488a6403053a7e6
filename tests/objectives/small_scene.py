"""A small VAE and a batch for the tests of objectives."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lambda_vae.distributions import BernoulliLikelihood, Density, DiagGaussian, PosteriorDistribution
from lambda_vae.equalization import Equalization
from lambda_vae.model import VAE, Trace
from lambda_vae.networks import mlp
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import Prior, StandardNormalPrior

B, F, D = 6, 9, 4
EXPONENT = (1.0, 1.5, 4.0, 20.0)


@dataclass(frozen=True, eq=False)
class Opaque:
    """A Gaussian that no closed form knows: whatever reads it must go by its draws and its density."""

    law: DiagGaussian

    @property
    def noise_dim(self) -> int:
        return self.law.noise_dim

    def rsample(self, eps: Tensor) -> Tensor:
        return self.law.rsample(eps)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.law.log_prob(z)

    def marginals(self) -> DiagGaussian:
        return self.law


class LearnedPrior(Prior):
    """N(mu, exp(logvar)), learned, with or without a closed form."""

    def __init__(self, *, opaque: bool) -> None:
        super().__init__()
        self.mu, self.logvar = nn.Parameter(torch.zeros(D)), nn.Parameter(torch.zeros(D))
        self.opaque = opaque

    def forward(self, encode: Callable[[Tensor], PosteriorDistribution]) -> Density:
        law = DiagGaussian(self.mu, self.logvar)
        return Opaque(law) if self.opaque else law


def small_vae(dtype: torch.dtype = torch.float64, prior: Prior | None = None) -> VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = VAE(
            mlp(F, (7,)), GaussianPosterior(7, D), prior or StandardNormalPrior(D), mlp(D, (7,), F),
            BernoulliLikelihood(F),
        )  # fmt: skip
        for parameter in vae.parameters():
            nn.init.normal_(parameter, std=0.6)
    return vae.to(dtype)


def normal(*shape: int, seed: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def batch(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.bernoulli(torch.full((B, F), 0.4), generator=torch.Generator().manual_seed(1)).to(dtype)


def passed(vae: VAE | None = None, exponent: tuple[float, ...] | None = None, samples: int = 3, seed: int = 2) -> Trace:
    vae = vae or small_vae()
    dtype = next(vae.parameters()).dtype
    eps, prior_eps = normal(samples, B, D, seed=seed, dtype=dtype), normal(B, D, seed=seed + 1, dtype=dtype)
    lambdas = None if exponent is None else torch.tensor(exponent, dtype=dtype)
    trace: Trace = vae.with_equalization(Equalization(lambdas))(batch(dtype), eps, prior_eps=prior_eps)
    return trace
