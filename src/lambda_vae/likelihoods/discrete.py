"""Zeros and ones, and categories."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lambda_vae import distributions
from lambda_vae.distributions import Bernoulli, LikelihoodDistribution
from lambda_vae.errors import InputError
from lambda_vae.likelihoods.base import Decode, DecoderLikelihood, log_probabilities, numbers_of
from lambda_vae.likelihoods.shapes import flat_as, tensor_of

__all__ = ["BernoulliFeatures", "Categorical", "bernoulli", "categorical"]

#: Logits of probabilities that are 0 or 1 in float32, where torch's cross-entropy ends too.
_FARTHEST = 100.0


class BernoulliFeatures(DecoderLikelihood):
    """Log-likelihood of independent Bernoulli features.

    Args:
        decode: z -> the probabilities of 1, of as many numbers as x.
        logits: It gives ln(p / (1 - p)) instead, as a decoder without a last sigmoid does.

    Example:
        >>> bernoulli(lambda z: torch.full((1, 2), 0.5))(torch.ones(1, 2), torch.zeros(1, 1)).exp()
        tensor([0.2500])
    """

    family = "Bernoulli"

    def __init__(self, decode: Decode, *, logits: bool = False) -> None:
        super().__init__(decode)
        self.logits = logits

    def __call__(self, x: Tensor, z: Tensor, *conditions: object) -> Float[Tensor, " B"]:
        """Return log p(x|z) in nats, one value an example."""
        if self.logits:
            return super().__call__(x, z, *conditions)
        p = _probabilities(flat_as(self.decode(z, *conditions), x))
        self.check(x)
        # Not by way of the logits, whose gradient at 0 and 1 is none.
        return -F.binary_cross_entropy(p, numbers_of(x).to(p.dtype), reduction="none").sum(1)

    def read(self, answer: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """Return the logits."""
        return answer if self.logits else torch.logit(_probabilities(answer)).clamp(-_FARTHEST, _FARTHEST)

    def observation(self, theta: Float[Tensor, "B F"]) -> Bernoulli:
        """Return the Bernoulli of these logits."""
        return Bernoulli(theta)

    def check(self, x: Tensor) -> None:
        """Raise unless x lies in [0, 1]."""
        if _outside(x, slack=1e-4):
            raise InputError(
                f"x lies between {float(x.min()):.3g} and {float(x.max()):.3g}, and a Bernoulli's in [0, 1]; scale the "
                "data (`x / 255`), or take `gaussian`"
            )


class Categorical(DecoderLikelihood):
    """Log-likelihood of independent categories, each one of K classes.

    x are indices from 0 to K - 1, and decode answers with one axis more than x (for x of [B] or [B, 1] with [B, K]); or
    x are one-hot, and decode answers in x's shape.

    Args:
        decode: z -> the probabilities of the classes.
        logits: It gives their logarithms instead, up to a constant, as a decoder without a last softmax does.
        dim: The axis of the classes in what decode answers; 1 for [B, K, T], as `cross_entropy` takes it.

    Example:
        >>> uniform = categorical(lambda z: torch.zeros(1, 2, 4), logits=True)
        >>> uniform(torch.tensor([[0, 3]]), torch.zeros(1, 1)).exp() * 16
        tensor([1.])
    """

    family = "categorical"
    mean_like_x = False

    def __init__(self, decode: Decode, *, logits: bool = False, dim: int = -1) -> None:
        super().__init__(decode)
        self.logits, self.dim = logits, dim

    def __call__(self, x: Tensor, z: Tensor, *conditions: object) -> Float[Tensor, " B"]:
        """Return log p(x|z) in nats, one value an example."""
        answer = tensor_of(self.decode(z, *conditions))
        return self._observed(self._classes(answer, x), self._one_hot(answer, x)).log_prob(numbers_of(x))

    def parameters(self, x: Tensor, z: Tensor, *conditions: object) -> Float[Tensor, "B G K"]:
        """Return ln p of each class, the classes last."""
        return self._classes(tensor_of(self.decode(z, *conditions)), x)

    def observation(self, theta: Float[Tensor, "B G K"]) -> distributions.Categorical:
        """Return the categories of indices with these logits."""
        return distributions.Categorical(theta)

    def unpacked(
        self, x: Tensor, z: Tensor, *conditions: object
    ) -> Callable[[Float[Tensor, "N P"]], LikelihoodDistribution]:
        """Return theta -> p(x|z) for parameters that were flattened to rows."""
        answer = tensor_of(self.decode(z, *conditions))
        one_hot, classes = self._one_hot(answer, x), answer.shape[self.dim]
        return lambda theta: self._observed(theta.reshape(len(theta), -1, classes), one_hot)

    def _observed(self, theta: Tensor, one_hot: tuple[int, ...] | None) -> distributions.Categorical:
        return distributions.Categorical(theta, one_hot, self.dim)

    def _one_hot(self, answer: Tensor, x: Tensor) -> tuple[int, ...] | None:
        """X's shape without the batch where x are one-hot."""
        return tuple(x.shape[1:]) if answer.shape == x.shape else None

    def _classes(self, answer: Tensor, x: Tensor) -> Tensor:
        shape = tuple(answer.shape)
        if not -len(shape) <= self.dim < len(shape) or self.dim % len(shape) == 0:
            raise InputError(f"dim is {self.dim} for decode's answer of {list(shape)}; name the axis of the classes")
        classes = shape[self.dim]
        rest = tuple(size for axis, size in enumerate(shape) if axis != self.dim % len(shape))
        if shape == tuple(x.shape):
            _require_one_hot(x, self.dim)
        elif _long(rest) == _long(tuple(x.shape)) and len(answer) == len(x):
            _require_indices(x, classes)
        else:
            raise InputError(_wrong_shape(shape, tuple(x.shape), self.dim))
        log_p = log_probabilities(answer, self.dim, logits=self.logits)
        return log_p.movedim(self.dim, -1).reshape(len(answer), -1, classes)


bernoulli, categorical = BernoulliFeatures, Categorical


def _long(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0], *(size for size in shape[1:] if size > 1))


def _wrong_shape(shape: tuple[int, ...], x: tuple[int, ...], dim: int) -> str:
    text = f"decode gave {list(shape)} for x of {list(x)}"
    for axis in range(1, len(shape)):
        if axis != dim % len(shape) and _long(shape[:axis] + shape[axis + 1 :]) == _long(x):
            return f"{text}; the classes are its axis {axis}, so say dim={axis}"
    return f"{text}; it must give x's shape and an axis of K classes for indices, or x's shape for one-hot x"


def _require_indices(x: Tensor, classes: int) -> None:
    x = x.detach()
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > classes - 1 or (x.is_floating_point() and bool((x != x.round()).any())):
        raise InputError(
            f"x lies between {low:.3g} and {high:.3g}, and the indices of decode's {classes} classes are whole numbers "
            f"from 0 to {classes - 1}"
        )


def _require_one_hot(x: Tensor, dim: int) -> None:
    whole = bool(((x == 0) | (x == 1)).all())
    if not whole or bool((x.sum(dim) != 1).any()):
        raise InputError(
            f"decode answers in x's shape {list(x.shape)}, so x must be one-hot along axis {dim}, and it is not; take "
            "`multinomial` for counts, `bernoulli` for several ones, or give indices"
        )


def _probabilities(theta: Tensor) -> Tensor:
    if _outside(theta):
        raise InputError("decode gives numbers outside [0, 1], which are no probabilities; say logits=True")
    return theta


def _outside(values: Tensor, slack: float = 0.0) -> bool:
    return bool((values < -slack).any() or (values > 1.0 + slack).any())
