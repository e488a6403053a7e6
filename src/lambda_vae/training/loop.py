"""The training loop: epochs without host synchronisation, one door for chance, resumable between any two steps."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from lambda_vae.data.batches import epoch_order
from lambda_vae.diagnostics.training_moments import TrainingMoments
from lambda_vae.distributions import Law
from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.errors import InputError
from lambda_vae.model import VAE, Trace
from lambda_vae.networks import allow_recomputing
from lambda_vae.objectives import Objective, Terms
from lambda_vae.training import checkpoints
from lambda_vae.training.average import WeightAverage
from lambda_vae.training.device_memory import advise_on_memory
from lambda_vae.training.history import EpochRow, History
from lambda_vae.training.interruption import Interrupted, StopRequest, stop_requests
from lambda_vae.training.joint import joint_sums
from lambda_vae.training.optimizer import FusedAdam
from lambda_vae.training.options import TrainOptions
from lambda_vae.training.position import checkpoint_of, restore
from lambda_vae.training.precision import PRECISION, set_matmul
from lambda_vae.training.schedules import Constant, Schedule
from lambda_vae.training.strategies import Batch, Joint, Step, Strategy
from lambda_vae.training.watch import Trail
from lambda_vae.training.working_copies import WorkingCopies

__all__ = ["Trainer", "View"]

#: Rows [B, F], where they stand in the data [B], and the source of chance -> what the model sees, float [B, F].
View = Callable[[Tensor, Tensor, torch.Generator], Tensor]

_STEPS_BETWEEN_AGREEMENTS = 50

#: Between the seeds of the two generators.
_SPARE = 2**32


class Trainer:
    """Trains one VAE on one tensor.

    All chance of an epoch comes from one generator, drawn for the batches of all processes together, so that every
    method, and every number of processes, sees the same data, order and noise. Histories and checkpoints are those of
    the joint batch.

    Args:
        vae: The model.
        objective: Trace -> terms.
        x: The training data, [N, F]; may be a memory map.
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
        InputError: A batch is larger than the data.
    """

    def __init__(
        self,
        vae: VAE,
        objective: Objective,
        x: Tensor,
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
        # accelerate allows one precision for the whole life of a process; ours is set around each pass instead.
        self.accelerator = accelerator or Accelerator(mixed_precision=PRECISION["float32"])
        self.device: torch.device = self.accelerator.device
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=options.precision == "bfloat16")
        self.options, self.objective, self.view = options, objective, view
        self.schedule: Schedule = schedule or Constant()
        self.strategy: Strategy = strategy or Joint()
        self.folder, self.listeners = folder, listeners
        self.vae = vae
        self.equalizer = equalizer.to(self.device) if equalizer is not None else None
        self.joint_batch = options.batch_size * self.accelerator.num_processes
        self.rows = rows
        self.examples = len(x) if rows is None else len(rows)
        self.steps = self.examples // self.joint_batch
        if self.steps < 1:
            raise InputError(
                f"a batch of {self.joint_batch} is larger than the data ({self.examples} examples); "
                f"use --batch_size {self.examples // self.accelerator.num_processes or 1} or less"
            )
        self._check_accumulation()
        self.learning_rate = options.learning_rates(self.accelerator.num_processes)
        self.matmul_error = set_matmul(options.matmul, self.device)
        # A data set that fits stays beside the model, so that no step waits for a transfer.
        self.x = x.to(self.device) if x.nbytes < 2**31 and self.device.type != "cpu" else x
        self._prepare(vae, options)
        self.generator = torch.Generator(self.device).manual_seed(options.seed)
        # What one method alone draws comes from here, so that all others go on seeing the same data and noise.
        self.spare = torch.Generator(self.device).manual_seed(options.seed + _SPARE)
        self.moments = TrainingMoments(vae.latent_dim, self.device) if options.measure else None
        self.trail, self._part = Trail(self.steps, self.device), 0
        self.history = History()
        self.epoch, self.step, self.seconds = 0, 0, 0.0
        self.strategy.begin(self)

    def _check_accumulation(self) -> None:
        whole = type(self.strategy) is not Joint or getattr(self.objective, "whole_batch", False)
        if whole and self.options.accumulate > 1:
            raise InputError(
                f"accumulate is {self.options.accumulate}, and this method looks at its batch as a whole; "
                "use --accumulate 1"
            )

    def _prepare(self, vae: VAE, options: TrainOptions) -> None:
        allow_recomputing(vae, options.recompute)
        if options.compile:
            for network in (vae.encoder, vae.decoder, *vae.likelihood.children()):
                network.compile()
        self.model = self.accelerator.prepare(vae)
        # Not prepared: accelerate's wrapper looks for an optional package on the disk at every step.
        self.optimizer = FusedAdam(vae.parameters(), lr=self.learning_rate.peak)
        decay = options.average_decay
        self.average = None if decay is None else WeightAverage(vae.parameters(), decay)
        # DistributedDataParallel watches the gradients of the weights themselves.
        copied = options.precision == "bfloat16" and self.model is vae
        # A posterior or prior may turn autocast off for a density; what is copied is the networks alone.
        self.copies = WorkingCopies(vae.encoder, vae.decoder) if copied else None

    def fit(self) -> History:
        """Train from the present position to the last epoch.

        Returns:
            The history of all epochs, those before a resume included.

        Raises:
            Diverged: A loss was not finite; the last good checkpoint is kept.
            Interrupted: SIGINT or SIGTERM; a checkpoint of this very step is saved.
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
            Interrupted: It was asked to stop; a checkpoint of this very step is saved.
        """
        started = time.perf_counter()
        self.model.train()
        order = self.places(epoch_order(self.examples, seed=self.options.seed, epoch=self.epoch))
        exponent = self.equalizer.exponent.clone() if self.equalizer is not None else None
        kl_weight, last = 0.0, self.steps if most is None else min(self.steps, self.step + most)
        while self.step < last:
            kl_weight = self.schedule(self.epoch + self.step / self.steps)
            rows = order[self.step * self.joint_batch : (self.step + 1) * self.joint_batch]
            self._train_step(rows, exponent, kl_weight)
            self.step += 1
            if self.step < self.steps and self._may_stop_here() and self._should_stop(request):
                self.seconds += time.perf_counter() - started
                self._interrupt(request)
        self.seconds += time.perf_counter() - started
        if self.step == self.steps:
            self._finish_epoch(exponent, kl_weight, self.seconds)

    def _train_step(self, rows: Tensor, exponent: Tensor | None, kl_weight: float) -> None:
        if not self.learning_rate.still:
            self.optimizer.set_rate(self.learning_rate(self.epoch + self.step / self.steps))
        self._part = 0
        step = self.strategy.step(self, self._draw(rows, exponent, kl_weight, self.generator))
        self._observe(step)
        if self.average is not None:
            self.average.update()

    def trace(self, batch: Batch, improve: Callable[[Law], Law] | None = None) -> Trace:
        """Return the trace of one pass in the precision of the run, for a strategy.

        Args:
            batch: The data and the noise.
            improve: What becomes of the encoder's q before z is drawn.
        """
        given = {"xi": batch.xi, "prior_eps": batch.prior_eps, "improve": improve}
        more = {name: value for name, value in given.items() if value is not None}
        with self.autocast, self.copies or nullcontext():
            trace: Trace = self.model(batch.x, batch.eps, batch.exponent, **more)
        return trace

    def another(self, batch: Batch) -> Batch:
        """Return a further batch beside the epoch's own, for a strategy; all its chance comes from the spare generator.

        Args:
            batch: Whose size, exponent and KL weight it takes.
        """
        # With replacement: a permutation of all examples would cost more than the step.
        chosen = torch.randint(self.examples, (self.joint_batch,), generator=self.spare, device=self.device)
        return self._draw(self.places(chosen), batch.exponent, batch.kl_weight, self.spare)

    def noise(self, batch: Batch) -> Tensor:
        """Return further noise of z for a batch, [K, B, D], from the spare generator, for a strategy.

        Args:
            batch: Whose number of samples it takes.
        """
        return self._share(self._normal(self.spare, len(batch.eps), self.joint_batch, self.vae.latent_dim), 1)

    def places(self, chosen: Tensor) -> Tensor:
        """Return where in `x` examples lie, int64 [n], on the device of `x`.

        Args:
            chosen: Their numbers among those trained on.
        """
        return (chosen if self.rows is None else self.rows[chosen.to(self.rows.device)]).to(self.x.device)

    def descend(self, trace: Trace, terms: Terms, still: Sequence[Tensor] = ()) -> Step:
        """Take one gradient step on the mean loss, for a strategy.

        Args:
            trace: Of the pass.
            terms: Of the trace.
            still: Weights that do not move; all others do.
        """
        step = self._backward(trace, terms)
        for weight in still:
            weight.grad = None
        if self.options.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return step

    def gather(self, part: Batch) -> None:
        """Add the gradient of an early part of a batch to that of the whole, for a strategy; no weight moves yet.

        Args:
            part: One of `accumulate` of equal size.
        """
        with self.accelerator.no_sync(self.model):  # processes exchange gradients once a step
            trace = self.trace(part)
            self._observe(self._backward(trace, self.objective(trace, part.kl_weight)))

    def _backward(self, trace: Trace, terms: Terms) -> Step:
        parts, gradient = self.options.accumulate, list[Tensor]()
        if self.moments is not None:
            trace.z.register_hook(gradient.append)  # type: ignore[no-untyped-call]
        self.accelerator.backward(terms.loss.mean() if parts == 1 else terms.loss.mean() / parts)
        if self.copies is not None:
            self.copies.collect()
        if not gradient:
            return Step(trace, terms, None)
        return Step(trace, terms, terms.dlogp_dz(gradient[0] if parts == 1 else gradient[0] * parts))

    def _draw(self, rows: Tensor, exponent: Tensor | None, kl_weight: float, generator: torch.Generator) -> Batch:
        """The batch and the noise of all processes together, then this process's share of both."""
        x = self.view(self.x.index_select(0, rows).to(self.device, non_blocking=True), rows.to(self.device), generator)
        # Further samples are drawn apart: methods with one sample and with many see the same data and the same first.
        eps = self._normal(generator, 1, self.joint_batch, self.vae.latent_dim)
        if self.options.samples > 1:
            more = self._normal(self.spare, self.options.samples - 1, self.joint_batch, self.vae.latent_dim)
            eps = torch.cat((eps, more))
        mixing = self.vae.posterior.mixing_dim
        draws_prior = self.strategy.draws_prior or getattr(self.objective, "draws_prior", False)
        return Batch(
            self._share(x),
            self._share(eps, 1),
            exponent,
            kl_weight,
            self._share(self._normal(self.spare, self.joint_batch, mixing)) if mixing else None,
            self._share(self._normal(self.spare, self.joint_batch, self.vae.p_z().noise_dim)) if draws_prior else None,
        )

    def _normal(self, generator: torch.Generator, *shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=self.device)

    def _share(self, joint: Tensor, dim: int = 0) -> Tensor:
        size = self.options.batch_size
        return joint.narrow(dim, self.accelerator.process_index * size, size)

    def _observe(self, step: Step) -> None:
        trace = step.trace
        with torch.no_grad():
            if self.options.accumulate == 1:
                self.trail.record(self.step, step.terms, trace.q.logvar)
            else:
                self.trail.add(self.step, step.terms, trace.q.logvar, self._part, self.options.accumulate)
                self._part += 1
            if self.equalizer is not None:
                self.equalizer.observe(trace.q.std, trace.q.mu)
            if self.moments is not None and step.dlogp_dz is not None:
                self.moments.update(step.dlogp_dz[0], trace.eps[0], trace.q.mu, trace.q.logvar)

    def _finish_epoch(self, exponent: Tensor | None, kl_weight: float, seconds: float) -> None:
        row = self._measure_epoch(exponent, {"kl_weight": kl_weight, "seconds": seconds})
        started = time.perf_counter()
        row.scalars.update(self.strategy.end_epoch(self))
        row.scalars["seconds"] += time.perf_counter() - started
        if self.equalizer is not None:
            self.equalizer.end_epoch()
        self.epoch, self.step, self.seconds = self.epoch + 1, 0, 0.0
        self.history.rows.append(row)
        if self.accelerator.is_main_process:
            with self.averaged():
                for listener in self.listeners:
                    listener(row, self)
        keep = self.options.keep_checkpoints
        if self.epoch % self.options.checkpoint_every == 0 or self.epoch in (*keep, self.options.epochs):
            self.save()

    def _measure_epoch(self, exponent: Tensor | None, scalars: dict[str, float]) -> EpochRow:
        """The finished epoch of all processes as one row; a diverged one goes no further."""
        trail = self._check_trail()
        row = EpochRow(self.epoch + 1, {**trail.means(), **scalars}, {})
        if self.moments is not None:
            joint = TrainingMoments(self.vae.latent_dim, self.device)
            joint.load_state_dict(joint_sums(self.moments.state_dict(), self.accelerator))
            self.moments.reset()
            used = torch.ones(self.vae.latent_dim) if exponent is None else exponent
            measured = joint.compute(used, sampling=self.vae.sampling)
            row.scalars["active_units"] = float(measured.active_units)
            row.dimensions.update(measured.dimensions, exponent=used.tolist())
        return row

    def _check_trail(self) -> Trail:
        trail = self.trail.joint(self.accelerator)
        self.strategy.check(self, trail)
        trail.check(self.epoch + 1, self.step, self.vae.parameters(), self.options.learning_rate)
        return trail

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
            self._check_trail()  # a diverged epoch must not become the newest checkpoint
        self.save()
        where = f"epoch {self.epoch + 1}, step {self.step}" if self.step else f"the end of epoch {self.epoch}"
        raise Interrupted(f"stopped by {request.signal_name or 'another process'} at {where}; go on with --resume")

    def averaged(self) -> AbstractContextManager[object]:
        """Return a context in which the model holds the average of its weights, if one is kept."""
        return self.average or nullcontext()

    def save(self) -> None:
        """Write a checkpoint of this very position; nothing without a folder. Every process must call this."""
        if self.folder is None:
            return
        checkpoint = self._checkpoint()
        if not self.accelerator.is_main_process:
            return
        checkpoints.save(checkpoints.path_of(self.folder, self.epoch, self.step), checkpoint)
        checkpoints.prune(self.folder, frozenset(self.options.keep_checkpoints))

    def _checkpoint(self) -> checkpoints.Checkpoint:
        return checkpoint_of(self)

    def restore(self, checkpoint: checkpoints.Checkpoint) -> None:
        """Go to the position of a checkpoint: weights, optimiser, lambda, averages, generators, step.

        Args:
            checkpoint: Of the same run, on any number of processes with the same joint batch.

        Raises:
            InputError: The checkpoint belongs to another model or another run.
        """
        restore(self, checkpoint)
