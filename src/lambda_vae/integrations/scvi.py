"""scvi-tools: SCVI and related models diagnosed on their own batches, equalized and monitored in their trainings."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import nn
from torch.distributions import Normal
from torch.utils.hooks import RemovableHandle

from lambda_vae.any_vae.monitor import CollapseMonitor
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalization import critical_std
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import Watch, cannot_be, first_of, report_on, watched
from lambda_vae.integrations.tested import needed

needed("scvi", "scvi.model.SCVI", "scvi.model.TOTALVI", "lightning.pytorch.Callback")  # raises if one is missing

from lightning.pytorch import Callback, LightningModule, Trainer  # noqa: E402
from scvi import model as models  # noqa: E402

from lambda_vae.integrations.scvi_cells import Cells, Disentangled, Peaks, chosen_cells, columns_of  # noqa: E402
from lambda_vae.integrations.scvi_labels import Labelled  # noqa: E402
from lambda_vae.integrations.scvi_proteins import Proteins  # noqa: E402

__all__ = ["CollapseCallback", "diagnose_scvi", "equalize_scvi"]

#: Models whose one Gaussian latent is drawn in scvi's own Encoder and has its KL to N(0, I) in closed form, and how
#: their cells are read; by the exact class, since a subclass may change the draw or the loss.
_TAKEN: dict[str, type[Cells]] = {
    "scvi.model._scvi.SCVI": Cells,
    "scvi.model._linear_scvi.LinearSCVI": Cells,
    "scvi.model._peakvi.PEAKVI": Peaks,
    "drvi.scvi_tools_based.model._drvi.DRVI": Disentangled,
}

#: Models that are diagnosed: also those that are neither equalized nor monitored.
_DIAGNOSED: dict[str, type[Cells]] = _TAKEN | {
    "scvi.model._scanvi.SCANVI": Labelled,
    "scvi.model._totalvi.TOTALVI": Proteins,
}

#: Why these are not equalized.
_REFUSED: dict[type, str] = {
    models.TOTALVI: "its EncoderTOTALVI draws z inside, with a library size, and hands out no (q, z) to take hold of",
    models.MULTIVI: "it draws z from a mixture of several encoders' posteriors, and no encoder's own draw is used",
    models.SCANVI: "its KL is an estimate at the z that is drawn, by densities that narrowed noise would not have",
}


def diagnose_scvi(
    model: Any,
    adata: Any = None,
    *,
    indices: Sequence[int] | str | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> CollapseReport:
    """Return every measure of an SCVI model on some cells, and a verdict on each latent dimension with its cause.

    Of the cells that the model was made with, those are measured that it was not trained on, if there are any: a code
    may carry nothing about unseen cells. The report says which cells were measured.

    The cells come through scvi's own data loader and log p(x|z) is that of the model's own `gene_likelihood`, with the
    batch, covariates and library size (observed, or a size factor) of each cell, so that `nll_bound` is what scvi calls
    -`get_elbo()`. A latent library size (`use_observed_lib_size=False`) is integrated out under its own posterior, and
    its KL is counted. An equalized model is measured with the noise it was trained with; `equalizer=None` measures
    sigma, as `get_elbo` does. Causes are derived from the KL weight that the training ended with.

    Args:
        model: SCVI, LinearSCVI, PEAKVI, SCANVI, TOTALVI or drvi-py's DRVI, trained or loaded.
        adata: Cells; by default those the model was made with.
        indices: Of the cells to measure, or "all"; by default `model.validation_indices` of the model's own cells, and
            all of others.
        batch_size: Of scvi's loader.

    Source:
        scvi-tools 1.4.2 and 1.5.1, module/_vae.py.
    """
    module = _module(model, "diagnosed")
    if getattr(module, "minified_data_type", None) is not None:
        raise InputError("the model's adata is minified and its counts are gone; give a model of the full adata")
    if adata is None and model.adata is None:
        raise InputError("the model was loaded without cells; give diagnose_scvi(model, adata)")
    chosen, which = chosen_cells(model, adata, indices)
    loader = model._make_data_loader(model._validate_anndata(adata), indices=chosen, batch_size=batch_size)
    cells = _cells_of(model)(module, columns_of(loader))
    rows = cells.rows(loader)
    if isinstance(cells, Labelled):
        _drawing(module)
    options = cells.options(options)
    cells.require_the_loss(first_of(rows))
    weight = _last_kl_weight(model)
    known: dict[str, Any] = {"history": None if weight is None else {"kl_weight": [weight]}}
    notes = (which, *cells.notes(rows), *(() if isinstance(cells, Labelled) else _notes(model, weight)))
    return report_on(cells.encode, cells.log_likelihood, rows, known | options, model=module, notes=notes)


def equalize_scvi(model: Any, delta: float, **settings: Any) -> HostEqualizer:
    """Return the equalizer that narrows the noise of an SCVI model in its trainings from now on.

    `model.train` refreshes lambda at the end of each epoch. The KL and its warm-up stay scvi's own. Outside training,
    and wherever scvi draws more than one sample a cell (`get_marginal_ll`, `posterior_predictive_sample`), nothing
    changes. The model saves and loads as if it had no equalizer, so that `SCVI.load` gives an ordinary model; the
    equalizer's own state is `equalizer.state_dict()`. A second call returns the first's equalizer, and
    `equalizer.remove()` restores the model.

    scvi adds `var_eps` = 1e-4 to every variance, so sigma never falls below 0.01. A delta below 1.0001, which asks for
    narrower noise than that, is refused; PEAKVI has no such lower limit.

    Args:
        model: SCVI, LinearSCVI, PEAKVI or drvi-py's DRVI, with a normal latent.
        settings: Of `VarianceEqualizer`, such as release_epochs with total_epochs (the max_epochs of `model.train`).

    Raises:
        InputError: Another model, a logistic normal latent, one equalized otherwise, or a delta below the floor.

    Source:
        scvi-tools 1.4.2, nn/_base_components.py, `Encoder.forward`: the paper's Eq. 9 is applied to what it has drawn.
    """
    module = _drawing(_module(model, "equalized"))
    floor = float(module.z_encoder.var_eps) ** 0.5
    if critical_std(delta) < floor:
        raise InputError(
            f"delta is {delta}, whose noise {critical_std(delta):.3g} lies below {floor:.3g}, the least sigma that "
            "scvi's var_eps allows; choose a larger delta"
        )
    equalizer = equalize(module, int(module.n_latent), delta, at="z_encoder", **settings)
    if not equalizer.apart:
        equalizer.apart = equalizer.managed = True
        equalizer.replace(model, "_train_runner_cls", partial(_refreshing, model._train_runner_cls, equalizer))
    return equalizer


class CollapseCallback(Watch, Callback):
    """Monitors a training by scvi: `model.train(callbacks=[callback])` warns of collapsing dimensions.

    Its measures go into `model.history` ("latent/active_units", ...), its warnings to the log. Each epoch is judged by
    the KL weight of scvi's warm-up. Only the gradient in z is read: no number of the training changes, and nothing is
    drawn.

    Args:
        settings: Of `CollapseMonitor`, such as every, horizon or thresholds.
    """

    _handle: RemovableHandle | None = None
    _batch = 1

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a new monitor."""
        module = _drawing(_module(getattr(trainer, "_model", None), "watched"))
        peaks = _cells_of(trainer._model) is Peaks  # type: ignore[attr-defined]
        reduction, device = "sum" if peaks else "mean", trainer.strategy.root_device
        self.monitor = CollapseMonitor(int(module.n_latent), reduction=reduction, device=device, **self.settings)
        self._batch = _batch_size(trainer) if peaks else 1
        self._handle = module.z_encoder.register_forward_hook(_Watched(module, self.monitor, peaks))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the epoch of the monitor with the KL weight of this epoch."""
        assert self.monitor is not None
        plan: Any = pl_module
        for warning in self.monitor.end_epoch(float(plan.kl_weight) / self._batch):
            logging.getLogger(__name__).warning(str(warning))
        pl_module.log_dict(self.monitor.metrics())

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the encoder."""
        if self._handle is not None:
            self._handle.remove()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the encoder."""
        self.on_fit_end(trainer, pl_module)


@dataclass(eq=False)
class _Watched:
    """A forward hook of the encoder that shows its draws to the monitor."""

    module: Any
    monitor: CollapseMonitor
    over_batch: bool = False

    def __call__(self, encoder: nn.Module, given: object, drawn: tuple[Any, ...]) -> tuple[Any, ...]:
        *given, z = drawn  # (q, z), or (mean, variance, z)
        q = given[0] if len(given) == 1 else Normal(given[0], given[1].sqrt())
        if self.over_batch:
            self.monitor.loss_scale = float(len(z))
        return *drawn[:-1], watched(self.monitor, self.module, q.loc, 2.0 * q.scale.log(), z)


def _refreshing(host: Callable[..., Any], equalizer: HostEqualizer, *given: Any, **named: Any) -> Any:
    """Return scvi's runner of a training with a callback that refreshes lambda after each epoch."""
    runner = host(*given, **named)
    end, total = int(equalizer.epoch) + int(runner.trainer.max_epochs), equalizer.total_epochs
    if equalizer.release_left is not None and runner.ckpt_path is None and end != total:
        raise InputError(f"total_epochs is {total}, but this training ends at epoch {end}; make them the same")
    runner.trainer.callbacks.append(_Refresh(equalizer))
    return runner


