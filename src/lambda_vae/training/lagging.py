"""Lagging inference: the encoder is trained ahead of the decoder as long as that pays."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.training.batch import Batch, Step
from lambda_vae.training.draws import Draws
from lambda_vae.training.stepper import Stepper
from lambda_vae.training.strategies import JointUpdate

__all__ = ["Lagging", "mutual_information"]

#: Training rows that the mutual information is estimated on, the same at every epoch. Their mixture cannot tell more
#: than ln 1000 = 6.9 nats.
_ROWS = 1000

#: Examples whose draws are compared with all posteriors at once.
_ROWS_PER_PASS = 100


def mutual_information(q: DiagGaussian, eps: Tensor) -> Tensor:
    """Return an estimate of I_q(x; z) in nats, a scalar: E[ln q(z|x) - ln 1/N sum_n q(z|x_n)], at most ln N.

    Args:
        q: Posteriors of N examples, parameters of shape [N, D].
        eps: Standard normal noise, [N, D]: one draw each.

    Source:
        He et al. 2019, arXiv:1901.05534, Eq. 6 and the estimate of the aggregate below it; Hoffman and Johnson 2016.
        The two KLs are one difference here, in which the prior cancels.

    Example:
        >>> apart = DiagGaussian(100.0 * torch.arange(4.0)[:, None], torch.zeros(4, 1))
        >>> float(mutual_information(apart, torch.zeros(4, 1)) / math.log(4))
        1.0
    """
    z, examples = q.rsample(eps), len(q.mu)
    parts = [q.log_prob(part[:, None]).logsumexp(1) for part in torch.split(z, _ROWS_PER_PASS)]
    return (q.log_prob(z) - torch.cat(parts)).mean() + math.log(examples)


class Lagging(JointUpdate):
    """Trains the encoder alone until its loss stops falling, before each step of the decoder; later both at once.

    The encoder is what makes q: the encoder network and the posterior. Its further batches, their binarisation and
    their noise come from the second generator, so that decoders of all methods see the same data and noise. When the
    mutual information no longer rises from one epoch to the next, the rest of training is the plain VAE's.

    It is estimated at the end of each epoch on 1,000 rows of the training set (all if there are fewer), the same rows,
    binarised and with noise the same every time. They are training rows, not held back: the trainer has no others, and
    the rule asks for the trend alone. A posterior that is no diagonal Gaussian is represented by the one with its means
    and variances.

    Args:
        most_steps: Steps of the encoder before one of the decoder, at most; 0 is the plain VAE, bit for bit.
        window: Steps of the encoder between two looks at its loss.

    Raises:
        InputError: A value is out of range.

    Source:
        He et al. 2019, arXiv:1901.05534, Algorithm 1 and section 4.2. Deviations: Adam, not SGD, moves both; the
        mutual information is that of training rows, not of a validation set.
    """

    def __init__(self, most_steps: int = 100, window: int = 10) -> None:
        for name, value, least in (("aggressive_steps", most_steps, 0), ("aggressive_window", window, 1)):
            if value < least:
                raise InputError(f"{name} is {value}; it must be at least {least}")
        self.most_steps, self.window = most_steps, window

    def begin(self, stepper: Stepper, draws: Draws) -> None:
        """List the encoder's weights and the others."""
        vae = stepper.vae
        self.encoder = [*vae.encoder.parameters(), *vae.posterior.parameters()]
        inside = {id(weight) for weight in self.encoder}
        self.others = [weight for weight in vae.parameters() if id(weight) not in inside]
        self.aggressive, self.information, self.inner_steps = self.most_steps > 0, 0.0, 0

    def step(self, stepper: Stepper, draws: Draws, batch: Batch) -> Step:
        """Train the encoder on further batches, then the decoder on this one; or both on this one."""
        if not self.aggressive:
            return stepper.step(batch)
        self._train_encoder(stepper, draws, batch)
        trace = stepper.trace(batch)
        return stepper.optimizer_step(trace, stepper.objective(trace, batch.kl_weight), frozen=self.encoder)

    def _train_encoder(self, stepper: Stepper, draws: Draws, batch: Batch) -> None:
        before, total = math.inf, torch.zeros((), device=stepper.device)
        for done in range(1, self.most_steps + 1):
            further = draws.extra_batch(batch)
            trace = stepper.trace(further)
            terms = stepper.objective(trace, further.kl_weight)
            stepper.optimizer_step(trace, terms, frozen=self.others)
            self.inner_steps += 1
            total += terms.loss.detach().mean()
            if done % self.window == 0:
                # All processes must leave after the same step.
                now = float(stepper.accelerator.reduce(total, reduction="mean"))
                if not now < before:
                    return
                before, total = now, torch.zeros_like(total)

    def end_epoch(self, stepper: Stepper, draws: Draws, epoch: int) -> Mapping[str, float]:
        """Return the encoder's own steps in the epoch and the mutual information; end the lead if that did not rise."""
        information, steps = self._information(stepper, draws), self.inner_steps
        self.aggressive = self.aggressive and information > self.information
        self.information, self.inner_steps = information, 0
        return {"inner_steps": float(steps), "mutual_information": information}

    @torch.no_grad()
    def _information(self, stepper: Stepper, draws: Draws) -> float:
        x, generator = draws.fixed(_ROWS)
        q = stepper.marginals(x)
        eps = torch.randn(q.mu.shape, generator=generator, device=stepper.device)
        return float(mutual_information(q, eps))

    def state_dict(self) -> Mapping[str, Any]:
        """Return the flag, the last mutual information and the count of steps."""
        values = (float(self.aggressive), self.information, float(self.inner_steps))
        return {"progress": torch.tensor(values, dtype=torch.float64)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a state from `state_dict`."""
        aggressive, self.information, steps = state["progress"].tolist()
        self.aggressive, self.inner_steps = bool(aggressive), int(steps)
