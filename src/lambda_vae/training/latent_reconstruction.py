"""Latent reconstruction's step: the distance from z to the mean code of its decoded mean is added to the loss."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from lambda_vae.distributions import Independent
from lambda_vae.errors import InputError
from lambda_vae.model import VAE
from lambda_vae.training.batch import Batch, Step
from lambda_vae.training.draws import Draws
from lambda_vae.training.stepper import Stepper
from lambda_vae.training.strategies import EpochMean

__all__ = ["Reencoding"]


class Reencoding(EpochMean):
    """Adds weight * |z - mu(E[x|z])|^2 / 2 to the loss: -ln N(z; mu(E[x|z]), I), but for its constant, in nats.

    If the decoder ignores a dimension, no encoder can recover it from x; if z can be recovered, the decoder is
    injective where q puts z. The points z are fixed: the term has no gradient with respect to z itself, and the
    gradient that is recorded at z stays that of the reconstruction alone. `latent_error` in the history is the added
    term at weight 1, in nats an example.

    Args:
        weight: Of the added term, >= 0; 0 is the plain VAE, bit for bit.

    Raises:
        InputError: The weight is negative or not finite.

    Source:
        Song, Kim and Lee 2025, arXiv:2508.12530. Deviations: made from what its abstract says (a loss for the
        reconstruction of latents, after injective and composite functions); the squared distance, its weight in nats,
        the points z ~ q and that they are fixed are ours.
    """

    recorded, stored = "latent_error", "error"

    def __init__(self, weight: float) -> None:
        if not 0.0 <= weight < float("inf"):
            raise InputError(f"latent_weight is {weight}; it must be a finite number, 0 or greater")
        self.weight = weight

    def check_model(self, vae: VAE) -> None:
        """Raise unless p(x|z) has a mean given z.

        Args:
            vae: The model.

        Raises:
            InputError: It has none.
        """
        with torch.no_grad():
            p_x = vae.decode(torch.zeros(1, vae.latent_dim, device=next(vae.parameters()).device))
        if self.weight and not isinstance(p_x, Independent):
            raise InputError(
                f"latent-reconstruction encodes E[x|z], which a {type(p_x).__name__} does not give; use a network and "
                "a likelihood whose features are independent given z"
            )

    def step(self, stepper: Stepper, draws: Draws, batch: Batch) -> Step:
        """Take one gradient step of the whole model.

        Args:
            stepper: Whose model, objective and optimiser are used.
            draws: Not used.
            batch: The data and the noise.
        """
        if not self.weight:
            return stepper.step(batch)
        trace = stepper.trace(batch)
        terms = stepper.objective(trace, batch.kl_weight)
        error = self._error(stepper, trace.z.detach())
        self.total += error.detach().mean()
        return stepper.optimizer_step(trace, replace(terms, loss=terms.loss + self.weight * error))

    def _error(self, stepper: Stepper, z: Tensor) -> Tensor:
        """Half the squared distance from z to the mean code of its decoded mean, [K, B]."""
        with stepper.autocast:
            p_x = stepper.vae.decode(z)
            assert isinstance(p_x, Independent)
            mean = p_x.mean
            code = stepper.vae.encode(mean.reshape(-1, mean.shape[-1])).marginals().mu
        return 0.5 * (z.float() - code.float().view_as(z)).square().sum(-1)

    def end_epoch(self, stepper: Stepper, draws: Draws, epoch: int) -> Mapping[str, float]:
        """Return the mean error of the epoch, in nats an example; nothing where there is no weight.

        Args:
            stepper: At the end of an epoch.
            draws: Tells its steps.
            epoch: Its number.
        """
        return super().end_epoch(stepper, draws, epoch) if self.weight else {}
