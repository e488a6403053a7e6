"""Records the steps of an epoch: the row of its history, and the sigmas from which lambda is computed."""

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import Tensor

from lambda_vae.diagnostics.training_moments import TrainingMoments
from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.model import VAE
from lambda_vae.training.batch import Step
from lambda_vae.training.divergence import StepLog
from lambda_vae.training.history import EpochRow
from lambda_vae.training.options import TrainOptions
from lambda_vae.training.state import joint_sums, shares

__all__ = ["Recorder"]


class Recorder:
    """Observes each step on the device, and reads the whole epoch of all processes at its end.

    Args:
        vae: The model.
        equalizer: lambda, or None.
        options: Of the run.
        steps: In an epoch.
        accelerator: Device and processes.
    """

    def __init__(
        self,
        vae: VAE,
        equalizer: VarianceEqualizer | None,
        options: TrainOptions,
        steps: int,
        accelerator: Accelerator,
    ) -> None:
        self.vae, self.equalizer, self.accelerator = vae, equalizer, accelerator
        self.parts, self._step, self._part = options.accumulate, 0, 0
        self.log = StepLog(steps, accelerator.device)
        self.moments = TrainingMoments(vae.latent_dim, accelerator.device) if options.measure else None

    def begin_step(self, step: int) -> None:
        """Record what is observed from here on under this position in the epoch."""
        self._step, self._part = step, 0

    @torch.no_grad()
    def observe(self, step: Step) -> None:
        """Record a step, or one part of it."""
        q = step.trace.q
        self.log.record(self._step, step.terms, q.logvar, self._part, self.parts)
        self._part += 1
        if self.equalizer is not None:
            self.equalizer.observe(q.std, q.mu)
        if self.moments is not None and step.dlogp_dz is not None:
            self.moments.update(step.dlogp_dz[0], step.trace.eps[0], q.mu, q.logvar)

    def joint_log(self) -> StepLog:
        """Return the log of the joint batch; every process must call this."""
        return self.log.joint(self.accelerator)

    def measure(self, row: EpochRow) -> None:
        """Add the finished epoch of all processes, dimension by dimension, to its row, and clear the sums.

        Args:
            row: Of the epoch.
        """
        if self.moments is None:
            return
        joint = TrainingMoments(self.vae.latent_dim, self.accelerator.device)
        joint.load_state_dict(joint_sums(self.moments.state_dict(), self.accelerator))
        self.moments.reset()
        exponent = self.vae.equalization.exponent
        used = torch.ones(self.vae.latent_dim) if exponent is None else exponent
        measured = joint.compute(used, sampling=self.vae.sampling)
        row.scalars["active_units"] = float(measured.active_units)
        row.dimensions.update(measured.dimensions, exponent=used.tolist())

    def state_dict(self) -> dict[str, Tensor]:
        """Return the present epoch of all processes so far; every process must call this."""
        sums = {} if self.moments is None else joint_sums(self.moments.state_dict(), self.accelerator)
        return {"trail": self.joint_log().values, **{f"moments.{name}": value for name, value in sums.items()}}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load the present epoch, as this process's share; the state may hold more."""
        self.log.values.copy_(state["trail"])
        if self.moments is not None:
            sums = {name: state[f"moments.{name}"] for name in self.moments.state_dict()}
            self.moments.load_state_dict(shares(sums, self.accelerator))
