"""Lightning: lambda and the collapse monitor as one callback of the Trainer."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from lambda_vae.adapters.diagnose import diagnose
from lambda_vae.adapters.equalize import equalize
from lambda_vae.adapters.foreign import Encode, LogLikelihood
from lambda_vae.adapters.monitor import CollapseMonitor
from lambda_vae.adapters.sampling_method import sampling_method, usual_method
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import InputError

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError:  # the same library under its older name
    try:
        from pytorch_lightning import Callback, LightningModule, Trainer  # type: ignore[assignment]
    except ModuleNotFoundError:
        raise InputError("lightning is not installed; pip install 'lambda-vae[lightning]'") from None

__all__ = ["EqualizeCallback", "diagnose_lightning"]


class EqualizeCallback(Callback):
    """Switches lambda on while a LightningModule trains, watches its dimensions, and logs what they do.

    It takes hold of the method in which the module draws z, so nothing in the module changes, whether its optimisation
    is automatic or manual: lambda is refreshed and the metrics are logged at the end of each training epoch. The KL
    stays the module's own, validation is untouched, and at delta = inf every number of the training stays what it was.
    Its state goes into the callback's part of a checkpoint, so a checkpoint loads into the plain class, and
    `fit(ckpt_path=...)` goes on where it was. In a run of several processes all see the same lambda, of all examples.

    Args:
        latent_dim: D; left out where the module holds a `VarianceEqualizer` of its own.
        delta: The trade-off, > 1, inf to watch only; left out likewise.
        method: The method that draws z; looked for in the module and its parts as `equalize` does. "vae.sample" is the
            method of the part `vae`.
        takes: What its second argument is; as for `equalize`.
        reduction: How the loss puts the examples of a batch together, "mean" or "sum".
        every: Steps from one look of the monitor to the next.
        kl_weight: What the loss multiplies the KL by, or a function of the module that tells it after each epoch.
        prefix: Of the metrics.
        settings: Of `VarianceEqualizer`; total_epochs is the Trainer's max_epochs unless said.

    Raises:
        InputError: An argument is out of range, or the module does not fit; before anything is trained.

    Example:
        >>> callback = EqualizeCallback(latent_dim=8, delta=1.1)  # Trainer(callbacks=[callback])
    """

    def __init__(
        self,
        latent_dim: int | None = None,
        delta: float | None = None,
        *,
        method: str | None = None,
        takes: str | None = None,
        reduction: str = "mean",
        every: int = 8,
        kl_weight: float | Callable[[LightningModule], float] = 1.0,
        prefix: str = "latent/",
        **settings: Any,  # noqa: ANN401 - VarianceEqualizer's
    ) -> None:
        if (latent_dim is None) != (delta is None):
            raise InputError(f"latent_dim is {latent_dim} and delta is {delta}; give both, or neither")
        self.latent_dim, self.delta, self.settings = latent_dim, delta, settings
        self.method, self.takes = method, takes
        self.reduction, self.every, self.kl_weight, self.prefix = reduction, every, kl_weight, prefix
        self.module: LightningModule | None = None
        self.equalizer: VarianceEqualizer
        self.monitor: CollapseMonitor
        CollapseMonitor(latent_dim or 1, reduction=reduction, every=every)  # what is out of range is told here

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take hold of the module's sampling method, once.

        Args:
            trainer: Lightning's.
            pl_module: The module to train.
            stage: Only "fit" is of interest.

        Raises:
            InputError: The module does not fit.
        """
        if stage != "fit" or self.module is pl_module:
            return
        device = trainer.strategy.root_device
        held = {name: one for name, one in pl_module.named_modules() if isinstance(one, VarianceEqualizer)}
        owner, name, kind = self._held(held) if held else self._switched_on(pl_module, trainer.max_epochs)
        self.equalizer = self.equalizer.to(device)
        self.monitor = CollapseMonitor(
            self.equalizer.latent_dim, reduction=self.reduction, every=self.every, device=device
        )
        setattr(owner, name, _Watched(getattr(owner, name), pl_module, self.equalizer, self.monitor, kind))
        self.module = pl_module

    def _held(self, held: dict[str, VarianceEqualizer]) -> tuple[nn.Module, str, str]:
        if len(held) > 1:
            raise InputError(f"the module holds {len(held)} equalizers ({', '.join(held)}); one can be taken care of")
        if self.latent_dim is not None:
            raise InputError(
                f"the module holds a VarianceEqualizer as {next(iter(held))!r}; leave out latent_dim and delta"
            )
        self.equalizer = next(iter(held.values()))
        return self.equalizer, "forward", "std"

    def _switched_on(self, module: LightningModule, max_epochs: int | None) -> tuple[nn.Module, str, str]:
        if self.latent_dim is None or self.delta is None:
            raise InputError(
                f"{type(module).__name__} holds no VarianceEqualizer; give EqualizeCallback(latent_dim=..., delta=...)"
            )
        owner, method = _sampler(module, self.method)
        name, kind = sampling_method(owner, method, self.takes)
        releases = any(self.settings.get(word) for word in ("release_epochs", "settle_epochs"))
        total = {"total_epochs": max_epochs} if releases else {}
        self.equalizer = equalize(owner, self.latent_dim, self.delta, method=name, takes=kind, **total | self.settings)
        del owner.equalizer  # its state is the callback's, so that checkpoints still load into the plain class
        return owner, name, kind

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Tell the monitor what Lightning multiplies the loss by.

        Args:
            trainer: Lightning's.
            pl_module: The module.
            batch: Of no interest.
            batch_idx: Likewise.
        """
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        accumulated = trainer.accumulate_grad_batches if pl_module.automatic_optimization else 1
        self.monitor.loss_scale = (1.0 if scaler is None else scaler.get_scale()) / accumulated

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refresh lambda, log the metrics, warn of what is collapsing.

        Args:
            trainer: Lightning's.
            pl_module: The module.

        Raises:
            InputError: The module drew no z in its training steps.
        """
        if not bool(self.equalizer.get_extra_state()[3].any()):
            raise InputError(
                f"{type(pl_module).__name__} trained an epoch without drawing z in the method that was taken hold of; "
                "name the one that its training_step calls: EqualizeCallback(..., method='NAME')"
            )
        flat = {f"{self.prefix}exponent": float(self.equalizer.exponent.mean())}  # of the epoch that is over
        self.equalizer.end_epoch()
        if self.monitor.examples:
            weight = self.kl_weight(pl_module) if callable(self.kl_weight) else self.kl_weight
            for one in self.monitor.end_epoch(weight):
                if trainer.is_global_zero:
                    warnings.warn(str(one), stacklevel=2)
            kl = self.monitor.readings[-1].kl
            flat |= self.monitor.metrics(self.prefix) | {f"{self.prefix}kl/{i}": float(k) for i, k in enumerate(kl)}
        pl_module.log_dict(flat, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        """Return lambda and what was watched, for the checkpoint."""
        if self.module is None:
            return {}
        return {"equalizer": dict(self.equalizer.state_dict()), "monitor": self.monitor.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Args:
            state_dict: From `state_dict`.
        """
        if self.module is not None and state_dict:
            self.equalizer.load_state_dict(state_dict["equalizer"])
            self.monitor.load_state_dict(state_dict["monitor"])


def _sampler(module: nn.Module, method: str | None) -> tuple[nn.Module, str | None]:
    """The part of a module that draws z, and the method's name there: "vae.reparameterize" is that of module.vae."""
    if method is None:
        return next(((one, name) for one in module.modules() if (name := usual_method(one))), (module, None))
    path, _, name = method.rpartition(".")
    try:
        return module.get_submodule(path), name
    except AttributeError:
        raise InputError(f"method is {method!r}; {type(module).__name__} has no submodule {path!r}") from None


@dataclass(eq=False)
class _Watched:
    """The sampling method, and the monitor that sees each z with its gradient."""

    host: Callable[..., Any]
    module: nn.Module
    equalizer: VarianceEqualizer
    monitor: CollapseMonitor
    kind: str

    def __call__(self, mu: Tensor, scale: Tensor, *more: Any, **named: Any) -> Any:  # noqa: ANN401 - the host's own
        self.equalizer.train(self.module.training)
        drawn = self.host(mu, scale, *more, **named)
        if not self.module.training or mu.dim() != 2:  # maps and sequences get lambda, and no monitor
            return drawn
        logvar = {"logvar": lambda: scale, "std": lambda: 2 * scale.log(), "log_std": lambda: 2 * scale}[self.kind]()
        parts = list(drawn) if isinstance(drawn, tuple | list) else [drawn]
        for place, one in enumerate(parts):
            if isinstance(one, Tensor) and one.requires_grad and one.shape == mu.shape and one is not scale:
                parts[place] = self.monitor(mu, logvar, one, self.equalizer.exponent)
                break
        return tuple(parts) if isinstance(drawn, tuple | list) else parts[0]


def diagnose_lightning(
    module: LightningModule,
    data: object,
    log_likelihood: LogLikelihood,
    *,
    encode: Encode | None = None,
    **options: Any,  # noqa: ANN401 - of diagnose
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
    modes = [(one, one.training) for one in module.modules()]
    module.eval()
    try:
        return diagnose(encode, log_likelihood, _validation(data), **options)
    finally:
        for one, mode in modes:
            one.training = mode


def _validation(data: Any) -> object:  # noqa: ANN401 - what it is, is looked at
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
