"""Collapse, watched while it happens, in anybody's training loop."""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.any_vae.loss_scale import accelerate_scale, may_be_scaled
from lambda_vae.diagnostics import Thresholds, TrainingMoments, TrainingReading
from lambda_vae.equalization import sampling_logvar
from lambda_vae.errors import InputError

__all__ = ["REDUCTIONS", "CollapseMonitor", "CollapseWarning"]

#: How the loss puts the examples of a batch together.
REDUCTIONS = ("mean", "sum")

#: Why no gradient was seen in an epoch: never called, and what the calls met, of which the highest counts.
_UNSEEN, _NO_GRAD, _TRANSFORMED, _AWAITED = range(4)
_REASONS = {
    _UNSEEN: "; decode the z that it returns: z = monitor(mu, logvar, z)",
    _NO_GRAD: ": the z that it was given needs none; call it where gradients are recorded, not under torch.no_grad()",
    _TRANSFORMED: ": it was called within a torch.func transform (grad, vmap, ...), where it cannot look; call it in a "
    "step with loss.backward(), one in each epoch is enough",
    _AWAITED: "; decode the z that it returns: z = monitor(mu, logvar, z), and call backward() before end_epoch()",
}


@dataclass(frozen=True)
class CollapseWarning:
    """One dimension on its way down.

    Args:
        dimension: Which.
        kind: "collapsed", "losing signal", "below the critical ratio" or "not finite".
        epoch: When it was seen.
        value: S, or rho over the KL weight.
        rate: Change of ln S an epoch.
        epochs_left: Until S is at the threshold, at that rate; 0 where it is.
        text: All that in a sentence.
    """

    dimension: int
    kind: str
    epoch: int
    value: float
    rate: float
    epochs_left: float
    text: str

    def __str__(self) -> str:
        return self.text


