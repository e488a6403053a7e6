"""Lightning: lambda and the collapse monitor as one callback of the Trainer, and the report on a LightningModule."""

import inspect
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from lambda_vae.any_vae._diagnose import diagnose
from lambda_vae.any_vae.external import Encode, LogLikelihood
from lambda_vae.any_vae.modes import evaluated
from lambda_vae.any_vae.monitor import CollapseMonitor
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.distributions.base import at_least_float32
from lambda_vae.equalization import ReleasePath, VarianceEqualizer
from lambda_vae.errors import InputError
from lambda_vae.integrations.lightning_epochs import plan, unreached
from lambda_vae.integrations.lightning_sites import equalized, held, measured, watched
from lambda_vae.integrations.lightning_spawned import Parcel
from lambda_vae.integrations.tested import needed

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError:  # the same library under its older name
    try:
        from pytorch_lightning import Callback, LightningModule, Trainer  # type: ignore[assignment]
    except ModuleNotFoundError:
        needed("lightning", "lightning.pytorch.Callback")
        raise
else:
    needed("lightning")

__all__ = ["EqualizeCallback", "diagnose_lightning"]

_DEFAULTS = {name: one.default for name, one in inspect.signature(VarianceEqualizer).parameters.items()}

#: All processes of a Trainer train one model.
_SETTINGS = _DEFAULTS.keys() - {"latent_dim", "delta", "process_group"}


