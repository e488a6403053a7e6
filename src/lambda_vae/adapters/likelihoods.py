"""(x, z) -> log p(x|z) from a decoder, summed over the features, without a constant left out."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from lambda_vae.errors import InputError

__all__ = ["bernoulli", "density", "gaussian"]


def bernoulli(decode: Callable[[Tensor], Tensor], *, logits: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the log-likelihood of independent Bernoulli features.

    Args:
        decode: z -> the probabilities of 1, of as many numbers as x in any shape.
        logits: It gives ln(p / (1 - p)) instead, as a decoder without a last sigmoid does.

    Example:
        >>> bernoulli(lambda z: torch.full((1, 2), 0.5))(torch.ones(1, 2), torch.zeros(1, 1)).exp()
        tensor([0.2500])
    """

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        theta = _like(decode(z), x)
        if not logits and _outside(theta):
            raise InputError("decode gives numbers outside [0, 1], which are no probabilities; say logits=True")
        target = x.flatten(1).to(theta.dtype)
        if _outside(target, slack=1e-4):
            raise InputError(
                f"x lies between {float(x.min()):.3g} and {float(x.max()):.3g}, and a Bernoulli's in [0, 1]; scale the "
                "data (`x / 255`), or take `gaussian`"
            )
        loss = F.binary_cross_entropy_with_logits if logits else F.binary_cross_entropy
        return -loss(theta, target, reduction="none").sum(1)

    return log_likelihood


def gaussian(decode: Callable[[Tensor], Tensor], *, std: float | Tensor = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the log-likelihood of independent Gaussian features.

    Args:
        decode: z -> the means, of as many numbers as x in any shape.
        std: Noise of the observation; 1 belongs to a loss of half the summed squared error, sqrt(1/2) to the summed
            squared error.

    Raises:
        InputError: std is not greater than 0.
    """
    scale = torch.as_tensor(std)
    if not bool((scale > 0).all()):
        raise InputError(f"std is {std}; it must be greater than 0")

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        mean, noise = _like(decode(z), x), scale.to(x.device).flatten()
        squared = ((x.flatten(1) - mean) / noise).square()
        return -0.5 * (squared + 2.0 * noise.log() + math.log(2.0 * math.pi)).sum(1)

    return log_likelihood


def density(decode: Callable[[Tensor], Distribution]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the log-likelihood of a decoder that answers with a torch distribution of x.

    Args:
        decode: z -> p(x|z); what its log_prob leaves of the features is summed.
    """

    def log_likelihood(x: Tensor, z: Tensor) -> Tensor:
        law = decode(z)
        if not callable(getattr(law, "log_prob", None)):
            raise InputError(
                f"decode gave a {type(law).__name__}; `density` wants a torch distribution of x, `bernoulli` and "
                "`gaussian` a tensor"
            )
        log_p: Tensor = law.log_prob(x)
        return log_p.flatten(1).sum(1) if log_p.dim() > 1 else log_p

    return log_likelihood


def _outside(values: Tensor, slack: float = 0.0) -> bool:
    return bool((values < -slack).any() or (values > 1.0 + slack).any())


def _like(theta: object, x: Tensor) -> Tensor:
    if not isinstance(theta, Tensor):
        raise InputError(
            f"decode gave a {type(theta).__name__}; pick its tensor: `lambda z: decode(z)[0]`, or `.sample`"
        )
    flat = theta.flatten(1)
    if flat.shape != (len(x), x[0].numel()):
        raise InputError(
            f"decode gave {list(theta.shape)} for x of {list(x.shape)}; it must give one number for each of x's"
        )
    return flat
