"""How one batch becomes a step: the dynamics of a method, apart from what it minimises."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from lambda_vae.training.batch import Batch, Step
from lambda_vae.training.divergence import StepLog
from lambda_vae.training.draws import Draws
from lambda_vae.training.stepper import Stepper

__all__ = ["JointUpdate", "Strategy"]


@runtime_checkable
class Strategy(Protocol):
    """The dynamics of a method; what it owns (a discriminator, its optimiser, flags) goes into checkpoints."""

    @property
    def draws_prior(self) -> bool:
        """Whether a batch must bring noise for draws from the prior."""

    def begin(self, stepper: Stepper, draws: Draws) -> None:
        """Make what is needed next to the model, on the stepper's device."""

    def step(self, stepper: Stepper, draws: Draws, batch: Batch) -> Step:
        """Train on one batch; `draws` gives further batches and noise."""

    def check(self, epoch: int, log: StepLog) -> None:
        """Raise `Diverged` if what the strategy owns has left the finite numbers and is to blame for it.

        Called before the model's own check, at the end of an epoch (counted from 1) and before a checkpoint within one,
        with the log of all processes.
        """

    def end_epoch(self, stepper: Stepper, draws: Draws, epoch: int) -> Mapping[str, float]:
        """Look back on the epoch and return what its row records next to the rest; may raise `Diverged`."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return nested tensors for the checkpoint."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state, its names flattened with dots."""


class JointUpdate:
    """Encoder and decoder together, one gradient step a batch: the training of all methods without steps of their own.

    A strategy that differs in its step alone can inherit the rest.
    """

    draws_prior = False

    def begin(self, stepper: Stepper, draws: Draws) -> None:
        """Do nothing: the model is all there is."""

    def step(self, stepper: Stepper, draws: Draws, batch: Batch) -> Step:
        """Take one gradient step of the whole model."""
        return stepper.step(batch)

    def check(self, epoch: int, log: StepLog) -> None:
        """Do nothing: all weights are the model's, which the loop checks."""

    def end_epoch(self, stepper: Stepper, draws: Draws, epoch: int) -> Mapping[str, float]:
        """Return nothing."""
        return {}

    def state_dict(self) -> Mapping[str, Any]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take nothing."""
