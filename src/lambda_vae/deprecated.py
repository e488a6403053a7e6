"""Names of the last release, which keep working for one more and say what they are called now."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from operator import attrgetter
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

__all__ = ["OldDraw", "install_old_names", "old_lambda", "old_name", "renamed", "with_old_lambda"]

#: Packages of the last release, and the packages that their public names live in now.
_PACKAGES = {
    "adapters": ("any_vae", "equalizing", "likelihoods"),
    "adapters.hosts": ("integrations",),
    "adapters.likelihoods": ("likelihoods",),
    "experiments": ("runs", "comparisons", "sharing"),
}

#: Public names of the last release that changed within their package or class, or went to another ("package:name").
_NAMES = {
    "data": {
        "batches": "old_batches.batches",
        "fixed_test_view": "old_batches.fixed_test_view",
        "steps_per_epoch": "old_batches.steps_per_epoch",
    },
    "diagnostics": {"examine": "compute_report"},
    "diagnostics.DimensionState": {"supply": "encoder_snr", "demand": "decoder_curvature"},
    "distributions": {
        "Draw": "Sample",
        "Flowed": "TransformedDistribution",
        "Law": "PosteriorDistribution",
        "Observation": "LikelihoodDistribution",
        "Reversed": "Inverse",
    },
    "reports": {
        "DRAWINGS": "paper:FIGURES",
        "Drawing": "paper:PaperFigure",
        "find_drawing": "paper:find_figure",
        "learning_curves": "reports.old_curves:learning_curves",
        "write_drawing": "paper:write_figure",
    },
    "training": {"Joint": "JointUpdate"},
    "training.Trainer": {
        **{name: f"draws.{name}" for name in ("x", "view", "rows", "examples", "joint_batch", "generator", "noise")},
        **{name: f"stepper.{name}" for name in ("objective", "model", "optimizer", "average", "trace")},
        "learning_rate": "stepper.learning_rate",
        "spare": "draws.method_generator",
        "another": "draws.extra_batch",
        "places": "draws.row_indices",
        "descend": "stepper.optimizer_step",
        "gather": "stepper.accumulate",
        "moments": "recorder.moments",
        "trail": "recorder.log",
        "matmul_error": "matmul.error",
    },
}
#: Packages that other packages took all but a few public names of.
_HEIRS = {"diagnostics": "estimation", "reports": "records"}
_ROOT = "lambda_vae."

#: Whose frames may lie between a public function and the line that called it.
_BETWEEN = ("lambda_vae", "torch", "jaxtyping", "beartype")

_P = ParamSpec("_P")
_R = TypeVar("_R")


def old_name(old: str, new: str, stacklevel: int = 3) -> None:
    """Warn that a name is of the last release.

    Args:
        old: In full.
        new: What to write instead.
        stacklevel: Frames up to the caller's line.
    """
    warnings.warn(f"{old} is called {new} now, and goes with the next release", DeprecationWarning, stacklevel)


def renamed(owner: object, where: str, name: str) -> Any:  # noqa: ANN401 - any public name
    """Return what a name of the last release is called now, and warn: the `__getattr__` of a package or a class.

    Args:
        owner: The module or the object.
        where: The package, or the class, in full.
        name: That it does not have.

    Raises:
        AttributeError: Nor did it have it in the last release.
    """
    new, heir = _NAMES[where.removeprefix(_ROOT)].get(name), _HEIRS.get(where.removeprefix(_ROOT))
    if new is None and heir is not None and name in (home := import_module(_ROOT + heir)).__all__:
        old_name(f"{where}.{name}", f"{home.__name__}.{name}", 4)
        return getattr(home, name)
    if new is None:
        raise AttributeError(f"{where} has no attribute {name!r}")
    package, _, elsewhere = new.partition(":")
    if elsewhere:
        old_name(f"{where}.{name}", f"{_ROOT}{package}.{elsewhere}", 4)
        return getattr(import_module(_ROOT + package), elsewhere)
    old_name(f"{where}.{name}", f"{where}.{new}", 4)
    return attrgetter(new)(owner)


def with_old_lambda(model: Any, old: dict[str, Any]) -> Any:  # noqa: ANN401 - a VAE
    """Return the model with the lambda that was passed along with it, as in the last release.

    Args:
        model: A `VAE`.
        old: exponent, delta or both.
    """
    _warn_outside(f"the model knows its lambda: leave out {' and '.join(old)}; this goes with the next release")
    return model.with_equalization(replace(model.equalization, **old))


def _warn_outside(said: str) -> None:
    """Warn at the first line outside of this package and of torch."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(said, DeprecationWarning, level)


