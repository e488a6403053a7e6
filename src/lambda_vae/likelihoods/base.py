"""(x, z) -> log p(x|z) from a decoder: summed over the features, in float32 or more, without a constant left out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions.base import LikelihoodDistribution, at_least_float32
from lambda_vae.errors import InputError
from lambda_vae.likelihoods.shapes import flat_as

__all__ = ["Decode", "DecoderLikelihood", "log_probabilities", "numbers_of"]

#: z -> the parameters of p(x|z), of as many numbers as x in any shape; what conditions there are come after z.
Decode = Callable[..., object]


class DecoderLikelihood(ABC):
    """A log-likelihood that says what it is made of.

    Args:
        decode: (z, *conditions) -> the parameters.

    Attributes:
        family: Its name, as people write it.
        mean_like_x: Whether the observation's mean has one number for each of x's.
    """

    family: ClassVar[str]
    mean_like_x: ClassVar[bool] = True

    def __init__(self, decode: Decode) -> None:
        self.decode = decode

    def __call__(self, x: Tensor, z: Tensor, *conditions: object) -> Float[Tensor, " B"]:
        """Return log p(x|z) in nats, one value an example.

        Args:
            x: The data, [B, ...].
            z: Their codes, as the decoder takes them.
            conditions: What the decoder takes besides.

        Raises:
            InputError: The decoder's answer or x is none that this family can have.
        """
        theta = self.parameters(x, z, *conditions)
        self.check(x)
        rows = numbers_of(x)
        kind = torch.promote_types(rows.dtype, theta.dtype)
        return self.observation(theta.to(kind)).log_prob(rows.to(kind))

    def parameters(self, x: Tensor, z: Tensor, *conditions: object) -> Float[Tensor, "B ..."]:
        """Return what `observation` takes, of what the decoder answers; of x the shape alone counts.

        Raises:
            InputError: No parameters of this family.
        """
        return self.read(flat_as(self.decode(z, *conditions), x))

    def read(self, answer: Float[Tensor, "B F"]) -> Float[Tensor, "B F"]:
        """Return the parameters that the decoder's flat answer stands for.

        Args:
            answer: One number for each of x's.
        """
        return answer

    @abstractmethod
    def observation(self, theta: Float[Tensor, "B ..."]) -> LikelihoodDistribution:
        """Return p(x|z), whose log_prob takes x as rows.

        Args:
            theta: What `parameters` gave.
        """

    def check(self, x: Tensor) -> None:  # noqa: B027 - what any real numbers are
        """Raise where x are no data of this family."""

    def notes(self, x: Tensor) -> tuple[str, ...]:
        """Return what to know of its value when the numbers are read."""
        return ()

    def parts(
        self, x: Tensor, z: Tensor, *conditions: object
    ) -> Iterator[tuple["DecoderLikelihood", Tensor, tuple[Any, ...]]]:
        """Yield the likelihoods that it is made of, each with its x and what its decoder is given."""
        yield self, x, (z, *conditions)

    def unpacked(
        self, x: Tensor, z: Tensor, *conditions: object
    ) -> Callable[[Float[Tensor, "N P"]], LikelihoodDistribution]:
        """Return theta -> p(x|z) for parameters that were flattened to rows; of x the shape alone counts."""
        inner = self.parameters(x, z, *conditions).shape[2:]
        return lambda theta: self.observation(theta.reshape(len(theta), -1, *inner))


def numbers_of(x: Tensor) -> Float[Tensor, "B F"]:
    """Return x as rows of floats."""
    rows = x.reshape(len(x), -1)
    return at_least_float32(rows) if rows.is_floating_point() else rows.float()


def log_probabilities(answer: Tensor, dim: int, *, logits: bool) -> Tensor:
    """Return ln p of the classes along an axis of an answer, which is ln p up to a constant if `logits`, else p.

    Raises:
        InputError: It gave the other of the two.
    """
    total = answer.detach().sum(dim)
    off = float((total - 1.0).abs().max()) if total.numel() else 0.0
    positive = bool((answer >= 0).all())
    if logits:
        if positive and off < 1e-4 and answer.shape[dim] > 1 and total.numel() > 1:
            raise InputError(
                "decode gives probabilities (every row sums to 1), and logits=True would put them through a second "
                "softmax; leave it out"
            )
        return torch.log_softmax(answer, dim)
    if not positive or not off < 1e-2:
        worst = float(total.flatten()[(total - 1.0).abs().argmax()])
        raise InputError(
            f"decode gives rows that sum to {worst:.3g}, which are no probabilities of classes; say logits=True if it "
            "has no last softmax"
        )
    tiny = math.exp(-100.0)  # where torch's cross-entropy ends too
    return (answer / answer.sum(dim, keepdim=True)).clamp(min=tiny).log()
