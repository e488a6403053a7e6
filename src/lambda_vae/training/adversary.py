"""A discriminator that is trained next to the model, and the test of when it has stopped being of use."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from lambda_vae.errors import Diverged, InputError
from lambda_vae.networks import mlp
from lambda_vae.rng import ADVERSARY_SEED, global_seed
from lambda_vae.training.divergence import StepLog
from lambda_vae.training.draws import Draws
from lambda_vae.training.state import OptimizerState
from lambda_vae.training.stepper import Stepper

__all__ = ["Adversary"]


class Adversary:
    """A discriminator, the base of two strategies: its logit is high for the model's draws, low for reference draws.

    At its best the logit is ln a/b, where a is the density of the one and b that of the other. Each strategy alternates
    a step of the model, whose loss holds the logit, with a step of the classifier. The objective gives the terms to
    which the logit's part is added: -log p(x|z) alone.

    Args:
        hidden: Widths of its hidden layers.
        learning_rate: Of its Adam.
        won_below: Its cross-entropy in nats (ln 2 = 0.693 is guessing) below which it has won and teaches nothing.

    Raises:
        InputError: No hidden layer, or a learning rate that is not a positive number.

    Source:
        Goodfellow et al. 2014, arXiv:1406.2661, Eq. 1, for its objective and its optimum.
    """

    draws_prior = True
    network: nn.Module

    def __init__(self, hidden: Sequence[int], learning_rate: float, won_below: float) -> None:
        if not hidden or min(hidden) < 1:
            raise InputError(f"adversary_hidden is {list(hidden)}; it needs at least one layer of at least one unit")
        if not 0 < learning_rate < math.inf:
            raise InputError(f"adversary_rate is {learning_rate}; it must be a positive number")
        self.hidden, self.learning_rate, self.won_below = tuple(hidden), learning_rate, won_below

    def make(self, stepper: Stepper, draws: Draws, features: int) -> None:
        """Make the network and its optimiser.

        Args:
            stepper: For the device, the processes, the precision and the seed.
            draws: For the steps of an epoch.
            features: Length of the network's input.
        """
        with global_seed(stepper.options.seed + ADVERSARY_SEED):
            self.network = mlp(features, self.hidden, 1).to(stepper.device)
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate, fused=True)
        self.trained, self.optimizer = stepper.accelerator.prepare(self.network, optimizer)
        self.accelerator, self.autocast = stepper.accelerator, stepper.autocast
        self.losses = torch.zeros(draws.steps, device=stepper.device)

    def logit(self, inputs: Float[Tensor, "*batch F"]) -> Float[Tensor, "*batch"]:
        """Return its logit as part of a loss for the model: gradients reach the inputs, not the network.

        Args:
            inputs: What the model drew.
        """
        weights = {name: weight.detach() for name, weight in self.network.named_parameters()}
        with self.autocast:
            logit: Tensor = functional_call(self.network, weights, (inputs,))
        return logit.float().squeeze(-1)

    def learn(self, step: int, drawn: Float[Tensor, "*batch F"], reference: Float[Tensor, "*others F"]) -> None:
        """Take one gradient step on the cross-entropy; both sides weigh the same.

        Args:
            step: Position in the epoch.
            drawn: Draws of the model.
            reference: Draws that they are told from.
        """
        drawn, reference = drawn.detach().flatten(0, -2), reference.detach().flatten(0, -2)
        with self.autocast:
            logit = self.trained(torch.cat((drawn, reference)))
        high, low = logit.float().squeeze(-1).split((len(drawn), len(reference)))
        loss = 0.5 * (softplus(-high).mean() + softplus(low).mean())
        self.accelerator.backward(loss)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses[step] = loss.detach()

    def check(self, epoch: int, log: StepLog) -> None:
        """Raise if the discriminator stopped being finite before the model did.

        Raises:
            Diverged: With the epoch and a remedy.
        """
        losses = self._joint_losses()
        finite = [weight.isfinite().all() for weight in self.network.parameters()]
        if bool(losses.isfinite().all() & torch.stack(finite).all()):
            return
        # Its logit is part of the loss alone: where another term is the first to break, the model broke.
        broken = log.values[~log.values.isfinite().all(dim=1)]
        if bool(broken[:1, 1:].isfinite().all()):
            raise Diverged(
                f"the discriminator diverged in epoch {epoch}: its loss or its weights are not finite; the "
                f"last good checkpoint is kept. Try `adversary_rate={self.learning_rate / 10:.1g}`"
            )

    def end_epoch(self, stepper: Stepper, draws: Draws, epoch: int) -> Mapping[str, float]:
        """Return its mean loss over the epoch, and clear the losses for the next one.

        Raises:
            Diverged: It has won: its loss lay below the threshold at every step.
        """
        losses = self._joint_losses()
        largest, mean = torch.stack((losses.amax(), losses.double().mean())).tolist()
        if largest < self.won_below:
            raise Diverged(
                f"the discriminator won in epoch {epoch}: its cross-entropy was at most {largest:.2g} nats "
                f"at every step (guessing is 0.693, {self.won_below:g} is the limit), so it teaches the model nothing; "
                f"the last good checkpoint is kept. Try `adversary_rate={self.learning_rate / 10:.1g}` or a smaller "
                "`adversary_hidden`"
            )
        self.losses.zero_()
        return {"adversary_loss": mean}

    def _joint_losses(self) -> Tensor:
        joint: Tensor = self.accelerator.reduce(self.losses, reduction="mean")
        return joint

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimiser and the epoch's losses so far; every process must call this."""
        return {
            "network": self.network.state_dict(),
            "optimizer": OptimizerState(self.optimizer).state_dict(),
            "losses": self._joint_losses(),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load a state from `state_dict`, its names flattened with dots."""
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}}
        for name, tensor in state.items():
            part, _, rest = name.partition(".")
            if rest:
                parts[part][rest] = tensor
        self.network.load_state_dict(parts["network"])
        OptimizerState(self.optimizer).load_state_dict(parts["optimizer"])
        self.losses.copy_(state["losses"])