class OldDraw:
    """A distribution that still has `draw`, by which the last release called `rsample_and_log_prob`."""

    def draw(self, eps: Any) -> Any:  # noqa: ANN401 - those of `rsample_and_log_prob`
        """Return `rsample_and_log_prob(eps)`."""
        owner = type(self).__name__
        old_name(f"{owner}.draw", f"{owner}.rsample_and_log_prob")
        return getattr(self, "rsample_and_log_prob")(eps)  # noqa: B009 - a protocol's, which a base class does not know


def old_lambda(position: int | None = None, **keywords: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Return a decorator: a function whose first argument is a model may still be given its lambda as an argument.

    Args:
        position: Of an exponent that was given without its name.
        keywords: Parameters of the last release, and what they are called now.
    """

    def decorator(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @wraps(function)
        def wrapped(*given: Any, **options: Any) -> Any:  # noqa: ANN401 - the function's own
            model, old = given[0] if given else options.get("vae"), dict[str, Any]()
            if hasattr(model, "with_equalization"):
                old = {name: options.pop(name) for name in ("exponent", "delta") if name in options}
                if position is not None and len(given) > position and _is_exponent(given[position]):
                    old, given = {"exponent": given[position]}, given[:position] + given[position + 1 :]
            for before in keywords.keys() & options.keys():
                _warn_outside(f"{before}= is called {keywords[before]}= now, and goes with the next release")
                options[keywords[before]] = options.pop(before)
            if old:
                model = with_old_lambda(model, old)
                given, options = (model, *given[1:]), {n: v for n, v in options.items() if n != "vae"}
            return function(*given, **options)

        return wrapped

    return decorator


def _is_exponent(value: object) -> bool:
    return value is None or hasattr(value, "ndim")


class _Package(ModuleType):
    """Looks a name up in the packages that took it over."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any public name
        for package in () if name.startswith("__") else _PACKAGES[self.__name__.removeprefix(_ROOT)]:
            home = import_module(_ROOT + package)
            if name in home.__all__:
                old_name(f"{self.__name__}.{name}", f"{home.__name__}.{name}")
                return getattr(home, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _OldNames(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, _path: object, _target: object = None) -> ModuleSpec | None:
        name = fullname.removeprefix(_ROOT)
        if fullname.startswith(_ROOT) and (name in _PACKAGES or name.startswith("adapters.")):
            return ModuleSpec(fullname, self, is_package=name in _PACKAGES)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Package(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__.removeprefix(_ROOT)
        if name not in _PACKAGES:
            found = _moved(name)
            old_name(module.__name__, found.__name__)
            sys.modules[module.__name__] = found


def _moved(name: str) -> ModuleType:
    """The module that was `name` in the last release, now private where it has the name of its function."""
    homes = {"adapters.hosts.": ("integrations.",), "adapters.likelihoods.": ("likelihoods.",)}
    old = next((one for one in homes if name.startswith(one)), "adapters.")
    for new in (
        _ROOT + home + private + name.removeprefix(old)
        for home in homes.get(old, ("any_vae.", "equalizing."))
        for private in ("_", "")
    ):
        try:
            return import_module(new)
        except ModuleNotFoundError as error:
            if not new.startswith(str(error.name)):
                raise
    raise ModuleNotFoundError(f"No module named {_ROOT + name!r}", name=_ROOT + name)


def install_old_names() -> None:
    """Let modules of the last release be imported by their old names."""
    if not any(type(finder).__name__ == _OldNames.__name__ for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())
