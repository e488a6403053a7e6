"""What the hosts share: the report with what a package knows of its model, and its batches as `diagnose` reads them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from lambda_vae.any_vae._diagnose import diagnose
from lambda_vae.any_vae.external import Encode, LogLikelihood
from lambda_vae.any_vae.monitor import CollapseMonitor
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalization import VarianceEqualizer

__all__ = ["Batches", "Watch", "image_batch_size", "report_on", "watched"]

#: Numbers of a tensor of images that are measured at once: networks for large images need room in proportion.
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
    """Return the report of `diagnose`, told what a package knows of its model; what the caller says counts more.

    Args:
        encode: As for `diagnose`.
        log_likelihood: As for `diagnose`.
        data: As for `diagnose`.
        options: Of `diagnose`, as the caller gives them.
        model: Whose `equalizer` it is, or that itself, unless the caller says equalizer= or exponent=.
        kl_weight: Of the model's loss, unless the caller says kl_weight= or history=.
        notes: What a reader must know of the package, behind the notes of `diagnose`.
        known: Other options, unless the caller says them.
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
    """The batches of a package, each as x or (x, conditions), as often as they are gone through.

    Args:
        loader: Gives the package's own.
        change: Makes ours of one.
    """

    loader: Iterable[Any]
    change: Callable[[Any], object]

    def __iter__(self) -> Iterator[Any]:
        return map(self.change, self.loader)


class Watch:
    """What a package's callback that watches a training is made of."""

    monitor: CollapseMonitor | None = None

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    @property
    def history(self) -> dict[str, Any]:
        """What the package's `diagnose_...(..., history=callback.history)` judges causes from."""
        return {} if self.monitor is None else self.monitor.history


def watched(monitor: CollapseMonitor, model: object, mu: Tensor, logvar: Tensor, z: Tensor) -> Tensor:
    """Return z to be decoded, seen by a monitor with the lambda that its model trains with."""
    equalizer = getattr(model, "equalizer", None)
    return monitor(mu, logvar, z, None if equalizer is None else equalizer.exponent)


def image_batch_size(images: object, most: int = 500) -> int:
    """Return how many images go through a network at once."""
    return max(1, min(most, _NUMBERS // images[0].numel())) if isinstance(images, Tensor) and len(images) else most
