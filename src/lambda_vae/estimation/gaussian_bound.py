"""H[Z] and I(X;Z) as if q(z) were Gaussian: upper bounds from means and covariances, which nothing saturates."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.estimation.aggregate import why_unusable
from lambda_vae.estimation.estimate import Estimate

__all__ = ["gaussian_entropy", "gaussian_information"]

_NOTE = "an upper bound: exact where q(z) is Gaussian"


def gaussian_entropy(mu: Float[Tensor, "N D"], logvar: Float[Tensor, "N D"]) -> Estimate:
    r"""Return the entropy of the Gaussian with q(z)'s covariance, in nats: no law of that covariance has more.

    .. math:: H[Z] \le \tfrac12 \ln\det(2 \pi e\, C), \quad C = \mathrm{Cov}_x[\mu] + E_x[\mathrm{diag}(\sigma^2)]

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of the law that z is drawn from.

    Raises:
        InputError: Shapes that differ.

    Source:
        Cover and Thomas, *Elements of Information Theory*, theorem 8.6.5. Corrected for what a covariance of N
        examples makes it low by, to first order in 1/N.
    """
    return _estimate(mu, logvar, given_x=False)


def gaussian_information(mu: Float[Tensor, "N D"], logvar: Float[Tensor, "N D"]) -> Estimate:
    r"""Return the information of the channel if q(z) were Gaussian, in nats: at least I(X;Z).

    .. math:: I(X;Z) \le \tfrac12 \ln\det C - \tfrac12 E_x \sum_i \ln\sigma_i^2

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of the law that z is drawn from.

    Raises:
        InputError: Shapes that differ.

    Source:
        The paper, Eq. 7, with the correlations between dimensions and E[ln sigma^2] instead of ln E[sigma^2], without
        which it is no bound.
    """
    return _estimate(mu, logvar, given_x=True)


@torch.no_grad()
def _estimate(mu: Float[Tensor, "N D"], logvar: Float[Tensor, "N D"], *, given_x: bool) -> Estimate:
    reason = why_unusable(mu, logvar)
    if reason:
        return Estimate.unknown(reason)
    mu, logvar, dim = mu.double(), logvar.double(), mu.shape[-1]
    centred, var = mu - mu.mean(0), torch.exp(logvar)
    covariance = centred.T @ centred / (len(mu) - 1) + torch.diag(var.mean(0))
    inverse = torch.linalg.inv(covariance)
    pulled = centred @ inverse
    distance = (pulled * centred).sum(-1)
    # what one example adds to the determinant's logarithm: to first order, and to second, which is its bias
    pull = distance + var @ inverse.diagonal() - dim
    squares = distance.square() + 2.0 * (var * pulled.square()).sum(-1) + ((var @ inverse.square()) * var).sum(-1)
    bias = (float(squares.mean()) - dim) / (2.0 * len(mu))
    constant = dim * (1.0 + math.log(2.0 * math.pi))
    within = logvar.sum(-1) + constant if given_x else torch.zeros_like(pull)
    value = 0.5 * float(torch.logdet(covariance) + bias + constant - within.mean())
    return Estimate(value, 0.5 * float((pull - within).std()) / math.sqrt(len(mu)), reason=_NOTE)
