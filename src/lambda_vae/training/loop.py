"""The training loop: epochs without host synchronisation, resumable between any two steps."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from lambda_vae.data import Sequences as StoredSequences
from lambda_vae.deprecated import renamed
from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import Interrupted
from lambda_vae.model import VAE
from lambda_vae.objectives import Objective
from lambda_vae.training import checkpoints
from lambda_vae.training.automatic import AutomaticPrecision
from lambda_vae.training.batch import Batch
from lambda_vae.training.device_memory import advise_on_memory
from lambda_vae.training.divergence import StepLog
from lambda_vae.training.draws import Draws, View
from lambda_vae.training.history import EpochRow, History
from lambda_vae.training.interruption import StopRequest, stop_requests
from lambda_vae.training.options import TrainOptions
from lambda_vae.training.precision import matmul_route
from lambda_vae.training.recorder import Recorder
from lambda_vae.training.schedules import Constant, Schedule
from lambda_vae.training.state import EqualizerState, OptimizerState, Part, RunState
from lambda_vae.training.stepper import Stepper
from lambda_vae.training.strategies import JointUpdate, Strategy, check_fit

__all__ = ["Trainer"]

_STEPS_BETWEEN_AGREEMENTS = 50


class Trainer:
    """Trains one VAE on one data set: `draws` gives a batch, `strategy` makes a step of it with `stepper`.

    All random numbers of an epoch come from `draws`, which draws for the batches of all processes together, so that
    every method, and every number of processes, sees the same data, order and noise. Histories and checkpoints are
    those of the joint batch.

    Args:
        vae: The model.
        objective: Trace -> terms.
        x: The training data, [N, F]; may be a memory map. Or sequences.
        view: What the model sees of a batch (binarisation).
        options: The numbers.
        rows: Which of the N rows to train on, int64 [n]; all if left out.
        schedule: The KL weight over epochs.
        equalizer: lambda; None trains the plain VAE.
        strategy: How a batch becomes a step; one gradient step of the whole model if left out.
        folder: Where checkpoints go; None keeps none.
        listeners: Called with each finished epoch and the trainer, on the main process.
        accelerator: For devices and processes; made from the options if absent.

    Raises:
        InputError: A batch is larger than the data, or as `check_fit`.
    """

    def __init__(
        self,
        vae: VAE,
        objective: Objective,
        x: Tensor | StoredSequences,
        view: View,
        options: TrainOptions,
        *,
        rows: Tensor | None = None,
        schedule: Schedule | None = None,
        equalizer: VarianceEqualizer | None = None,
        strategy: Strategy | None = None,
        folder: Path | None = None,
        listeners: Sequence[Callable[[EpochRow, "Trainer"], None]] = (),
        accelerator: Accelerator | None = None,
    ) -> None:
        self.accelerator = accelerator or Accelerator(mixed_precision="no")
        self.device: torch.device = self.accelerator.device
        self.vae, self.options, self.folder, self.listeners = vae, options, folder, listeners
        self.schedule: Schedule = schedule or Constant()
        self.strategy: Strategy = strategy or JointUpdate()
        check_fit(vae, objective, self.strategy, options)
        self.equalizer = equalizer.to(self.device) if equalizer is not None else None
        self._equalize()
        draws_prior = self.strategy.draws_prior or getattr(objective, "draws_prior", False)
        self.draws = Draws(x, view, vae, options, self.accelerator, rows=rows, draws_prior=draws_prior)
        self.steps = self.draws.steps
        self.matmul = matmul_route(options.matmul, self.device)
        self.recorder = Recorder(vae, self.equalizer, options, self.steps, self.accelerator)
        self.stepper = Stepper(vae, objective, options, self.accelerator, self.recorder)
        self.history = History()
        self.epoch, self.step, self.seconds = 0, 0, 0.0
        self.automatic = AutomaticPrecision(self.stepper, self.draws) if options.precision == "auto" else None
        self.strategy.begin(self.stepper, self.draws)
        self.state = RunState(self._parts(), self._identity())

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - what the last release kept here
        return renamed(self, "lambda_vae.training.Trainer", name)

    def _parts(self) -> list[tuple[str, Part]]:
        parts: list[tuple[str, Part]] = [("model", self.vae), ("optimizer", OptimizerState(self.stepper.optimizer))]
        if self.equalizer is not None:
            parts.append(("equalizer", EqualizerState(self.equalizer, self.accelerator)))
        if self.stepper.average is not None:
            parts.append(("average", self.stepper.average))
        if self.automatic is not None:
            parts.append(("precision", self.automatic))
        return [*parts, ("strategy", self.strategy), ("history", self.history), ("", self.draws), ("", self.recorder)]

    def _identity(self) -> dict[str, Any]:
        strategy = type(self.strategy).__name__
        return {
            "examples": self.draws.examples,
            "joint_batch": self.draws.joint_batch,
            "seed": self.options.seed,
            "samples": self.options.samples,
            "equalizer": self.equalizer is not None,
            "strategy": "Joint" if strategy == "JointUpdate" else strategy,  # as in checkpoints of earlier releases
            "measure": self.options.measure,
            "average_decay": self.options.average_decay,
        }

    def fit(self) -> History:
        """Train from the present position to the last epoch.

        Returns:
            The history of all epochs, those before a resume included.

        Raises:
            Diverged: A loss was not finite; the last good checkpoint is kept.
            Interrupted: SIGINT or SIGTERM; a checkpoint of this step is saved.
            InputError: The memory of the device does not suffice; the message says what to try.
        """
        with stop_requests() as request, advise_on_memory(self.options, self.device):
            while self.epoch < self.options.epochs:
                self.run_epoch(request)
                if self.epoch < self.options.epochs and self._should_stop(request):
                    self._interrupt(request)
        return self.history

    def run_epoch(self, request: StopRequest, most: int | None = None) -> None:
        """Train to the end of the present epoch; `fit` does so until the last.

        Args:
            request: Whether to stop before it.
            most: Steps after which to return all the same; the next call goes on from there.

        Raises:
            Diverged: A loss was not finite.
            Interrupted: It was asked to stop; a checkpoint of this step is saved.
        """
        with self.matmul:
            self._run_epoch(request, most)

    def _run_epoch(self, request: StopRequest, most: int | None) -> None:
        started = time.perf_counter()
        self.stepper.model.train()
        rows = self.draws.epoch(self.epoch)
        kl_weight, last = 0.0, self.steps if most is None else min(self.steps, self.step + most)
        while self.step < last:
            kl_weight = self.schedule(self.epoch + self.step / self.steps)
            self._train_step(self.draws.batch(rows[self.step], kl_weight, self.step))
            self.step += 1
            if self.step < self.steps and self._may_stop_here() and self._should_stop(request):
                self.seconds += time.perf_counter() - started
                self._interrupt(request)
        self.seconds += time.perf_counter() - started
        if self.step == self.steps:
            self._finish_epoch(kl_weight, self.seconds)

    def _train_step(self, batch: Batch) -> None:
        self.stepper.set_learning_rate(self.epoch + batch.step / self.steps)
        self.recorder.begin_step(batch.step)
        self.recorder.observe(self.strategy.step(self.stepper, self.draws, batch))
        if self.stepper.average is not None:
            self.stepper.average.update()

    def _finish_epoch(self, kl_weight: float, seconds: float) -> None:
        means = self._check_log().means()
        row = EpochRow(self.epoch + 1, {**means, "kl_weight": kl_weight, "seconds": seconds}, {})
        self.recorder.measure(row)
        started = time.perf_counter()
        row.scalars.update(self.strategy.end_epoch(self.stepper, self.draws, row.epoch))
        if self.automatic is not None:
            row.scalars.update(self.automatic.end_epoch())
        row.scalars["seconds"] += time.perf_counter() - started
        if self.equalizer is not None:
            self.equalizer.end_epoch()
            self._equalize()
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.history.rows.append(row)
        if self.accelerator.is_main_process:
            with self.averaged():
                for listener in self.listeners:
                    listener(row, self)
        keep = self.options.keep_checkpoints
        if self.epoch % self.options.checkpoint_every == 0 or self.epoch in (*keep, self.options.epochs):
            self.save()

    def _equalize(self) -> None:
        """Let the model sample with the equalizer's lambda from now on."""
        if (equalizer := self.equalizer) is not None:
            rule = self.vae.equalization
            self.vae.equalization = replace(rule, exponent=equalizer.exponent, delta=equalizer.delta)

    def _check_log(self) -> StepLog:
        """The log of the joint batch, once it is known to be finite."""
        log = self.recorder.joint_log()
        self.strategy.check(self.epoch + 1, log)
        log.check(self.epoch + 1, self.step, self.vae.parameters(), self.options.learning_rate)
        return log

    def _may_stop_here(self) -> bool:
        return self.accelerator.num_processes == 1 or self.step % _STEPS_BETWEEN_AGREEMENTS == 0

    def _should_stop(self, request: StopRequest) -> bool:
        if self.accelerator.num_processes == 1:
            return request.signal_name is not None
        # A signal reaches the processes at different steps; all must leave after the same one.
        votes = torch.tensor(float(request.signal_name is not None), device=self.device)
        return bool(self.accelerator.reduce(votes, reduction="sum") > 0)

    def _interrupt(self, request: StopRequest) -> None:
        if self.step:
            self._check_log()  # a diverged epoch must not become the newest checkpoint
        self.save()
        where = f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"the end of epoch {self.epoch}"
        raise Interrupted(f"stopped by {request.signal_name or 'another process'} at {where}; go on with `resume=True`")

    def averaged(self) -> AbstractContextManager[object]:
        """Return a context in which the model holds the average of its weights, if one is kept."""
        return self.stepper.average or nullcontext()

    def save(self) -> None:
        """Write a checkpoint of the present position, if there is a folder. Every process must call this."""
        if self.folder is None:
            return
        checkpoint = self._checkpoint()
        if not self.accelerator.is_main_process:
            return
        checkpoints.save(checkpoints.path_of(self.folder, self.epoch, self.step), checkpoint)
        checkpoints.prune(self.folder, frozenset(self.options.keep_checkpoints))

    def _checkpoint(self) -> checkpoints.Checkpoint:
        position = {"epoch": self.epoch, "step": self.step, "seconds": self.seconds, "test": self.history.test}
        state = {**position, "options": asdict(self.options), "run": self.state.run}
        return checkpoints.Checkpoint(self.state.tensors(), state)

    def restore(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Go to the position of a checkpoint: weights, optimiser, lambda, averages, generators, step.

        Args:
            checkpoint: Of the same run, on any number of processes with the same joint batch.

        Raises:
            InputError: The checkpoint belongs to another model or another run.
        """
        self.state.load(checkpoint)
        self._equalize()
        there = checkpoint.state
        self.history.test = list(there["test"])
        self.epoch, self.step, self.seconds = there["epoch"], there["step"], there["seconds"]
