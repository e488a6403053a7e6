"""One training step, from a batch to the updated weights; strategies build their own steps from its parts."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import Tensor

from lambda_vae.distributions import DiagGaussian, PosteriorDistribution
from lambda_vae.model import VAE, Trace
from lambda_vae.networks import allow_recomputing
from lambda_vae.objectives import Objective, Terms
from lambda_vae.training.average import WeightAverage
from lambda_vae.training.batch import Batch, Step
from lambda_vae.training.optimizer import FusedAdam
from lambda_vae.training.options import TrainOptions
from lambda_vae.training.precision import multiplies_bfloat16
from lambda_vae.training.recorder import Recorder
from lambda_vae.training.working_copies import WorkingCopies

__all__ = ["Stepper"]


class Stepper:
    """The model with its objective, its optimiser and the precision of its passes.

    Args:
        vae: The model.
        objective: Trace -> terms.
        options: Of the run.
        accelerator: Device and processes.
        recorder: Which records the early parts of an accumulated batch.
    """

    def __init__(
        self, vae: VAE, objective: Objective, options: TrainOptions, accelerator: Accelerator, recorder: Recorder
    ) -> None:
        self.vae, self.objective, self.options = vae, objective, options
        self.accelerator, self.recorder = accelerator, recorder
        self.device: torch.device = accelerator.device
        allow_recomputing(vae, options.recompute)
        self.model = accelerator.prepare(vae)
        self.learning_rate = options.learning_rates(accelerator.num_processes)
        # Not prepared: accelerate's wrapper looks for an optional package on the disk at every step.
        self.optimizer = FusedAdam(vae.parameters(), lr=self.learning_rate.peak)
        decay = options.average_decay
        self.average = None if decay is None else WeightAverage(vae.parameters(), decay)
        fast = options.precision == "auto" and multiplies_bfloat16(self.device)
        self.use("bfloat16" if fast or options.precision == "bfloat16" else "float32")

    def use(self, precision: str) -> None:
        """Take the passes from here on in a precision.

        Args:
            precision: float32 or bfloat16.
        """
        self.precision = precision
        # accelerate allows one precision for the whole life of a process; ours is set around each pass instead.
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16")
        # DistributedDataParallel looks at the gradients of the weights themselves.
        copied = precision == "bfloat16" and self.model is self.vae
        # A posterior or prior may turn autocast off for a density; what is copied is the networks alone.
        self.copies = WorkingCopies(self.vae.encoder, self.vae.decoder) if copied else None

    def set_learning_rate(self, epoch: float) -> None:
        """Set the learning rate to that of a position in training, in epochs and fractions of one."""
        self.optimizer.param_groups[0]["lr"] = self.learning_rate(epoch)

    def step(self, batch: Batch) -> Step:
        """Take one gradient step of all weights on the mean loss of a batch.

        Args:
            batch: Where the run accumulates, its parts pass through the networks one after the other.
        """
        *early, last = batch.parts(self.options.accumulate)
        for part in early:
            self.accumulate(part)
        trace = self.trace(last)
        terms = self.objective(trace, last.kl_weight)
        return self.optimizer_step(trace, terms)

    def trace(
        self, batch: Batch, refine: Callable[[PosteriorDistribution], PosteriorDistribution] | None = None
    ) -> Trace:
        """Return the trace of one forward pass in the precision of the run.

        Args:
            batch: The data and the noise.
            refine: From the encoder's q to the one that z is drawn from; the encoder's own if left out.
        """
        optional = {"xi": batch.xi, "prior_eps": batch.prior_eps, "dropped": batch.dropped, "refine": refine}
        given = {name: value for name, value in optional.items() if value is not None}
        with self.autocast, self.copies or nullcontext():
            trace: Trace = self.model(batch.x, batch.eps, **given)
        return trace

    def accumulate(self, part: Batch) -> None:
        """Add the gradient of an early part of a batch to the gradient of the whole; no weight moves yet.

        Args:
            part: One of `options.accumulate` parts of equal size.
        """
        with self.accelerator.no_sync(self.model):  # processes exchange gradients once a step, with the last part
            trace = self.trace(part)
            self.recorder.observe(self._backward(trace, self.objective(trace, part.kl_weight)))

    def optimizer_step(self, trace: Trace, terms: Terms, frozen: Sequence[Tensor] = ()) -> Step:
        """Move the weights along the gradient of the mean loss, clipped if the run clips it.

        Args:
            trace: Of the forward pass.
            terms: Of the trace.
            frozen: Weights that do not move; all others do.
        """
        step = self._backward(trace, terms)
        for weight in frozen:
            weight.grad = None
        if self.options.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return step

    def _backward(self, trace: Trace, terms: Terms) -> Step:
        """Add the gradient of the mean loss to the weights' own; the records get the one that passes through z."""
        parts, at_z = self.options.accumulate, list[Tensor]()
        if self.options.measure:
            trace.z.register_hook(at_z.append)  # type: ignore[no-untyped-call]
        loss = terms.loss.mean()
        self.accelerator.backward(loss if parts == 1 else loss / parts)
        if self.copies is not None:
            self.copies.collect()
        if not at_z:
            return Step(trace, terms, None)
        return Step(trace, terms, terms.dlogp_dz(at_z[0] if parts == 1 else at_z[0] * parts))

    @torch.no_grad()
    def marginals(self, x: Tensor) -> DiagGaussian:
        """Return the Gaussians with the means and variances of the encoder's q(z|x), [B, D], without a gradient.

        Args:
            x: The data, [B, F].
        """
        with self.autocast:
            return self.vae.encode(x).marginals()
