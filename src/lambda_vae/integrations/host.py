"""What the integrations share: a report on a package's model, its batches, its refusals, and watching its training.

A function `equalize_PACKAGE` takes `delta`, the trade-off, > 1 (inf leaves the training bit for bit as it was), and the
settings of `VarianceEqualizer`; a function `diagnose_PACKAGE` takes the options of `lambda_vae.diagnose`. Both raise
InputError for another model than theirs, and for whatever the function of `lambda_vae` that they call refuses.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lambda_vae.any_vae._diagnose import diagnose
from lambda_vae.any_vae.external import Encode, LogLikelihood
from lambda_vae.any_vae.monitor import CollapseMonitor
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import InputError

__all__ = [
    "Batches",
    "Watch",
    "cannot_be",
    "first_of",
    "image_batch_size",
    "loaded",
    "report_on",
    "require_unchanged",
    "watched",
]

#: Numbers of an image tensor that are measured at once, since the memory of a network grows with them.
_NUMBERS = 2**20


def report_on(
    encode: Encode,
    log_likelihood: LogLikelihood | None,
    data: object,
    options: dict[str, Any],
    *,
    model: object = None,
    kl_weight: float | None = None,
    notes: Iterable[str] = (),
    **known: Any,
) -> CollapseReport:
    """Return the report of `diagnose` with what an integration knows of the model; the caller's options come first.

    Args:
        encode: As for `diagnose`, like log_likelihood and data.
        log_likelihood: Likewise.
        data: Likewise.
        options: The caller's, for `diagnose`.
        model: The module that holds the equalizer, or the equalizer; not used with equalizer= or exponent=.
        kl_weight: Of the model's loss; not used with kl_weight= or history=.
        notes: Appended to those of `diagnose`.
        known: Defaults of further options.
    """
    options = known | options
    if "exponent" not in options:
        own = model if isinstance(model, VarianceEqualizer) else getattr(model, "equalizer", None)
        options.setdefault("equalizer", own)
    if options.get("history") is None:
        options.setdefault("kl_weight", kl_weight)
    report = diagnose(encode, log_likelihood, data, **options)
    return replace(report, notes=(*report.notes, *notes))


@dataclass(frozen=True, eq=False)
class Batches:
    """A package's batches, each converted to x or (x, conditions) whenever they are iterated over.

    Args:
        loader: Of the package's own batches.
        change: Converts one of them.
    """

    loader: Iterable[Any]
    change: Callable[[Any], object]

    def __iter__(self) -> Iterator[Any]:
        return map(self.change, self.loader)


def loaded(data: Any, change: Callable[[Any], object], batch_size: int, **loading: Any) -> object:
    """Return a torch Dataset, of a loader with these options, or a DataLoader as `Batches`; other data as they are."""
    if isinstance(data, Dataset):
        data = DataLoader(data, batch_size, **loading)
    return Batches(data, change) if isinstance(data, DataLoader) else data


def first_of(batches: Iterable[Any]) -> Any:
    """Return the first batch, None if there is none; the seed that a DataLoader draws changes no generator."""
    with torch.random.fork_rng():
        return next(iter(batches), None)


def cannot_be(model: object, wanted: str, reason: str) -> InputError:
    """Return the error for a model that cannot be "diagnosed", "equalized" or "watched", with the reason and remedy."""
    return InputError(f"{type(model).__name__} cannot be {wanted}: {reason}")


def require_unchanged(model: object, kind: type, owner: str, methods: Iterable[str], remedy: str, **same: bool) -> None:
    """Raise if a model overrides one of these methods of the package's class, or another part is not the `same`."""
    same = {name: getattr(type(model), name) == getattr(kind, name) for name in methods} | same
    changed = next((name for name, kept in same.items() if not kept), None)
    if changed is not None:
        raise InputError(
            f"{type(model).__name__} has another {changed} than {owner}, and what it trains on is not known; use "
            f"{remedy}"
        )


class Watch:
    """Base of the callbacks that watch a training of a package."""

    monitor: CollapseMonitor | None = None

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    @property
    def history(self) -> dict[str, Any]:
        """What `diagnose_PACKAGE(..., history=callback.history)` derives causes from."""
        return {} if self.monitor is None else self.monitor.history


def watched(monitor: CollapseMonitor, model: object, mu: Tensor, logvar: Tensor, z: Tensor) -> Tensor:
    """Return the z to decode, once the monitor has seen it with the lambda of the model."""
    equalizer = getattr(model, "equalizer", None)
    return monitor(mu, logvar, z, None if equalizer is None else equalizer.exponent)


def image_batch_size(images: object, most: int = 500) -> int:
    """Return how many images are measured in one batch."""
    return max(1, min(most, _NUMBERS // images[0].numel())) if isinstance(images, Tensor) and len(images) else most