class CollapseMonitor:
    """Watches a training loop: `z = monitor(mu, logvar, z)` in each step, `monitor.end_epoch()` after each epoch.

    It reads the gradient that arrives at z, so the loss must reach z through the decoder alone: a KL in closed form, of
    mu and logvar. It changes no number of the training, and draws nothing. A step is a gradient that arrives: one that
    gradient checkpointing computes twice counts once. Under torch.compile it breaks the graph; not with fullgraph=True.

    Args:
        latent_dim: D.
        reduction: "mean" if the loss is a mean over the batch, "sum" if it is a sum.
        every: Steps from one look to the next; a look costs a few small tensor operations.
        device: Where the batches are.
        horizon: Warn of a dimension that will be below the threshold within so many epochs.
        thresholds: Of the verdicts.
        loss_scale: What multiplies the loss before its backward pass, as a number or a function without arguments:
            `scaler.get_scale` of a gradient scaler, 1/k if you divide by k accumulated batches. What accelerate's
            `accelerator.backward` does is found if it is left out; all else then counts as 1.
        accelerator: An accelerate.Accelerator whose `backward` is called.

    Raises:
        InputError: An argument is out of range.

    Example:
        >>> encoder, decoder = torch.nn.Linear(8, 4), torch.nn.Linear(2, 8)
        >>> monitor = CollapseMonitor(2, reduction="mean", every=1)
        >>> x = torch.eye(8)
        >>> for epoch in range(2):
        ...     mu, logvar = encoder(x).chunk(2, dim=-1)
        ...     z = monitor(mu, logvar, mu + torch.exp(0.5 * logvar) * torch.randn_like(mu))
        ...     kl = 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1)
        ...     loss = (0.5 * (decoder(z) - x).square().sum(1) + kl).mean()
        ...     loss.backward()
        ...     warnings = monitor.end_epoch()
        >>> sorted(monitor.metrics())[:2]
        ['latent/active_units', 'latent/at_risk']
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        reduction: str,
        every: int = 8,
        device: torch.device | str = "cpu",
        horizon: float = 5.0,
        thresholds: Thresholds | None = None,
        loss_scale: float | Callable[[], float] | None = None,
        accelerator: Any = None,  # noqa: ANN401 - accelerate's, which is an extra
    ) -> None:
        if loss_scale is not None and accelerator is not None:
            raise InputError(f"loss_scale is {loss_scale}; leave it out, as the accelerator knows it")
        if accelerator is not None:
            accelerate_scale(accelerator)  # what cannot be known is told here
        if reduction not in REDUCTIONS:
            raise InputError(f"reduction is {reduction!r}; it must be one of {', '.join(REDUCTIONS)}")
        for name, value in (("latent_dim", latent_dim), ("every", every), ("horizon", horizon)):
            if value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1")
        self.reduction, self.every, self.horizon = reduction, every, horizon
        self.thresholds = thresholds or Thresholds()
        self.readings: list[TrainingReading] = []
        self.weights: list[float] = []
        self.warnings: list[CollapseWarning] = []
        self.loss_scale, self.accelerator = loss_scale, accelerator
        self._moments, self._step = TrainingMoments(latent_dim, device), 0
        self._exponents: list[Tensor] = []
        self._met, self._doubtful = _UNSEEN, False

    def __call__(
        self,
        mu: Float[Tensor, "B D"],
        logvar: Float[Tensor, "B D"],
        z: Float[Tensor, "B D"],
        exponent: Float[Tensor, " D"] | None = None,
    ) -> Float[Tensor, "B D"]:
        """Return z, to be decoded; its gradient is noted on the way back.

        Args:
            mu: Posterior means.
            logvar: ln sigma^2 of the encoder.
            z: The sample.
            exponent: lambda that it was drawn with.

        Raises:
            InputError: Shapes that do not fit.
        """
        if torch.compiler.is_compiling():
            torch._dynamo.graph_break()  # CollapseMonitor looks at gradients between graphs: leave out fullgraph=True
        if torch._C._functorch.maybe_current_level() is not None:
            self._met = max(self._met, _TRANSFORMED)
            return z
        if not z.requires_grad:  # as in the first pass of a reentrant checkpoint, whose second one comes here again
            self._met = max(self._met, _NO_GRAD)
            return z
        if mu.shape != z.shape or logvar.shape != z.shape or z.shape[1:] != (self._moments.latent_dim,):
            raise InputError(
                f"mu {list(mu.shape)}, logvar {list(logvar.shape)} and z {list(z.shape)} must all be "
                f"[B, {self._moments.latent_dim}]"
            )
        self._met = _AWAITED
        seen = z.view_as(z)
        state = mu.detach(), logvar.detach(), z.detach(), None if exponent is None else exponent.detach()
        doubtful = may_be_scaled(z)
        seen.register_hook(lambda gradient: self._arrived(gradient, doubtful, *state))  # type: ignore[no-untyped-call]
        return seen

    def _arrived(self, gradient: Tensor, doubtful: bool, *state: Any) -> None:  # noqa: ANN401 - as in _note
        """Count a step here, as a z that checkpointing recomputes gets a gradient in only one of its two lives."""
        self._step += 1
        if (self._step - 1) % self.every == 0:
            scale = self.loss_scale() if callable(self.loss_scale) else self.loss_scale
            scale = accelerate_scale(self.accelerator) if scale is None else scale
            self._doubtful |= doubtful and scale is None
            self._note(gradient, 1.0 if scale is None else scale, *state)

    def _note(
        self, gradient: Tensor, scale: float, mu: Tensor, logvar: Tensor, z: Tensor, exponent: Tensor | None
    ) -> None:
        with torch.no_grad():
            narrowed = logvar if exponent is None else sampling_logvar(logvar, exponent)
            eps = (z - mu) * torch.exp(-0.5 * narrowed)
            score = gradient.float() * (-float(len(mu) if self.reduction == "mean" else 1) / scale)
            self._moments.update(score, eps.float(), mu.float(), logvar.float())
        if exponent is not None:
            self._exponents[:] = [exponent.clone()]

    def end_epoch(self, kl_weight: float = 1.0) -> list[CollapseWarning]:
        """Return what is going wrong, and begin a new epoch.

        Args:
            kl_weight: What the loss multiplied the KL by.

        Raises:
            InputError: No step was seen, with the reason.
        """
        if not self._moments.count:
            raise InputError(f"the monitor saw no gradient in this epoch{_REASONS[self._met]}")
        if self._doubtful:
            warnings.warn(
                "the step runs in float16, where a gradient scaler multiplies the loss, and the monitor was not told "
                "by how much, so gradient ratios may be that much too large; say CollapseMonitor(..., "
                "loss_scale=scaler.get_scale), or loss_scale=1.0 if there is none",
                stacklevel=2,
            )
        self.readings.append(self._moments.compute(self._exponents[0] if self._exponents else None))
        self.weights.append(kl_weight)
        self._moments.reset()
        self._step, self._met, self._doubtful = 0, _UNSEEN, False
        found = [warning for i in range(self._moments.latent_dim) if (warning := self._warning(i)) is not None]
        self.warnings += found
        return found

    def _warning(self, i: int) -> CollapseWarning | None:
        epoch, limits = len(self.readings), self.thresholds
        now, before = self.readings[-1], self.readings[-2] if epoch > 1 else None
        if not _finite(now, i):
            return self._not_finite(i) if before is None or _finite(before, i) else None
        if before is None or epoch < 3:  # the first is the random start
            return None
        signal, floor = float(now.signal_power[i]), limits.active
        rate = math.log(max(signal, 1e-12) / max(float(before.signal_power[i]), 1e-12))
        left = math.log(signal / floor) / -rate if signal > floor and rate < 0.0 else math.inf
        if float(before.signal_power[i]) <= floor:
            return None
        share, lost = f"S = {signal:.4f}", f"lost {1 - math.exp(rate):.0%} of its signal in this epoch"
        if signal <= floor:
            text = f"epoch {epoch}: dimension {i} collapsed: it {lost} ({share})"
            return CollapseWarning(i, "collapsed", epoch, signal, rate, 0.0, text)
        if left <= self.horizon and signal < 0.5 * max(float(r.signal_power[i]) for r in self.readings):
            text = f"epoch {epoch}: dimension {i} {lost} ({share}); at this rate it collapses in {left:.1f} epochs"
            return CollapseWarning(i, "losing signal", epoch, signal, rate, left, text)
        return self._crossing(i, rate, left)

    def _not_finite(self, i: int) -> CollapseWarning:
        epoch, signal = len(self.readings), float(self.readings[-1].signal_power[i])
        text = (
            f"epoch {epoch}: dimension {i} is not finite, in mu, sigma or the gradient at z: the training diverged, or "
            "a gradient scaler skipped a step"
        )
        return CollapseWarning(i, "not finite", epoch, signal, math.nan, math.nan, text)

    def _crossing(self, i: int, rate: float, left: float) -> CollapseWarning | None:
        """Whether the reconstruction has just begun to pull less than the KL term."""
        if any(weight == 0.0 for weight in self.weights[-2:]) or rate >= 0.0:
            return None
        critical, errors = self.thresholds.critical_ratio, self.thresholds.errors
        upper = [
            (float(r.gradient_ratio[i]) + errors * float(r.gradient_ratio_stderr[i])) / weight
            for r, weight in zip(self.readings[-2:], self.weights[-2:], strict=True)
        ]
        if not upper[0] >= critical > upper[1]:
            return None
        epoch, ratio = len(self.readings), float(self.readings[-1].gradient_ratio[i]) / self.weights[-1]
        text = (
            f"epoch {epoch}: dimension {i} fell below the critical ratio: the reconstruction pulls {ratio:.2f} times "
            f"as hard as the KL term, and its signal changes by {math.expm1(rate):+.0%} an epoch"
        )
        return CollapseWarning(i, "below the critical ratio", epoch, ratio, rate, left, text)

    def metrics(self, prefix: str = "latent/", *, per_dimension: bool = False) -> dict[str, float]:
        """Return the last epoch as a flat dict for any tracker.

        Args:
            prefix: Of every name.
            per_dimension: Add every dimension's measures, as in "latent/kl/3".
        """
        if not self.readings:
            return {}
        r, epoch = self.readings[-1], len(self.readings)
        now = [warning for warning in self.warnings if warning.epoch == epoch]
        flat = {
            "active_units": r.active_units,
            "kl": float(r.kl.sum()),
            "std": float(r.std_mean.mean()),
            "snr_capacity": float(0.5 * torch.log1p(r.signal_power / r.sampling_std.square()).sum()),
            "decoder_capacity": float(r.decoder_capacity.sum()),
            "at_risk": float(sum(warning.kind != "collapsed" for warning in now)),
            "collapsed_now": float(sum(warning.kind == "collapsed" for warning in now)),
        }
        if per_dimension:
            flat |= {f"{name}/{i}": value for name, values in r.dimensions.items() for i, value in enumerate(values)}
        return {f"{prefix}{name}": value for name, value in flat.items()}

    @property
    def examples(self) -> int:
        """How many examples of this epoch were looked at so far."""
        return self._moments.count

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed training needs, as tensors, numbers and text."""
        return {
            "step": self._step,
            "moments": self._moments.state_dict(),
            "exponents": list(self._exponents),
            "weights": list(self.weights),
            "readings": [dict(vars(reading)) for reading in self.readings],
            "warnings": [dict(vars(warning)) for warning in self.warnings],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there.

        Args:
            state: From `state_dict`.

        Raises:
            InputError: It belongs to another number of dimensions.
        """
        self._moments.load_state_dict(state["moments"])
        self._step, self._exponents = int(state["step"]), list(state["exponents"])
        self.weights = list(state["weights"])
        self.readings = [TrainingReading(**reading) for reading in state["readings"]]
        self.warnings = [CollapseWarning(**warning) for warning in state["warnings"]]

    @property
    def history(self) -> dict[str, Any]:
        """What `diagnose(..., history=monitor.history)` judges causes from."""
        rows = [reading.dimensions for reading in self.readings]
        columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
        return {"epochs": list(range(1, len(rows) + 1)), "kl_weight": list(self.weights), "dimensions": columns}


def _finite(reading: TrainingReading, i: int) -> bool:
    return all(math.isfinite(float(row[i])) for row in (reading.signal_power, reading.kl, reading.decoder_capacity))
