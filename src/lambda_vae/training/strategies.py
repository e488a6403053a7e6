"""How one batch becomes a step: the dynamics of a method, apart from what it minimises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from lambda_vae.model import Trace
from lambda_vae.objectives import Terms

if TYPE_CHECKING:
    from lambda_vae.training.loop import Trainer
    from lambda_vae.training.watch import Trail

__all__ = ["Batch", "Joint", "Step", "Strategy"]


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step is given; all chance in it is drawn already.

    Args:
        x: What the model sees, [B, F].
        eps: Noise of z, [K, B, D].
        exponent: lambda, or None.
        kl_weight: Of the schedule.
        xi: Noise of an implicit posterior, [B, X], or None.
        prior_eps: Noise for draws from the prior, [B, P], or None.
    """

    x: Float[Tensor, "B F"]
    eps: Float[Tensor, "K B D"]
    exponent: Float[Tensor, " D"] | None
    kl_weight: float
    xi: Float[Tensor, "B X"] | None = None
    prior_eps: Float[Tensor, "B P"] | None = None

    def parts(self, count: int) -> list["Batch"]:
        """Return the batch cut into so many of equal size; itself if it is one.

        Args:
            count: Divides B.
        """
        if count == 1:
            return [self]

        def cut(noise: Tensor | None) -> Sequence[Tensor | None]:
            return [None] * count if noise is None else noise.chunk(count)

        pieces = zip(self.x.chunk(count), self.eps.chunk(count, 1), cut(self.xi), cut(self.prior_eps), strict=True)
        return [Batch(x, eps, self.exponent, self.kl_weight, xi, prior_eps) for x, eps, xi, prior_eps in pieces]


@dataclass(frozen=True, eq=False)
class Step:
    """What a step leaves for the records.

    Args:
        trace: Of the pass that moved the decoder; of the last part of a batch that came in several.
        terms: Of that trace.
        dlogp_dz: Gradient of each example's own log p(x|z) with respect to its z, [K, B, D]; None if not watched.
    """

    trace: Trace
    terms: Terms
    dlogp_dz: Float[Tensor, "K B D"] | None


@runtime_checkable
class Strategy(Protocol):
    """The dynamics of a method; what it owns (a discriminator, its optimiser, flags) goes into checkpoints."""

    @property
    def draws_prior(self) -> bool:
        """Whether a batch must bring noise for draws from the prior."""

    def begin(self, trainer: "Trainer") -> None:
        """Make what is needed beside the model, on the trainer's device."""

    def step(self, trainer: "Trainer", batch: Batch) -> Step:
        """Train on one batch."""

    def check(self, trainer: "Trainer", trail: "Trail") -> None:
        """Raise `Diverged` if what the strategy owns has left the finite numbers and is to blame for it.

        Called before the model's own check, at the end of an epoch and before a checkpoint within one.
        """

    def end_epoch(self, trainer: "Trainer") -> Mapping[str, float]:
        """Look back on the epoch and return what its row records beside the rest; may raise `Diverged`."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return nested tensors for the checkpoint."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state, its names flattened with dots."""


class Joint:
    """Encoder and decoder together, one gradient step a batch: what every method does that says nothing else."""

    draws_prior = False

    def begin(self, trainer: "Trainer") -> None:
        """Do nothing: the model is all there is."""

    def step(self, trainer: "Trainer", batch: Batch) -> Step:
        """Minimise the trainer's objective on one batch, whose parts may come one after the other.

        Args:
            trainer: Whose model, objective and optimiser are used.
            batch: The data and the noise.
        """
        *early, last = batch.parts(trainer.options.accumulate)
        for part in early:
            trainer.gather(part)
        trace = trainer.trace(last)
        terms = trainer.objective(trace, batch.kl_weight)
        return trainer.descend(trace, terms)

    def check(self, trainer: "Trainer", trail: "Trail") -> None:
        """Do nothing: the model is checked by the trainer."""

    def end_epoch(self, trainer: "Trainer") -> Mapping[str, float]:
        """Return nothing."""
        return {}

    def state_dict(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take nothing."""
