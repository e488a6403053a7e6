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
    """Switches lambda on while a LightningModule trains, watches its dimensions, and logs what they do.

    It takes hold of the place where the module draws z, as `equalize` does, so nothing in the module changes, whether
    its optimisation is automatic or manual: lambda is refreshed and the metrics are logged at the end of each training
    epoch. The KL stays the module's own, validation is untouched, and at delta = inf every number of the training stays
    what it was. Its state goes into the callback's part of a checkpoint, so a checkpoint loads into the plain class,
    and `fit(ckpt_path=...)` gives each epoch the lambda that it would have had. A release is planned over the epochs of
    each Trainer. In a run of several processes all see the same lambda, of all examples.

    Args:
        latent_dim: D; left out where the module is equalized, or holds a `VarianceEqualizer` of its own.
        delta: The trade-off, > 1, inf to watch only; left out likewise.
        method: The method that draws z; looked for in the module and its parts as `equalize` does. "vae.sample" is the
            method of the part `vae`.
        at: As for `equalize`; so are into, posterior, takes, mask and draw.
        into: The part that z goes into.
        posterior: With `into`: the part whose output holds mu and sigma.
        takes: What sigma is made of, to be held against what is measured.
        mask: Which examples count.
        draw: Which of several draws of the place.
        reduction: How the loss puts the examples of a batch together, "mean" or "sum".
        every: Steps from one look of the monitor to the next.
        kl_weight: What the loss multiplies the KL by, or a function of the module that tells it after each epoch.
        prefix: Of the metrics; each of several callbacks needs its own.
        refresh_every: Of `VarianceEqualizer`, as are all that follow; in the Trainer's epochs.
        decay: Weight of the past in the running std.
        ramp_epochs: Epochs over which the exponent grows.
        max_exponent: What a collapsed dimension gets.
        release_epochs: Epochs over which the exponent falls back to 1 at the end.
        settle_epochs: Epochs at exactly 1 after that.
        release_path: "exponent" or "delta".
        release_capacity: Nats from which on a single dimension is let go.
        total_epochs: Length of the training; the Trainer's max_epochs or max_steps give it if left out.
        dim: The latent axis.
        steps_per_epoch: Batches of what is an epoch to lambda, where the Trainer's are too long or have no end.

    Raises:
        InputError: An argument is out of range, or the module does not fit; before anything is trained.

    Example:
        >>> callback = EqualizeCallback(latent_dim=8, delta=1.1)  # Trainer(callbacks=[callback])
    """

    module: LightningModule | None = None
    _equalizer: VarianceEqualizer | None = None
    _monitor: CollapseMonitor | None = None
    _stage: str = ""
    #: Epochs of the Trainer that lambda has seen the end of.
    _ended: int | None = None
    #: lambda's statistics as they were before the batch that is under way.
    _before: dict[str, Tensor] | None = None
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
        self._place = {name: value for name, value in self.asked.items() if value is not None}
        self.asked |= {"takes": takes, "mask": mask}
        self.reduction, self.every, self.kl_weight, self.prefix = reduction, every, kl_weight, prefix
        self.total_epochs = total_epochs
        if total_epochs is None and (release_epochs or settle_epochs):
            self.settings["total_epochs"] = max(release_epochs, settle_epochs)  # until the Trainer's is known
        CollapseMonitor(latent_dim or 1, reduction=reduction, every=every)  # what is out of range is told here
        if latent_dim is not None and self.delta is not None:
            VarianceEqualizer(latent_dim, self.delta, **self.settings)
        self._parcel, self._state = Parcel(self), dict[str, Any]()
        self._watch, self._step = ExitStack(), ExitStack()

    @property
    def equalizer(self) -> VarianceEqualizer:
        """Lambda; there from the first fit on, after one in spawned processes too."""
        self._fetch()
        if self._equalizer is None:
            raise InputError("EqualizeCallback has no equalizer before its first Trainer.fit")
        return self._equalizer

    @property
    def monitor(self) -> CollapseMonitor:
        """What was watched; there from the first fit on, after one in spawned processes too."""
        self._fetch()
        if self._monitor is None:
            raise InputError("EqualizeCallback has no monitor before its first Trainer.fit")
        return self._monitor

    @property
    def state_key(self) -> str:
        """The name of its state in a checkpoint, by the place and the prefix, so that several callbacks have theirs."""
        told = self._place | ({} if self.prefix == "latent/" else {"prefix": self.prefix})
        return self._generate_state_key(**told) if told else super().state_key

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take hold of the place where the module draws z."""
        self._stage = stage
        if stage == "fit":
            self._fetch()
            self._ended, self._failed = None, False
            if self.module is not pl_module:
                self.module = self._equalizer = self._monitor = None
            if type(pl_module).configure_model is LightningModule.configure_model:
                self._take_hold(trainer, pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take hold of a module that made its parts in `configure_model`."""
        if type(pl_module).configure_model is not LightningModule.configure_model:
            self._take_hold(trainer, pl_module)

    def _take_hold(self, trainer: Trainer, module: LightningModule) -> None:
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
        """Plan the release over the epochs of this Trainer, and begin to watch.

        Raises:
            InputError: A release is asked for, and the length of the training is not known, or too short.
        """
        if self._ended is None:
            self._ended = trainer.current_epoch
        while self._ended < trainer.current_epoch:  # saved in an epoch's last step, whose end Lightning leaves out then
            self._end_epoch(pl_module)
        equalizer, automatic = self.equalizer, pl_module.automatic_optimization
        plan(trainer, equalizer, self._ended, self.total_epochs, automatic=automatic)
        self._watch.close()
        for let_go in watched(equalizer, self._drawn):
            self._watch.callback(let_go)

    def _drawn(self, mu: Tensor, std: Tensor, z: Tensor, exponent: Tensor) -> Tensor:
        """See z with its gradient, where it is a vector; maps and sequences get lambda, and no monitor."""
        if z.dim() != 2 or mu.shape != z.shape or self._monitor is None:
            return z
        return self._monitor(mu, 2 * at_least_float32(std.detach()).log().expand_as(z), z, exponent)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Tell the monitor what Lightning multiplies the loss by; run the first step uncompiled, to measure it."""
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        accumulated = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
        self.monitor.loss_scale = (1.0 if scaler is None else scaler.get_scale()) / accumulated
        lam = self.equalizer
        if not measured(lam):  # which compiled code cannot do
            torch.compiler.set_stance("force_eager")
            self._step.callback(torch.compiler.set_stance, "default")
        self._before = lam.state_dict() if lam.steps_per_epoch else {"_extra_state": lam.get_extra_state()}

    def on_train_batch_end(self, *_: Any) -> None:
        """Keep what was observed in a batch that went through."""
        self._before = None
        self._step.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Take back what was observed of a batch that failed: a checkpoint that is written now begins with it again."""
        if self._before is not None and self._equalizer is not None:
            self._equalizer.load_state_dict(self._equalizer.state_dict() | self._before)
        self._before, self._failed = None, True
        self._step.close()
        self._watch.close()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refresh lambda, log the metrics, warn of what is collapsing.

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
        flat = {f"{self.prefix}exponent": float(equalizer.exponent.mean())}  # of the epoch that is over
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
        """Say so if the training ended before the release was over."""
        text = unreached(trainer, self.equalizer, self._ended or 0)
        if text is not None and trainer.is_global_zero:
            warnings.warn(text, stacklevel=1)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let go of the module, which stays equalized."""
        if stage == "fit" and self._equalizer is not None:
            self._watch.close()
            told = {name: getattr(self._equalizer, name) for name in ("latent_dim", "delta", *sorted(_SETTINGS))}
            self._parcel.leave(trainer, {"settings": told, "state": self._saved()})

    def _fetch(self) -> None:
        """Take over what processes that were spawned left."""
        parcel = self._parcel.fetch()
        if parcel is not None:
            self._equalizer = VarianceEqualizer(**parcel["settings"])
            self._monitor = CollapseMonitor(self._equalizer.latent_dim, reduction=self.reduction, every=self.every)
            self.module = None
            self._load(parcel["state"])

    def state_dict(self) -> dict[str, Any]:
        """Return lambda and what was watched, for the checkpoint."""
        if self._equalizer is not None and not self._failed:  # one process may fail alone, and wait for nobody then
            self._equalizer.gather()
        return self._saved()

    def _saved(self) -> dict[str, Any]:
        if self._equalizer is None or self._monitor is None:
            return {}
        state = {"equalizer": dict(self._equalizer.state_dict()), "monitor": self._monitor.state_dict()}
        return state | {"ended": self._ended}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Say so if a training goes on from a checkpoint that knows nothing of lambda."""
        if self._stage == "fit" and self.state_key not in checkpoint.get("callbacks", {}):
            warnings.warn(
                f"the checkpoint has no state of {self.state_key}; lambda and what is watched begin anew in epoch "
                f"{checkpoint['epoch']}",
                stacklevel=1,
            )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
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
        module: With `encode`, x -> (mu, logvar), unless that is given.
        data: A LightningDataModule or a Trainer, whose validation data are taken, or whatever `diagnose` takes.
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
    """The validation loader of a data module or a Trainer; other data as they are."""
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
