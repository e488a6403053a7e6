"""Why a variational autoencoder's latent dimensions collapse onto the prior, and what stops it."""

from importlib.metadata import version
from typing import TYPE_CHECKING

from lambda_vae.deprecated import install_old_names
from lambda_vae.lazy import on_first_use

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

__getattr__ = on_first_use(__name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


install_old_names()
