"""Why a variational autoencoder's latent dimensions collapse onto the prior, and what stops it."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from lambda_vae.deprecated import install_old_names

if TYPE_CHECKING:
    from lambda_vae.any_vae import CollapseMonitor, diagnose, predict
    from lambda_vae.comparisons import CompareConfig, compare
    from lambda_vae.data import load
    from lambda_vae.diagnostics import CollapseReport
    from lambda_vae.equalization import VarianceEqualizer
    from lambda_vae.equalizing import EqualizedNormal, equalize
    from lambda_vae.errors import InputError
    from lambda_vae.model import VAE, Trace
    from lambda_vae.objectives import ELBO, BetaELBO, nll_bound, surrogate_nll
    from lambda_vae.reports import write_report
    from lambda_vae.runs import METHODS, RunConfig, diagnose_run, load_run, train
    from lambda_vae.sharing import export_run, from_pretrained, push_to_hub, share_run
    from lambda_vae.training import Trainer, TrainOptions

__version__ = version("lambda-vae")

__all__ = [
    "ELBO",
    "METHODS",
    "VAE",
    "BetaELBO",
    "CollapseMonitor",
    "CollapseReport",
    "CompareConfig",
    "EqualizedNormal",
    "InputError",
    "RunConfig",
    "Trace",
    "TrainOptions",
    "Trainer",
    "VarianceEqualizer",
    "compare",
    "diagnose",
    "diagnose_run",
    "equalize",
    "export_run",
    "from_pretrained",
    "load",
    "load_run",
    "nll_bound",
    "predict",
    "push_to_hub",
    "share_run",
    "surrogate_nll",
    "train",
    "write_report",
]

# Each name is fetched on first use: who wants the equalizer alone should not wait for plots and probes.
_ROOMS = {
    "any_vae": ("CollapseMonitor", "diagnose", "predict"),
    "comparisons": ("CompareConfig", "compare"),
    "data": ("load",),
    "diagnostics": ("CollapseReport",),
    "equalization": ("VarianceEqualizer",),
    "equalizing": ("EqualizedNormal", "equalize"),
    "errors": ("InputError",),
    "model": ("VAE", "Trace"),
    "objectives": ("ELBO", "BetaELBO", "nll_bound", "surrogate_nll"),
    "reports": ("write_report",),
    "runs": ("METHODS", "RunConfig", "diagnose_run", "load_run", "train"),
    "sharing": ("export_run", "from_pretrained", "push_to_hub", "share_run"),
    "training": ("TrainOptions", "Trainer"),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


install_old_names()
