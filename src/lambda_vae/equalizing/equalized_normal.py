"""sigma^lambda for code that is written with torch.distributions."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from lambda_vae.equalization import theory
from lambda_vae.errors import InputError

__all__ = ["EqualizedNormal"]


class EqualizedNormal(Normal):
    """A Normal(loc, scale) whose samples are drawn with scale^exponent.

    Everything else, such as `kl_divergence`, `entropy`, `log_prob` and `stddev`, is that of Normal(loc, scale), as in
    lambda-VAE's loss. So `log_prob` is not the density of the samples, and an objective with a Monte Carlo KL,
    log q(z) - log p(z), is not lambda-VAE's. At exponent 1 it is Normal bit for bit.

    loc, scale and exponent broadcast to `batch_shape`. sigma^lambda is computed in float32 or better, and the samples
    have the dtype of Normal's.

    Args:
        loc: mu.
        scale: sigma, > 0.
        exponent: lambda, >= 1, such as `equalizer.exponent` [D] against [B, D].
        validate_args: As for Normal. A tensor of exponents is checked if scale is, which synchronises with its
            device; a Python number always.

    Raises:
        InputError: An exponent below 1, or one that does not broadcast.

    Source:
        The paper, Eq. 9. Deviation: a scale of 1 or more is left as it is.

    Example:
        >>> q = EqualizedNormal(torch.zeros(3), torch.full((3,), 0.5), exponent=2.0)
        >>> q.stddev, q.sampling_std
        (tensor([0.5000, 0.5000, 0.5000]), tensor([0.2500, 0.2500, 0.2500]))
    """

    def __init__(
        self,
        loc: Tensor | float,
        scale: Tensor | float,
        exponent: Tensor | float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(loc, scale, validate_args=validate_args)
        wide = torch.promote_types(self.scale.dtype, torch.float32)
        self.exponent = torch.as_tensor(exponent, dtype=wide, device=self.scale.device)
        if isinstance(exponent, int | float):
            theory.require(exponent=exponent)
        elif self._validate_args and not bool((self.exponent >= 1.0).all()):
            theory.require(exponent=float(self.exponent.detach().min()))
        self._broadcast()

    def _broadcast(self) -> None:
        """Expand the batch shape by that of the exponent."""
        own, more = self._batch_shape, self.exponent.shape
        if any(1 != a != b != 1 for a, b in zip(reversed(own), reversed(more), strict=False)):
            raise InputError(
                f"exponent has shape {list(more)}, which does not broadcast against loc and scale, {list(own)}; "
                "give one number, or one a dimension, such as equalizer.exponent [D] against [B, D]"
            )
        shape = torch.broadcast_shapes(own, more)  # type: ignore[no-untyped-call]
        if shape != own:
            self._batch_shape, self.loc, self.scale = shape, self.loc.expand(shape), self.scale.expand(shape)

    @property
    def sampling_std(self) -> Tensor:
        """scale^exponent, the standard deviation of the samples, in the dtype of scale."""
        return theory.sampling_std(self.scale, self.exponent).to(self.scale.dtype)

    @property
    def sampled(self) -> Normal:
        """The distribution that samples are drawn from, for a valid bound or importance weights."""
        return Normal(self.loc, self.sampling_std, validate_args=False)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - as torch has it
        """Return loc + scale^exponent * eps, differentiable.

        Args:
            sample_shape: Leading axes.
        """
        return self.sampled.rsample(sample_shape)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - as torch has it
        """Return draws without a gradient.

        Args:
            sample_shape: Leading axes.
        """
        drawn: Tensor = self.sampled.sample(sample_shape)  # type: ignore[no-untyped-call]
        return drawn

    def expand(self, batch_shape: Any, _instance: Any = None) -> "EqualizedNormal":
        """Return the same distribution with a larger batch shape.

        Args:
            batch_shape: The new one.
        """
        new: EqualizedNormal = self._get_checked_instance(EqualizedNormal, _instance)  # type: ignore[no-untyped-call]
        new.exponent = self.exponent
        super().expand(batch_shape, _instance=new)  # type: ignore[no-untyped-call]
        return new
