"""How one batch becomes a step: the dynamics of a method, apart from what it minimises."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.model import VAE, Trace
from lambda_vae.objectives import Objective
from lambda_vae.training.batch import Batch, Step
from lambda_vae.training.divergence import StepLog
from lambda_vae.training.draws import Draws
from lambda_vae.training.options import TrainOptions
from lambda_vae.training.stepper import Stepper

__all__ = ["AddedTerm", "EpochMean", "JointUpdate", "Strategy", "check_fit"]


@runtime_checkable
class Strategy(Protocol):
    """The dynamics of a method; what it owns (a discriminator, its optimiser, flags) goes into checkpoints.

    One that cannot train every model says so in `check_model(vae)`, which raises InputError; `JointUpdate` has one.
    """

    @property
    def draws_prior(self) -> bool:
        """Whether a batch must bring noise for draws from the prior."""

    def begin(self, stepper: Stepper, draws: Draws) -> None:
        """Make what is needed next to the model, on the stepper's device."""

    def step(self, stepper: Stepper, draws: Draws, batch: Batch) -> Step:
        """Train on one batch; `draws` gives further batches and noise."""

    def check(self, epoch: int, log: StepLog) -> None:
        """Raise `Diverged` if something that the strategy owns is not finite and is the cause.

        Called before the model's own check, at the end of an epoch (counted from 1) and before a checkpoint within one,
        with the log of all processes.
        """

    def end_epoch(self, stepper: Stepper, draws: Draws, epoch: int) -> Mapping[str, float]:
        """Return what the row of the finished epoch records besides the usual; may raise `Diverged`."""

    def state_dict(self) -> Mapping[str, Any]:
        """Return nested tensors for the checkpoint."""

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a state, its names flattened with dots."""


class JointUpdate:
    """Encoder and decoder together, one gradient step a batch: the training of all methods without steps of their own.

    A strategy that differs in its step alone can inherit the rest.
    """

    draws_prior = False

    def check_model(self, vae: VAE) -> None:
        """Do nothing: every model can be trained so."""

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


class EpochMean(JointUpdate):
    """A strategy whose steps add a number of their own to `total`; the history records its mean over each epoch.

    Attributes:
        recorded: The name of the mean in the history.
        stored: The name of `total`, the sum over the epoch so far, in checkpoints.
    """

    recorded: str
    stored: ClassVar[str]
    total: Tensor

    def begin(self, stepper: Stepper, draws: Draws) -> None:
        """Begin with a sum of 0, on the stepper's device."""
        self.total = torch.zeros((), device=stepper.device)

    def end_epoch(self, stepper: Stepper, draws: Draws, epoch: int) -> Mapping[str, float]:
        """Return the mean over the steps of the epoch and over the processes, and clear the sum."""
        mean = float(stepper.accelerator.reduce(self.total, reduction="mean")) / draws.steps
        self.total = torch.zeros_like(self.total)
        return {self.recorded: mean}

    def state_dict(self) -> Mapping[str, Any]:
        """Return the sum over the epoch so far."""
        return {self.stored: self.total}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a state from `state_dict`."""
        self.total = state[self.stored].to(self.total.device)


class AddedTerm(EpochMean):
    """Adds a term to the loss of each example: of the trace, and of whatever further passes of the model it takes.

    The history records the mean of the term at weight 1.

    Args:
        term: (stepper, trace) -> nats, [K, B].
        weight: Of the term.
        recorded: The name of its mean in the history.
        check_model: Raises InputError for a model that has no such term; all have it if left out.
    """

    stored = "error"

    def __init__(
        self,
        term: Callable[[Stepper, Trace], Tensor],
        weight: float,
        recorded: str,
        check_model: Callable[[VAE], None] | None = None,
    ) -> None:
        self.term, self.weight, self.recorded = term, weight, recorded
        self._check = check_model

    def check_model(self, vae: VAE) -> None:
        """Raise InputError if the model has no such term."""
        super().check_model(vae)
        if self._check is not None:
            self._check(vae)

    def step(self, stepper: Stepper, draws: Draws, batch: Batch) -> Step:
        """Take one gradient step of the whole model on the sum."""
        trace = stepper.trace(batch)
        terms, added = stepper.objective(trace, batch.kl_weight), self.term(stepper, trace)
        self.total += added.detach().mean()
        return stepper.optimizer_step(trace, replace(terms, loss=terms.loss + self.weight * added))


def check_fit(vae: VAE, objective: Objective, strategy: Strategy, options: TrainOptions) -> None:
    """Raise unless a model can be trained so; nothing is made.

    Args:
        vae: The model.
        objective: Trace -> terms.
        strategy: How a batch becomes a step.
        options: The numbers.

    Raises:
        InputError: A strategy of the last release, a batch in parts where it is looked at as a whole, or a model that
            the strategy refuses.
    """
    if len(signature(strategy.begin).parameters) != 2:
        raise InputError(
            f"{type(strategy).__name__} is a strategy of the last release, whose methods took the trainer; let begin, "
            "step and end_epoch take (stepper, draws, ...), as training.Strategy says"
        )
    whole = type(strategy) is not JointUpdate or getattr(objective, "whole_batch", False)
    if whole and options.accumulate > 1:
        raise InputError(
            f"accumulate is {options.accumulate}, and this method looks at its batch as a whole; use `accumulate=1`"
        )
    if check_model := getattr(strategy, "check_model", None):
        check_model(vae)
