"""InfoNCE: I(X;Z) from batches, as it is trained with elsewhere, with the cap that its batch sets."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.estimation._mutual_information import MutualInformation
from lambda_vae.estimation.aggregate import log_pairs, noises, why_unusable
from lambda_vae.estimation.estimate import mean_over_examples

__all__ = ["contrastive_information", "info_nce"]


def info_nce(scores: Float[Tensor, "R B B"]) -> MutualInformation:
    r"""Return the InfoNCE bound of R batches of B pairs.

    .. math:: E\Bigl[\ln \frac{e^{f(x_i, z_i)}}{\frac1B \sum_j e^{f(x_j, z_i)}}\Bigr] \le \min(I(X;Z), \ln B)

    Args:
        scores: f(x_j, z_i) at [r, i, j], of any critic f; the pairs that belong together on the diagonal.

    Source:
        van den Oord et al. 2018, arXiv:1807.03748; Poole et al. 2019, arXiv:1905.06922.

    Example:
        >>> blind = info_nce(torch.zeros(5, 8, 8))
        >>> blind.value, round(blind.cap, 3)
        (0.0, 2.079)
    """
    batch = scores.shape[-1]
    cap = math.log(batch) if batch else math.nan
    if batch < 2 or not len(scores):
        return MutualInformation.unknown(f"{len(scores)} batches of {batch}; InfoNCE needs pairs to tell apart", cap)
    return _from_shares(_log_shares(scores), cap)


def _log_shares(scores: Float[Tensor, "*batches B B"]) -> Float[Tensor, "*batches B"]:
    return torch.log_softmax(scores.double(), -1).diagonal(dim1=-2, dim2=-1)


def _from_shares(log_shares: Float[Tensor, "R B"], cap: float) -> MutualInformation:
    if not bool(torch.isfinite(log_shares).all()):
        return MutualInformation.unknown("scores are not finite", cap)
    value, stderr = mean_over_examples(log_shares.reshape(1, -1))
    return MutualInformation(value + cap, stderr, cap, float(log_shares.exp().mean()))


def contrastive_information(
    mu: Float[Tensor, "N D"],
    logvar: Float[Tensor, "N D"],
    generator: torch.Generator | None,
    *,
    batch_size: int,
    draws: int = 1,
) -> MutualInformation:
    """Return InfoNCE with the best critic there is, ln q(z|x), over random batches of a data set.

    With one batch of all examples it is `mutual_information`. What does not fill a batch is left out.

    Args:
        mu: Posterior means of the whole data set.
        logvar: ln sigma^2 of the law that z is drawn from.
        generator: The source of chance, also of which examples share a batch.
        batch_size: B.
        draws: Of each example, each in a batch of its own.

    Raises:
        InputError: Shapes that differ, no draws, or batches of less than 2 or more than N.
    """
    reason = why_unusable(mu, logvar)
    if reason:
        return MutualInformation.unknown(reason, math.log(max(batch_size, 1)))
    if not 2 <= batch_size <= len(mu):
        raise InputError(f"batch_size is {batch_size}; it must be 2 to {len(mu)}, the number of examples")
    log_shares = []
    for eps in noises(mu, generator, draws):
        source = generator.device if generator is not None else mu.device
        order = torch.randperm(len(mu), generator=generator, device=source).to(mu.device)
        for rows in torch.split(order[: len(mu) // batch_size * batch_size], batch_size):
            means, logvars = mu[rows].double(), logvar[rows].double()
            scores = log_pairs(means + torch.exp(0.5 * logvars) * eps[rows], means, logvars)
            log_shares.append(_log_shares(scores))
    return _from_shares(torch.stack(log_shares), math.log(batch_size))
