"""What a script of the census says of its package, and what it hands back of a training."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from lambda_vae.diagnostics import CollapseReport

__all__ = ["CHECK", "DEFAULT", "KINDS", "Found", "Package"]

DEFAULT = "default"

#: lambda = 1 throughout: must end in the default run's weights, bit for bit.
CHECK = "delta = inf"

#: The remedies, in the order of the columns. "own knob" is the package's own setting: a KL weight, a noise, a scale.
KINDS = (DEFAULT, "own knob", "KL warm-up", "lambda released", "lambda")


@dataclass(frozen=True)
class Found:
    """One finished training.

    Args:
        report: `diagnose` of the model on the test part.
        validation: The package's own metric by its name, and "bound": the valid bound, nats an example; a setting is
            chosen by these alone.
        test: The same on data that nothing was chosen by, with "nll_iw" and whatever else the package measures.
        modules: The package's networks, whose weights are compared.
    """

    report: CollapseReport
    validation: Mapping[str, float]
    test: Mapping[str, float]
    modules: tuple[nn.Module, ...]

    def record(self) -> dict[str, Any]:
        """Return it as plain data."""
        report = self.report
        return {
            "validation": {name: _number(value) for name, value in self.validation.items()},
            "test": {name: _number(value) for name, value in self.test.items()},
            "active": _number(report.active_units),
            "directions": _number(report.active_directions),
            "near_prior": _number(report.near_prior),
            "kl": _number(report.rate),
            "causes": {cause: count for cause, count in report.cause_counts.items() if count},
            "over_sharp": report.verdict_counts.get("over-sharp", 0),
            "verdict": report.verdict,
            "caveats": report.caveats,
            "sigma": [_number(value) for value in report.std_mean.tolist()],
            "signal": [_number(value) for value in report.signal_power.tolist()],
            "weights": _digest(self.modules),
        }


@dataclass(frozen=True)
class Package:
    """A package of the census.

    Args:
        title: As the table names it: "ctgan TVAE".
        package: As it is installed; its version is taken from the environment.
        requires: What to install, pinned, beside lambda-vae and torch: the package first.
        no_deps: What to install without its own dependencies.
        python: The interpreter's version.
        users: Who uses it, in a few words.
        data: Which, from where with its version, how many.
        latent_dim: D.
        loss: Which likelihood, noise and KL weight the default loss stands for, in a few words and numbers.
        metric: The package's own, by its name in `Found`.
        more: Whether more of it is better.
        remedies: Settings to try of each of KINDS; `run` gets them by name. Of DEFAULT there is one, {}.
        run: (seed, kind, setting) -> Found.
        diagnose: The user's lines.
        equalize: Likewise, three at most; empty where lambda cannot go on, and `no_lambda` says why.
        no_lambda: Why lambda cannot go on; empty where it can.
        no_bound: Why there is no valid bound or nll_iw, where there is none.
        none_mends: Why no remedy mends a default collapse in the package's own metric, where none does.
        seeds: Of every run.
    """

    title: str
    package: str
    requires: tuple[str, ...]
    users: str
    data: str
    latent_dim: int
    loss: str
    metric: str
    more: bool
    remedies: Mapping[str, tuple[Mapping[str, Any], ...]]
    run: Callable[[int, str, Mapping[str, Any]], Found]
    diagnose: str
    equalize: str
    no_deps: tuple[str, ...] = ()
    python: str = "3.11"
    no_lambda: str = ""
    no_bound: str = ""
    none_mends: str = ""
    seeds: tuple[int, ...] = field(default=(0, 1, 2))

    def jobs(self) -> list[tuple[int, str, Mapping[str, Any]]]:
        """Return every training: the first seed of all remedies first."""
        check = [] if self.no_lambda else [(self.seeds[0], CHECK, {"delta": math.inf})]
        each = [(kind, setting) for kind in KINDS for setting in self.remedies.get(kind, ())]
        return [*((seed, kind, setting) for seed in self.seeds for kind, setting in each), *check]


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(float(value)) else float(value)


def _digest(modules: Iterable[nn.Module]) -> str:
    """Of all parameters and buffers that are the host's own."""
    digest = hashlib.sha256()
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            if isinstance(value, Tensor) and "equalizer" not in name:
                digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
