"""sigma^lambda for code that speaks torch.distributions."""

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal

from lambda_vae.equalization.theory import sampling_std
from lambda_vae.errors import InputError

__all__ = ["EqualizedNormal"]


class EqualizedNormal(Normal):
    """A Normal(loc, scale) whose samples are drawn with scale^exponent.

    Everything else, `kl_divergence`, `entropy`, `log_prob` and `stddev` among it, is that of Normal(loc, scale), as
    lambda-VAE's loss wants it. So `log_prob` is not the density that samples come from, and an objective with a Monte
    Carlo KL, log q(z) - log p(z), is not lambda-VAE's. At exponent 1 it is Normal bit for bit.

    Args:
        loc: mu.
        scale: sigma, > 0.
        exponent: lambda, >= 1; broadcasts against `scale`, such as `equalizer.exponent` against [B, D].
        validate_args: As for Normal.

    Raises:
        InputError: An exponent below 1.

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
        self.exponent = torch.as_tensor(exponent, dtype=self.scale.dtype, device=self.scale.device)
        if bool((self.exponent < 1.0).any()):
            raise InputError(f"exponent is {float(self.exponent.min())}; it must be at least 1")

    @property
    def sampling_std(self) -> Tensor:
        """scale^exponent, the standard deviation of the samples."""
        return sampling_std(self.scale, self.exponent)

    @property
    def sampled(self) -> Normal:
        """The law that samples are drawn from, for a valid bound or importance weights."""
        return Normal(self.loc, self.sampling_std, validate_args=False)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: ANN401, B008 - as torch has it
        """Return loc + scale^exponent * eps, differentiable.

        Args:
            sample_shape: Leading axes.
        """
        return self.sampled.rsample(sample_shape)

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: ANN401, B008 - as torch has it
        """Return draws without a gradient.

        Args:
            sample_shape: Leading axes.
        """
        drawn: Tensor = self.sampled.sample(sample_shape)  # type: ignore[no-untyped-call]
        return drawn

    def expand(self, batch_shape: Any, _instance: Any = None) -> "EqualizedNormal":  # noqa: ANN401 - as torch has it
        """Return the same law with a larger batch shape.

        Args:
            batch_shape: The new one.
        """
        new: EqualizedNormal = self._get_checked_instance(EqualizedNormal, _instance)  # type: ignore[no-untyped-call]
        new.exponent = self.exponent
        super().expand(batch_shape, _instance=new)  # type: ignore[no-untyped-call]
        return new