class _Refresh(Callback):
    def __init__(self, equalizer: HostEqualizer) -> None:
        self.equalizer = equalizer

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # scvi leaves its module in eval mode after a training or a load, and the next training runs in it. Only the
        # mode of the encoder itself is set, which its layers do not read: dropout and batch norm stay as scvi has them.
        self._train(True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._train(pl_module.module.training)  # type: ignore[union-attr]  # as scvi leaves all else

    def _train(self, mode: bool) -> None:
        self.equalizer.train(mode)
        self.equalizer.sites[0].owner.training = mode

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.equalizer.end_epoch()


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _cells_of(model: object) -> type[Cells]:
    return _DIAGNOSED[_path(type(model))]


def _module(model: Any, wanted: str) -> Any:
    if _path(type(model)) not in (_DIAGNOSED if wanted == "diagnosed" else _TAKEN):
        reason = _REFUSED.get(type(model), "its sampling is not known to be that of SCVI")
        base = next((kind.__name__ for kind in type(model).__mro__ if _path(kind) in _TAKEN), None)
        if base is not None:
            reason = f"it inherits from {base}, and what it changes of the draw and the loss is not known"
        raise cannot_be(model, wanted, f"{reason}; use SCVI, LinearSCVI or PEAKVI")
    if model.module is None:
        name = type(model).__name__
        raise InputError(f"{name} has no module before it is trained without adata; give {name}(adata)")
    return model.module


def _drawing(module: Any) -> Any:
    kind = getattr(module, "latent_distribution", "normal")
    if kind != "normal" or isinstance(getattr(module.z_encoder, "z_transformation", None), nn.Softmax):
        raise InputError(
            f"latent_distribution is {kind!r}: a softmax over all dimensions follows the draw, "
            "so that no dimension's noise is its own; use latent_distribution='normal'"
        )
    return module


def _batch_size(trainer: Any) -> int:
    """The cells in a training step; scvi's default where the trainer does not show it."""
    splitter = getattr(trainer, "datamodule", None)
    size = getattr(splitter, "data_loader_kwargs", {}).get("batch_size") or 128
    return max(1, min(int(size), int(getattr(splitter, "n_train", None) or size)))


def _last_kl_weight(model: Any) -> float | None:
    """KL weight of the last step that scvi logged or knows; None of an untrained model, 1 / batch size of PEAKVI."""
    trainer = getattr(model, "trainer", None)
    logged = model.history_.get("kl_weight") if isinstance(model.history_, Mapping) else None
    if logged is not None and len(logged):
        weight = float(logged["kl_weight"].iloc[-1])
    else:  # scvi logs every tenth step, and short trainings have none
        known = getattr(getattr(trainer, "lightning_module", None), "kl_weight", None)
        if known is None:
            return None
        weight = float(known)
    return weight / _batch_size(trainer) if _cells_of(model) is Peaks else weight


def _notes(model: Any, weight: float | None) -> tuple[str, ...]:
    notes, module = [], model.module
    if _cells_of(model) is Peaks:
        batch = _batch_size(getattr(model, "trainer", None))
        notes.append(
            "PEAKVI's loss adds the reconstruction of the whole batch to the KL of each of its cells, and so weighs "
            f"the KL by 1/{batch}, its batch size: few dimensions can collapse, and codes need not fit N(0, I)."
        )
    if weight is not None and weight != 1.0:
        notes.append(
            f"scvi's training ended at a KL weight of {weight:.3g}, by which causes are judged; every likelihood here "
            "counts the KL in full, as get_elbo does."
        )
        if weight < 1.0 and _cells_of(model) is not Peaks:
            notes.append(
                "If that was a warm-up (n_epochs_kl_warmup, 400 by default), it was not over: dimensions in use now "
                "may still collapse in a longer training."
            )
    if not getattr(module, "use_observed_lib_size", True):
        notes.append("The library size is latent too: its KL is counted with the reconstruction, not with a dimension.")
    return tuple(notes)
