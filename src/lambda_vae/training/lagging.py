"""Lagging inference: an encoder that is kept ahead of the decoder while that still pays."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lambda_vae.data.batches import epoch_order
from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.training.strategies import Batch, Step
from lambda_vae.training.watch import Trail

if TYPE_CHECKING:
    from lambda_vae.training.loop import Trainer

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


class Lagging:
    """Trains the encoder alone until its loss stops falling, before each step of the decoder; later both at once.

    The encoder is what makes q: the encoder network and the posterior. Its further batches, their binarisation and
    their noise come from the spare generator, so that decoders of all methods see the same data and noise. When the
    mutual information no longer rises from one epoch to the next, the rest of training is the plain VAE's.

    It is estimated at the end of each epoch on 1,000 rows of the training set (all if there are fewer), those that the
    order of "epoch 0" under seed 0 has first, binarised and with noise the same every time. They are training rows, not
    held back: the trainer has no others, and the rule asks for the trend alone. A posterior that is no diagonal
    Gaussian is represented by the one with its means and variances.

    Args:
        most_steps: Steps of the encoder before one of the decoder, at most; 0 is the plain VAE, bit for bit.
        window: Steps of the encoder between two looks at its loss.

    Raises:
        InputError: A value is out of range.

    Source:
        He et al. 2019, arXiv:1901.05534, Algorithm 1 and section 4.2. Deviations: Adam, not SGD, moves both; the
        mutual information is that of training rows, not of a validation set.
    """

    draws_prior = False

    def __init__(self, most_steps: int = 100, window: int = 10) -> None:
        for name, value, least in (("aggressive_steps", most_steps, 0), ("aggressive_window", window, 1)):
            if value < least:
                raise InputError(f"{name} is {value}; it must be at least {least}")
        self.most_steps, self.window = most_steps, window

    def begin(self, trainer: "Trainer") -> None:
        """Tell the encoder's weights from the others.

        Args:
            trainer: Whose model it is.
        """
        vae = trainer.vae
        self.encoder = [*vae.encoder.parameters(), *vae.posterior.parameters()]
        inside = {id(weight) for weight in self.encoder}
        self.others = [weight for weight in vae.parameters() if id(weight) not in inside]
        self.aggressive, self.information, self.inner_steps = self.most_steps > 0, 0.0, 0

    def step(self, trainer: "Trainer", batch: Batch) -> Step:
        """Train the encoder on further batches, then the decoder on this one; or both on this one.

        Args:
            trainer: Whose model, objective and optimiser are used.
            batch: The data and the noise.
        """
        if self.aggressive:
            self._train_encoder(trainer, batch)
        trace = trainer.trace(batch)
        terms = trainer.objective(trace, batch.kl_weight)
        return trainer.descend(trace, terms, self.encoder if self.aggressive else ())

    def _train_encoder(self, trainer: "Trainer", batch: Batch) -> None:
        before, total = math.inf, torch.zeros((), device=trainer.device)
        for done in range(1, self.most_steps + 1):
            further = trainer.another(batch)
            trace = trainer.trace(further)
            terms = trainer.objective(trace, further.kl_weight)
            trainer.descend(trace, terms, self.others)
            self.inner_steps += 1
            total += terms.loss.detach().mean()
            if done % self.window == 0:
                # All processes must leave after the same step.
                now = float(trainer.accelerator.reduce(total, reduction="mean"))
                if not now < before:
                    return
                before, total = now, torch.zeros_like(total)

    def check(self, trainer: "Trainer", trail: Trail) -> None:
        """Do nothing: all its weights are the model's."""

    def end_epoch(self, trainer: "Trainer") -> Mapping[str, float]:
        """Return the encoder's own steps in the epoch and the mutual information; end the lead if that rose no more.

        Args:
            trainer: At the end of an epoch.
        """
        information, steps = self._information(trainer), self.inner_steps
        self.aggressive = self.aggressive and information > self.information
        self.information, self.inner_steps = information, 0
        return {"inner_steps": float(steps), "mutual_information": information}

    @torch.no_grad()
    def _information(self, trainer: "Trainer") -> float:
        chance = torch.Generator(trainer.device).manual_seed(trainer.options.seed)
        rows = trainer.places(epoch_order(trainer.examples, seed=0, epoch=0)[:_ROWS])
        x = trainer.view(trainer.x.index_select(0, rows).to(trainer.device), rows.to(trainer.device), chance)
        with trainer.autocast:
            q = trainer.vae.encode(x).marginals()
        eps = torch.randn(q.mu.shape, generator=chance, device=trainer.device)
        return float(mutual_information(q, eps))

    def state_dict(self) -> Mapping[str, Any]:
        """Return the flag, the last mutual information and the count of steps."""
        values = (float(self.aggressive), self.information, float(self.inner_steps))
        return {"progress": torch.tensor(values, dtype=torch.float64)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state.

        Args:
            state: From `state_dict`.
        """
        aggressive, self.information, steps = state["progress"].tolist()
        self.aggressive, self.inner_steps = bool(aggressive), int(steps)
