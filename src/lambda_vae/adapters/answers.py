"""What the two callables answer, checked for what any batch may get wrong: one sentence with the line to change."""

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from lambda_vae.errors import InputError

__all__ = ["finite_densities", "finite_posterior", "log_densities", "posterior", "shape_of"]


def posterior(answer: object, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mu and logvar, each [B, *latent], of what `encode` answered.

    Args:
        answer: (mu, logvar), or a torch Normal, alone or within Independent.
        x: What it was asked.

    Raises:
        InputError: Something else.
    """
    if isinstance(answer, Distribution):
        base = answer
        while isinstance(base, Independent):
            base = base.base_dist
        if not isinstance(base, Normal):
            raise InputError(
                f"encode returned a {type(base).__name__}; the posterior must be a diagonal Gaussian, so return its "
                "(mu, logvar)"
            )
        answer = (base.loc, 2.0 * base.scale.log())
    if not isinstance(answer, tuple | list) or len(answer) < 2 or not all(isinstance(a, Tensor) for a in answer[:2]):
        raise InputError(f"encode returned {_described(answer)}; it must end in `return mu, logvar`, two tensors")
    mu, logvar = answer[0], answer[1]
    if len(answer) > 2 and torch.equal(mu, logvar) and bool((mu != 0.0).any()):
        raise InputError(
            f"encode returned {len(answer)} tensors, the first two of them the same; if these are (z, mu, logvar), "
            "return the last two: `return mu, logvar`"
        )
    if mu.shape != logvar.shape or mu.dim() < 2 or len(mu) != len(x):
        raise InputError(
            f"encode returned mu {shape_of(mu)} and logvar {shape_of(logvar)} for a batch of {len(x)}; both must be "
            f"[{len(x)}, ...] with one number for each latent site"
        )
    return mu, logvar


def log_densities(answer: object, x: Tensor) -> Tensor:
    """Return log p(x|z), [B], of what `log_likelihood` answered.

    Args:
        answer: One number an example.
        x: What it was asked.

    Raises:
        InputError: Something else.
    """
    if not isinstance(answer, Tensor):
        raise InputError(f"log_likelihood returned {_described(answer)}; return a tensor of log p(x|z), one an example")
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


def finite_posterior(mu: Tensor, logvar: Tensor) -> None:
    """Raise unless q is finite.

    Args:
        mu: Of `encode`.
        logvar: Of `encode`.

    Raises:
        InputError: NaN or infinite.
    """
    for name, values in (("mu", mu), ("logvar", logvar)):
        _finite(f"{name} of encode", values, "look for a logvar without bounds, a log of 0, or NaN in the data")


def finite_densities(log_p: Tensor) -> None:
    """Raise unless log p(x|z) is finite.

    Args:
        log_p: Of `log_likelihood`.

    Raises:
        InputError: NaN or infinite.
    """
    _finite("log_likelihood", log_p, "look for a log of 0 (clamp probabilities, or use logits)")


def _finite(what: str, values: Tensor, remedy: str) -> None:
    bad = ~torch.isfinite(values)
    if bool(bad.any()):
        raise InputError(f"{what} is {float(values[bad][0])} in {int(bad.sum())} of {values.numel()} places; {remedy}")


def shape_of(tensor: Tensor) -> str:
    """Return a shape as people write it.

    Args:
        tensor: Of that shape.
    """
    return str(list(tensor.shape))


def _described(answer: object) -> str:
    if isinstance(answer, Tensor):
        return f"one tensor {shape_of(answer)}"
    if isinstance(answer, tuple | list):
        return f"{len(answer)} things ({', '.join(type(part).__name__ for part in answer)})"
    return f"a {type(answer).__name__}"