class EqualizeCallback(Callback):
    """Switches lambda on while a LightningModule trains, monitors its dimensions, and logs the measures.

    It hooks the module's draw of z as `equalize` does, so nothing in the module changes, whether its optimisation is
    automatic or manual: lambda is refreshed and the metrics are logged at the end of each training epoch. The KL stays
    the module's own, validation is unchanged, and at delta = inf so is every number of the training. Its state goes
    into the callback's part of a checkpoint, so a checkpoint loads into the plain class, and `fit(ckpt_path=...)` gives
    each epoch the lambda that it would have had. A release is planned over the epochs of each Trainer. All processes of
    a run have the same lambda, of all examples.

    Args:
        latent_dim: D; left out if the module is equalized, or has a `VarianceEqualizer` of its own.
        delta: The trade-off, > 1, inf to monitor only; left out likewise.
        method: As for `equalize`, as are at, into, posterior, takes, mask and draw.
        reduction: Of the loss over the examples of a batch, "mean" or "sum".
        every: Steps between two measurements of the monitor.
        kl_weight: Of the loss, or a function of the module that gives it after each epoch.
        prefix: Of the metrics; each of several callbacks needs its own.
        refresh_every: As for `VarianceEqualizer`, as are all that follow; in the Trainer's epochs.
        total_epochs: Length of the training; by default that of the Trainer's max_epochs or max_steps.
        steps_per_epoch: Batches in an epoch of lambda, if the Trainer's epochs are too long or have no end.

    Raises:
        InputError: An argument is out of range, or the module does not fit; before anything is trained.

    Example:
        >>> callback = EqualizeCallback(latent_dim=8, delta=1.1)  # Trainer(callbacks=[callback])
    """

    module: LightningModule | None = None
    _equalizer: VarianceEqualizer | None = None
    _monitor: CollapseMonitor | None = None
    _stage: str = ""
    _ended: int | None = None  #: Epochs of the Trainer that have ended for lambda.
    _before: dict[str, Tensor] | None = None  #: lambda's statistics before the current batch.
    _failed: bool = False

    def __init__(
        self,
        latent_dim: int | None = None,
        delta: float | str | None = None,
        *,
        method: str | None = None,
        at: str | None = None,
        into: str | None = None,
        posterior: str | None = None,
        takes: str | None = None,
        mask: str | Callable[[], Tensor] | None = None,
        draw: int | None = None,
        reduction: str = "mean",
        every: int = 8,
        kl_weight: float | Callable[[LightningModule], float] = 1.0,
        prefix: str = "latent/",
        refresh_every: int = 2,
        decay: float = 0.9,
        ramp_epochs: int = 0,
        max_exponent: float = 20.0,
        release_epochs: int = 0,
        settle_epochs: int = 0,
        release_path: ReleasePath = "exponent",
        release_capacity: float | None = None,
        total_epochs: int | None = None,
        dim: int = -1,
        steps_per_epoch: int | None = None,
    ) -> None:
        given = locals()
        self.settings = {name: given[name] for name in _SETTINGS if given[name] != _DEFAULTS[name]}
        if (latent_dim is None) != (delta is None):
            raise InputError(f"latent_dim is {latent_dim} and delta is {delta}; give both, or neither")
        if latent_dim is None and self.settings.keys() - {"total_epochs"}:
            raise InputError(
                f"{', '.join(self.settings)} is given without latent_dim and delta; give them too, or set it where the "
                "module makes its own equalizer"
            )
        self.latent_dim, self.delta = latent_dim, None if delta is None else _number(delta)
        self.asked: dict[str, Any] = {"method": method, "at": at, "into": into, "posterior": posterior, "draw": draw}
        self._target = {name: value for name, value in self.asked.items() if value is not None}
        self.asked |= {"takes": takes, "mask": mask}
        self.reduction, self.every, self.kl_weight, self.prefix = reduction, every, kl_weight, prefix
        self.total_epochs = total_epochs
        if total_epochs is None and (release_epochs or settle_epochs):
            self.settings["total_epochs"] = max(release_epochs, settle_epochs)  # until the Trainer's is known
        CollapseMonitor(latent_dim or 1, reduction=reduction, every=every)  # checks the arguments
        if latent_dim is not None and self.delta is not None:
            VarianceEqualizer(latent_dim, self.delta, **self.settings)
        self._parcel, self._state = Parcel(self), dict[str, Any]()
        self._watch, self._step = ExitStack(), ExitStack()

    @property
    def equalizer(self) -> VarianceEqualizer:
        """The equalizer, from the first fit on, also after one in spawned processes."""
        self._fetch()
        if self._equalizer is None:
            raise InputError("EqualizeCallback has no equalizer before its first Trainer.fit")
        return self._equalizer

    @property
    def monitor(self) -> CollapseMonitor:
        """The monitor, from the first fit on, also after one in spawned processes."""
        self._fetch()
        if self._monitor is None:
            raise InputError("EqualizeCallback has no monitor before its first Trainer.fit")
        return self._monitor

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint; the draw and the prefix distinguish several callbacks."""
        own = self._target | ({} if self.prefix == "latent/" else {"prefix": self.prefix})
        return self._generate_state_key(**own) if own else super().state_key

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Hook the module's draw of z."""
        self._stage = stage
        if stage == "fit":
            self._fetch()
            self._ended, self._failed = None, False
            if self.module is not pl_module:
                self.module = self._equalizer = self._monitor = None
            if type(pl_module).configure_model is LightningModule.configure_model:
                self._hook(trainer, pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hook the draw of a module that made its parts in `configure_model`."""
        if type(pl_module).configure_model is not LightningModule.configure_model:
            self._hook(trainer, pl_module)

    def _hook(self, trainer: Trainer, module: LightningModule) -> None:
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        others = [one for one in callbacks if isinstance(one, EqualizeCallback) and one is not self]
        device = trainer.strategy.root_device
        if any(one.prefix == self.prefix for one in others):
            raise InputError(f"two EqualizeCallbacks have prefix {self.prefix!r}; give each its own")
        if self.latent_dim is None or self.delta is None:
            equalizer = held(module, self.asked)
        else:
            equalizer = equalized(module, self.latent_dim, self.delta, self.asked, self.settings)
        if any(one._equalizer is equalizer for one in others):
            raise InputError("two EqualizeCallbacks have one place where z is drawn; leave one out, or name its place")
        if self._monitor is None:
            width = equalizer.latent_dim
            self._monitor = CollapseMonitor(width, reduction=self.reduction, every=self.every, device=device)
        self._equalizer, self.module = equalizer.to(device), module
        equalizer.managed = True
        if self._state:
            self._load(self._state)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Plan the release over the epochs of this Trainer, and start to monitor.

        Raises:
            InputError: The length of the training is unknown, or too short for the release.
        """
        if self._ended is None:
            self._ended = trainer.current_epoch
        while self._ended < trainer.current_epoch:  # saved in an epoch's last step, whose end Lightning then skips
            self._end_epoch(pl_module)
        equalizer, automatic = self.equalizer, pl_module.automatic_optimization
        plan(trainer, equalizer, self._ended, self.total_epochs, automatic=automatic)
        self._watch.close()
        for unhook in watched(equalizer, self._drawn):
            self._watch.callback(unhook)

    def _drawn(self, mu: Tensor, std: Tensor, z: Tensor, exponent: Tensor) -> Tensor:
        """Show z to the monitor if it is a vector; maps and sequences are equalized only."""
        if z.dim() != 2 or mu.shape != z.shape or self._monitor is None:
            return z
        return self._monitor(mu, 2 * at_least_float32(std.detach()).log().expand_as(z), z, exponent)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Set the monitor's loss scale to Lightning's; run the first step uncompiled, to measure the draw."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        accumulated = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
        self.monitor.loss_scale = (1.0 if scaler is None else scaler.get_scale()) / accumulated
        lam = self.equalizer
        if not measured(lam):
            torch.compiler.set_stance("force_eager")
            self._step.callback(torch.compiler.set_stance, "default")
        self._before = lam.state_dict() if lam.steps_per_epoch else {"_extra_state": lam.get_extra_state()}

    def on_train_batch_end(self, *_: Any) -> None:
        """Keep the statistics of a finished batch."""
        self._before = None
        self._step.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Discard the statistics of a failed batch, with which a checkpoint written now starts again."""
        if self._before is not None and self._equalizer is not None:
            self._equalizer.load_state_dict(self._equalizer.state_dict() | self._before)
        self._before, self._failed = None, True
        self._step.close()
        self._watch.close()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refresh lambda, log the metrics, warn of collapsing dimensions.

        Raises:
            InputError: The module drew no z in its training steps.
        """
        if self._ended is None or self._ended > trainer.current_epoch:
            return  # Lightning ends the epoch of some checkpoints a second time
        if not bool(self.equalizer.get_extra_state()[3].any()):
            raise InputError(
                f"{type(pl_module).__name__} trained an epoch without drawing z in the place that was taken hold of; "
                "name the one that its training_step calls: EqualizeCallback(..., method='NAME')"
            )
        pl_module.log_dict(self._end_epoch(pl_module, warn=trainer.is_global_zero), sync_dist=True)

    def _end_epoch(self, module: LightningModule, *, warn: bool = False) -> dict[str, float]:
        """End the epoch of lambda and of the monitor; return the metrics."""
        equalizer, monitor = self.equalizer, self.monitor
        flat = {f"{self.prefix}exponent": float(equalizer.exponent.mean())}  # of the epoch that ends
        if equalizer.steps_per_epoch is None:
            equalizer.end_epoch()
        self._ended = (self._ended or 0) + 1
        if monitor.examples:
            weight = self.kl_weight(module) if callable(self.kl_weight) else self.kl_weight
            found = monitor.end_epoch(weight)
            for one in found if warn else ():
                warnings.warn(str(one), stacklevel=1)
            kl = monitor.readings[-1].kl
            flat |= monitor.metrics(self.prefix) | {f"{self.prefix}kl/{i}": float(k) for i, k in enumerate(kl)}
        return flat

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Warn if the training ended before the release did."""
        text = unreached(trainer, self.equalizer, self._ended or 0)
        if text is not None and trainer.is_global_zero:
            warnings.warn(text, stacklevel=1)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Stop monitoring the module, which stays equalized."""
        if stage == "fit" and self._equalizer is not None:
            self._watch.close()
            told = {name: getattr(self._equalizer, name) for name in ("latent_dim", "delta", *sorted(_SETTINGS))}
            self._parcel.leave(trainer, {"settings": told, "state": self._saved()})

    def _fetch(self) -> None:
        """Load the state that spawned processes left."""
        parcel = self._parcel.fetch()
        if parcel is not None:
            self._equalizer = VarianceEqualizer(**parcel["settings"])
            self._monitor = CollapseMonitor(self._equalizer.latent_dim, reduction=self.reduction, every=self.every)
            self.module = None
            self._load(parcel["state"])

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the equalizer and the monitor, for the checkpoint."""
        if self._equalizer is not None and not self._failed:  # a process that fails alone must not wait for others
            self._equalizer.gather()
        return self._saved()

    def _saved(self) -> dict[str, Any]:
        if self._equalizer is None or self._monitor is None:
            return {}
        state = {"equalizer": dict(self._equalizer.state_dict()), "monitor": self._monitor.state_dict()}
        return state | {"ended": self._ended}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Warn if a training continues from a checkpoint without a state of lambda."""
        if self._stage == "fit" and self.state_key not in checkpoint.get("callbacks", {}):
            warnings.warn(
                f"the checkpoint has no state of {self.state_key}; lambda and what is watched begin anew in epoch "
                f"{checkpoint['epoch']}",
                stacklevel=1,
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a checkpoint."""
        if self._stage == "fit" and state_dict:
            self._state = state_dict
            if self.module is not None:
                self._load(state_dict)

    def _load(self, state: dict[str, Any]) -> None:
        self.equalizer.load_state_dict(state["equalizer"])
        self.monitor.load_state_dict(state["monitor"])
        self._ended, self._state = state.get("ended"), {}


def _number(delta: float | str) -> float:
    try:
        return float(delta)
    except ValueError:
        raise InputError(f"delta is {delta!r}; it must be a number greater than 1, or inf") from None


def diagnose_lightning(
    module: nn.Module, data: object, log_likelihood: LogLikelihood, *, encode: Encode | None = None, **options: Any
) -> CollapseReport:
    """Return the report on a LightningModule, in eval mode; afterwards its modes are what they were.

    Args:
        module: With a method `encode`, unless that is given.
        data: A LightningDataModule or a Trainer, whose validation data are used, or whatever `diagnose` takes.
        log_likelihood: (x, z) -> log p(x|z), such as `bernoulli(module.decoder)`.
        encode: x -> (mu, logvar).
        options: Of `diagnose`, such as `equalizer=callback.equalizer` and `history=callback.monitor.history`.

    Raises:
        InputError: As for `diagnose`; or there is no encode, or no validation data.
    """
    encode = encode or getattr(module, "encode", None)
    if not callable(encode):
        raise InputError(
            f"{type(module).__name__} has no encode; give diagnose_lightning(..., encode=x -> (mu, logvar))"
        )
    with evaluated(module):
        return diagnose(encode, log_likelihood, _validation(data), **options)


def _validation(data: Any) -> object:
    """Validation loader of a data module or a Trainer; other data as they are."""
    if hasattr(data, "val_dataloaders"):
        loaders = data.val_dataloaders
    elif callable(getattr(data, "val_dataloader", None)):
        data.prepare_data()
        data.setup("validate")
        loaders = data.val_dataloader()
    else:
        return data
    if loaders is None or not hasattr(loaders, "__iter__"):
        raise InputError(f"{type(data).__name__} has no validation data; give a DataLoader")
    if isinstance(loaders, list | tuple) and loaders and hasattr(loaders[0], "dataset"):
        if len(loaders) > 1:
            raise InputError(f"{type(data).__name__} has {len(loaders)} validation loaders; give one of them")
        return loaders[0]
    return loaders
