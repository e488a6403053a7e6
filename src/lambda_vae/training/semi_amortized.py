"""Semi-amortised inference: gradient steps refine q of each example before the decoder learns from it."""

from dataclasses import replace

import torch
from torch import Tensor

from lambda_vae.distributions import DiagGaussian, PosteriorDistribution
from lambda_vae.errors import InputError
from lambda_vae.training.batch import Batch, Step
from lambda_vae.training.draws import Draws
from lambda_vae.training.stepper import Stepper
from lambda_vae.training.strategies import EpochMean

__all__ = ["SemiAmortized", "natural_step"]


def natural_step(q: DiagGaussian, dmu: Tensor, dlogvar: Tensor, rate: float) -> DiagGaussian:
    """Return q after one step down the natural gradient, without a gradient of its own.

    Where 1/2 (mu - m)' P (mu - m) and its mean under q are all there is in the loss, P diagonal, one step at rate 1
    ends at its lowest point in mu. No step moves a mean by more than one sigma, or a variance by more than a factor e.

    Args:
        q: Parameters of shape [B, D].
        dmu: Gradient of each example's loss in nats with respect to mu, [B, D].
        dlogvar: The same for logvar.
        rate: Part of the way, > 0.

    Source:
        Amari 1998, Natural Gradient Works Efficiently in Learning; the Fisher information of a Gaussian is 1/sigma^2
        for mu and 1/2 for ln sigma^2.

    Example:
        >>> q = DiagGaussian(torch.ones(1, 1), torch.zeros(1, 1))  # the loss is mu^2 / 2: its gradient is mu
        >>> natural_step(q, q.mu, torch.zeros(1, 1), 1.0).mu
        tensor([[0.]])
    """
    with torch.no_grad():
        mu = q.mu - q.std * (rate * q.std * dmu).clamp(-1.0, 1.0)
        return DiagGaussian(mu, q.logvar - (2.0 * rate * dlogvar).clamp(-1.0, 1.0))


class SemiAmortized(EpochMean):
    """Refines q of each example by a few gradient steps; the decoder learns from the refined q.

    The encoder learns from the loss of its own q, as in the plain VAE, so that it stays good by itself: every measure
    reads the encoder's q, and none needs the decoder's gradient at test time. The remedy is for a decoder that learns
    to ignore what a lagging encoder tells it. The noise of the steps comes from the second generator, so decoders of
    all methods see the same data and noise. `refinement_gain` in the history is how many nats an example the loss of
    the refined q lies below that of the encoder's: the part of the amortisation gap that the steps close.

    Args:
        steps: For each example in each batch; 0 is the plain VAE, bit for bit.
        rate: Of a step along the natural gradient.

    Raises:
        InputError: A value is out of range; when training, a posterior that is no diagonal Gaussian.

    Source:
        Kim et al. 2018, arXiv:1802.02550, section 3, and Hjelm et al. 2016, arXiv:1511.06382. Deviations: the encoder
        gets no gradient through the steps (Kim et al.'s VAE+SVI, not their SA-VAE), for it would then be measured where
        it was not trained to be good; natural gradients, whose rate has no unit, stand for SGD with momentum.
    """

    recorded, stored = "refinement_gain", "gain"

    def __init__(self, steps: int = 5, rate: float = 0.1) -> None:
        if steps < 0:
            raise InputError(f"refine_steps is {steps}; it must be at least 0")
        if not 0.0 < rate <= 1.0:
            raise InputError(f"refine_rate is {rate}; it must lie above 0, and be 1 at most")
        self.steps, self.rate = steps, rate

    def step(self, stepper: Stepper, draws: Draws, batch: Batch) -> Step:
        """Refine q for the batch, then train the decoder on the refined q and the encoder on its own."""
        of_encoder: list[tuple[Tensor, Tensor]] = []

        def refine(own: PosteriorDistribution) -> PosteriorDistribution:
            q, pull, loss = self._refined(stepper, draws, batch, own)
            of_encoder.append((pull, loss))
            return q

        trace = stepper.trace(batch, refine if self.steps else None)
        terms = stepper.objective(trace, batch.kl_weight)
        for pull, loss in of_encoder:
            self.total += loss - terms.loss.detach().mean()
            terms = replace(terms, loss=terms.loss + pull)
        return stepper.optimizer_step(trace, terms)

    def _refined(
        self, stepper: Stepper, draws: Draws, batch: Batch, own: PosteriorDistribution
    ) -> tuple[DiagGaussian, Tensor, Tensor]:
        """The refined q; a term of value 0 with the gradient of the encoder's own loss, [B]; the mean of that loss."""
        if not isinstance(own, DiagGaussian):
            raise InputError(
                f"the posterior is a {type(own).__name__}; only a diagonal Gaussian can be improved in steps"
            )
        loss, dmu, dlogvar = _loss_and_gradient(stepper, draws, batch, own)
        pull = (own.mu * dmu + own.logvar * dlogvar).sum(-1)
        q = natural_step(own, dmu, dlogvar, self.rate)
        for _ in range(self.steps - 1):
            _, dmu, dlogvar = _loss_and_gradient(stepper, draws, batch, q)
            q = natural_step(q, dmu, dlogvar, self.rate)
        # The recorder takes the gradient at z, so z must require one.
        return DiagGaussian(q.mu.requires_grad_(), q.logvar), pull - pull.detach(), loss


def _loss_and_gradient(stepper: Stepper, draws: Draws, batch: Batch, q: DiagGaussian) -> tuple[Tensor, Tensor, Tensor]:
    """The mean loss at q with fresh noise, and each example's gradient with respect to mu and logvar, [B, D]."""
    mu, logvar = (value.detach().requires_grad_() for value in (q.mu, q.logvar))
    noise = (draws.noise(batch), batch.prior_eps, batch.dropped)
    trace = stepper.vae.from_posterior(DiagGaussian(mu, logvar), batch.x, *noise)
    with torch.autocast(stepper.device.type, enabled=False):
        loss = stepper.objective(trace, batch.kl_weight).loss
    # A KL weight of 0 leaves logvar out of some losses.
    dmu, dlogvar = torch.autograd.grad(loss.mean(0).sum(), (mu, logvar), allow_unused=True, materialize_grads=True)
    return loss.detach().mean(), dmu, dlogvar
