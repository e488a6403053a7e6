"""Whether the codes look like N(0, I), each number of the latent by itself: its mean, its variance and its shape."""

import math

import torch
from torch import Tensor

from lambda_vae.distributions import DiagGaussian

__all__ = ["codes_off_prior"]

#: Fewer examples say too little of a shape.
_FEWEST = 64

#: Nats, altogether and as a share of the KL, below which a misfit is not worth a word.
_NATS, _SHARE = 0.5, 0.1


def codes_off_prior(q: DiagGaussian, sites: int) -> str | None:
    r"""Return a sentence where q(z) is far from N(0, I), else None.

    .. math:: \mathrm{KL}(q(z_i) \,\|\, N(0, 1)) = \tfrac12 (m^2 + V - 1 - \ln V) + J_i

    with the negentropy J by Vasicek's spacings, less what a Gaussian sample of this length shows.

    Args:
        q: Of some examples, [B, D * sites].
        sites: Of each dimension.

    Source:
        Vasicek 1976, "A test for normality based on sample entropy", Eq. 1.
    """
    if len(q.mu) < _FEWEST:
        return None
    mean, variance, shape = _moments(q)
    misfit = 0.5 * (mean.square() + variance - 1.0 - variance.log()) + shape
    kl = 0.5 * (q.mu.double().square() + q.var.double() - 1.0 - q.logvar.double()).sum(-1).mean()
    total = float(misfit.sum())
    if not total > max(_NATS, _SHARE * float(kl)):
        return None
    worst = int(misfit.argmax())
    return (
        f"The codes do not look like N(0, I), by {total:.1f} of {float(kl):.1f} nats of KL: dimension {worst // sites} "
        f"has mean {float(mean[worst]):.2f} and variance {float(variance[worst]):.2f}; if the model was trained with "
        "another prior, give prior=."
    )


def _moments(q: DiagGaussian) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of q(z), exact for these examples, and what its shape is worth by one draw of each."""
    mu, var = q.mu.double(), q.var.double()
    mean, variance = mu.mean(0), mu.var(0, correction=0) + var.mean(0)
    eps = torch.randn((2, *mu.shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(mu.device)
    z = mu + var.sqrt() * eps[0]
    return mean, variance, _negentropy(z) - _negentropy(eps[1]).mean()


def _negentropy(z: Tensor) -> Tensor:
    """Nats between each column and the Gaussian of its variance."""
    count = len(z)
    step = max(1, round(count**0.5))
    ordered = ((z - z.mean(0)) / z.std(0, correction=0).clamp(min=1e-12)).sort(0).values
    place = torch.arange(count, device=z.device)
    wide = ordered[(place + step).clamp(max=count - 1)] - ordered[(place - step).clamp(min=0)]
    entropy: Tensor = (wide.clamp(min=1e-12) * count / (2 * step)).log().mean(0)
    return 0.5 * math.log(2.0 * math.pi * math.e) - entropy
