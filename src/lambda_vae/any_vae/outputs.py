"""What `log_likelihood` answers, checked for what any batch may get wrong: one sentence with the line to change."""

from torch import Tensor

from lambda_vae.any_vae.tensors import described, require_finite, shape_of
from lambda_vae.errors import InputError

__all__ = ["finite_densities", "log_densities"]


def log_densities(answer: object, x: Tensor) -> Tensor:
    """Return log p(x|z), [B], of what `log_likelihood` answered.

    Raises:
        InputError: Something else.
    """
    if not isinstance(answer, Tensor):
        raise InputError(f"log_likelihood returned {described(answer)}; return a tensor of log p(x|z), one an example")
    if answer.shape in ((len(x),), (1, len(x))):
        return answer.reshape(-1)
    if answer.numel() == 1:
        raise InputError(
            f"log_likelihood returned a single number for {len(x)} examples; take the .mean() or .sum() over the batch "
            "out of it"
        )
    if answer.dim() and len(answer) == len(x):
        raise InputError(
            f"log_likelihood returned {shape_of(answer)} for a batch of {len(x)}; sum over the features: end it with "
            "`.flatten(1).sum(1)`"
        )
    raise InputError(f"log_likelihood returned {shape_of(answer)} for a batch of {len(x)}; it must be [{len(x)}]")


def finite_densities(log_p: Tensor) -> None:
    """Raise unless log p(x|z) is finite."""
    require_finite("log_likelihood", log_p, "a log of 0 (clamp probabilities, or use logits)")
