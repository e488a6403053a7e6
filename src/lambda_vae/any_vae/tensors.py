"""The two tensors in what `encode` answered; where there are more, or they have names, the line that picks them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution

from lambda_vae.errors import InputError

__all__ = ["described", "require_finite", "shape_of", "two_tensors"]

_MEANS = ("mu", "mean", "loc", "embedding", "z_mean", "z_mu", "mu_z", "mean_z", "qz_m", "means")
_SPREADS = {
    "logvar": ("logvar", "log_var", "log_covariance", "z_logvar", "z_log_var", "log_variance", "logvar_z", "lv"),
    "std": ("std", "sigma", "scale", "stddev", "z_std", "z_sigma"),
    "log_std": ("log_std", "logstd", "log_scale", "log_sigma", "logsigma"),
    "var": ("var", "variance", "qz_v"),
}


def two_tensors(answer: object, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mu and the tensor next to it.

    Raises:
        InputError: There are not exactly two tensors; with the line that picks them, where that can be told.
    """
    if isinstance(answer, Mapping) or not isinstance(answer, tuple | list | Tensor):
        _refuse_named(answer)
    if not isinstance(answer, tuple | list) or len(answer) < 2:
        raise InputError(f"encode returned {described(answer)}; it must end in `return mu, logvar`, two tensors")
    if isinstance(answer[0], Distribution):
        raise InputError(f"encode returned {described(answer)}; return the distribution alone: `return encode(x)[0]`")
    if not all(isinstance(part, Tensor) for part in answer[:2]):
        raise InputError(f"encode returned {described(answer)}; it must end in `return mu, logvar`, two tensors")
    tensors = [part for part in answer if isinstance(part, Tensor)]
    if len(tensors) > 2:
        raise InputError(f"encode returned {len(tensors)} tensors, {_shapes(tensors)}; {_which(tensors, x)}")
    return tensors[0], tensors[1]


def _which(tensors: Sequence[Tensor], x: Tensor) -> str:
    """Which of more than two tensors are mu and logvar, by what holds between them."""
    first, second, third = tensors[:3]
    if len(tensors) == 3 and _alike(second, (0.5 * third).exp()):
        return (
            "the second is exp(third / 2), so they are (mu, std, logvar): `return mu, logvar`, the first and the third"
        )
    if len(tensors) == 3 and _alike(third, (0.5 * second).exp()):
        return "the third is exp(second / 2), so they are (mu, logvar, std): `return mu, logvar`, the first two"
    if len(tensors) == 3 and _alike(first, second):
        return "if these are (z, mu, logvar), the first two being the same, `return mu, logvar`, the last two"
    if len(tensors) == 3 and _alike(first, third):
        return "if these are (mu, logvar, z), the first and the last being the same, `return mu, logvar`, the first two"
    if len(tensors) == 4 and first.shape == second.shape and third.shape == tensors[3].shape:
        return (
            "if these are mu and logvar of two latents, concatenate the latents: "
            "`return torch.cat((mu1, mu2), 1), torch.cat((logvar1, logvar2), 1)`, and split z in log_likelihood"
        )
    if first.flatten(1).shape == x.flatten(1).shape and second.shape == third.shape:
        return (
            "if these are (reconstruction, mu, logvar), as a forward returns them, `return mu, logvar` alone; encode "
            "answers for q(z|x)"
        )
    return "return two of them: `return mu, logvar`"


def _alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool((a != 0.0).any()) and torch.allclose(a.float(), b.float(), 1e-3, 1e-5)


def _refuse_named(answer: object) -> None:
    """Raise for an answer with named parts."""
    keyed = isinstance(answer, Mapping)
    parts = {str(key): part for key, part in (answer.items() if isinstance(answer, Mapping) else _attributes(answer))}
    mean = next((name for name in _MEANS if isinstance(parts.get(name), Tensor)), None)
    spreads = ((takes, name) for takes, names in _SPREADS.items() for name in names)
    takes, spread = next(((t, n) for t, n in spreads if isinstance(parts.get(n), Tensor)), (None, None))
    what = type(answer).__name__
    if mean is not None and spread is not None:
        picked = ", ".join(f"out[{name!r}]" if keyed else f"out.{name}" for name in (mean, spread))
        more = "" if takes == "logvar" else f", and say takes={takes!r}"
        raise InputError(f"encode returned a {what}; with out = encode(x), `return {picked}`{more}")
    inner = next((name for name, part in parts.items() if _has_moments(part)), None)
    if inner is not None:
        picked = f"out[{inner!r}]" if keyed else f"out.{inner}"
        raise InputError(
            f"encode returned a {what}; with q = {picked}, `return q.mean, q.logvar` (or q, if it is torch's)"
        )
    known = ", ".join(name for name, part in parts.items() if isinstance(part, Tensor))
    held = f" with {known}" if known else ""
    raise InputError(f"encode returned {described(answer)}{held}; it must end in `return mu, logvar`, two tensors")


def _attributes(thing: object) -> list[tuple[str, object]]:
    names = (*_MEANS, *(name for names in _SPREADS.values() for name in names))
    own = dict(getattr(thing, "__dict__", {}))
    return list({**own, **{name: getattr(thing, name) for name in names if hasattr(thing, name)}}.items())


def _has_moments(part: object) -> bool:
    return isinstance(part, Distribution) or (
        isinstance(getattr(part, "mean", None), Tensor) and isinstance(getattr(part, "logvar", None), Tensor)
    )


def shape_of(tensor: Tensor) -> str:
    """Return a shape as people write it."""
    return str(list(tensor.shape))


def _shapes(tensors: Sequence[Tensor]) -> str:
    return ", ".join(map(shape_of, tensors))


def described(answer: object) -> str:
    """Return what an answer is, in words."""
    if isinstance(answer, Tensor):
        return f"one tensor {shape_of(answer)}"
    if isinstance(answer, tuple | list):
        return f"{len(answer)} things ({', '.join(type(part).__name__ for part in answer)})"
    return f"a {type(answer).__name__}"


def require_finite(name: str, values: Tensor, remedy: str) -> None:
    """Raise where a number is NaN or infinite, and say how many are."""
    values = values.detach()
    bad = ~torch.isfinite(values)
    if bool(bad.any()):
        raise InputError(
            f"{name} is {float(values[bad][0])} in {int(bad.sum())} of {values.numel()} places; look for {remedy}"
        )
