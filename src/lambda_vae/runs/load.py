"""A finished run, read back to be used or measured anew."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lambda_vae.data import KnownTokens
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.errors import InputError
from lambda_vae.estimation.shares import Shares
from lambda_vae.files import read_json
from lambda_vae.model import VAE
from lambda_vae.records.read import check_history
from lambda_vae.reports.page import write_page
from lambda_vae.runs.flat import read_config
from lambda_vae.runs.folder import RunFolder
from lambda_vae.runs.model_record import is_shared, read_record
from lambda_vae.runs.resolve import Run
from lambda_vae.runs.results import measure, training_length
from lambda_vae.runs.weights import load_model

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

__all__ = ["LoadedRun", "diagnose_run", "load_run"]


@dataclass(frozen=True, eq=False)
class LoadedRun(Run):
    """A finished run, ready to be used.

    Args:
        config: As written in its folder.
        dataset: The data it was trained on.
        likelihood: Its name.
        model: In evaluation mode, with the lambda that it was trained with.
        folder: Where it lies.
    """

    model: VAE
    folder: RunFolder

    @property
    def vae(self) -> VAE:
        """The model."""
        return self.model

    @property
    def exponent(self) -> torch.Tensor | None:
        """Lambda, or None."""
        return self.model.equalization.exponent

    @property
    def title(self) -> str:
        """Its method with the settings that matter, and its length."""
        return f"{self.method.label}, {training_length(self.config.epochs)}"


def load_run(path: Path, data: str | None = None) -> LoadedRun:
    """Return a finished run.

    Args:
        path: Its folder, or one that `share_run` made of it.
        data: Other data than the run's own, whose test set then counts whatever the run held out of its own.

    Raises:
        InputError: No run there, not finished, damaged weights, or data of another shape or vocabulary.
    """
    folder = RunFolder(path)
    if (path / "configs").is_dir():
        raise InputError(f"{path} holds a comparison; give one of its runs, a folder in {path / 'runs'}")
    config = read_record(path).config if is_shared(path) else read_config(folder.config)
    if not folder.model.exists():
        raise InputError(f"{path} holds a run that is not finished; go on with `resume=True`")
    asked = replace(config, data=data, validation=0) if data else config
    if data and (known := folder.read_vocabulary()) is not None:  # other text, in the tokens that the model knows
        own = vars(config.sequences) | {"tokeniser": known.tokeniser, "known": known}
        asked = replace(asked, sequences=KnownTokens(**own))
    run = Run.resolve(asked, training=False)
    folder.check_vocabulary(run.dataset.vocabulary)
    model = run.build_vae()
    load_model(folder.model, model, run.dataset if data else None)
    return LoadedRun(config, run.dataset, run.likelihood, model, folder)


def diagnose_run(
    path: Path,
    *,
    data: str | None = None,
    process_group: "ProcessGroup | None" = None,
    **options: Any,  # noqa: ANN401
) -> CollapseReport:
    """Measure a finished run anew.

    Args:
        path: Its folder.
        data: Other data than the run's own.
        process_group: Processes that divide the examples, all of which call this.
        options: Of `diagnose`: iw_samples in place of the run's number, memory, progress.

    Raises:
        InputError: As `load_run`.
    """
    with Shares(process_group):  # what one cannot read, all hear of
        run = load_run(path, data)
        history = read_json(run.folder.history) if run.folder.history.exists() else None
        if not isinstance(history, dict | None):
            raise InputError(f"{run.folder.history} holds no history; restore it or remove it")
        check_history(history or {}, run.folder.history)
    report = measure(run, run.model, history, process_group=process_group, **options)
    return replace(report, write_page=write_page)
