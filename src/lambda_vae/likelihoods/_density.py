"""A decoder that answers with a torch distribution."""

from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.likelihoods.base import Decode

__all__ = ["Density", "density"]


class Density:
    """Log-likelihood of a decoder that answers with a torch distribution of x.

    Args:
        decode: z -> p(x|z); what its log_prob leaves of the features is summed.

    Example:
        >>> import torch
        >>> log_likelihood = density(lambda z: torch.distributions.Normal(z, 1.0))
        >>> log_likelihood(torch.zeros(1, 2), torch.zeros(1, 2))
        tensor([-1.8379])
    """

    def __init__(self, decode: Decode) -> None:
        self.decode = decode

    def __call__(self, x: Tensor, z: Tensor, *conditions: object) -> Tensor:
        """Return log p(x|z) in nats, one value an example.

        Args:
            x: The data, [B, ...].
            z: Their codes, as the decoder takes them.
            conditions: What the decoder takes besides.

        Raises:
            InputError: The decoder gave no distribution, or one whose density is computed in reduced precision.
        """
        law = self.decode(z, *conditions)
        if not callable(getattr(law, "log_prob", None)):
            raise InputError(
                f"decode gave a {type(law).__name__}; `density` wants a torch distribution of x, `bernoulli` and "
                "`gaussian` a tensor"
            )
        try:
            log_p: Tensor = law.log_prob(x)  # type: ignore[attr-defined]
        except ValueError as error:
            if "support" not in str(error):
                raise
            raise InputError(
                f"x lies outside the support of decode's {type(law).__name__}; counts of any total take `multinomial` "
                "or `poisson`, classes `categorical`, real numbers `gaussian`"
            ) from None
        if log_p.element_size() < 4:
            raise InputError(
                f"the {type(law).__name__} of decode computes its density in {log_p.dtype}, whose sums are off "
                "by nats; make it from the decoder's output in float32: `.float()`"
            )
        return log_p.flatten(1).sum(1) if log_p.dim() > 1 else log_p


density = Density
