"""Adversarial methods: a discriminator estimates the rate in place of a formula."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.model import VAE, Trace
from lambda_vae.training.adversary import Adversary
from lambda_vae.training.batch import Batch, Step
from lambda_vae.training.draws import Draws
from lambda_vae.training.stepper import Stepper

__all__ = ["AdversarialAutoencoder", "AdversarialBayes"]

#: An autoencoder's discriminator that gives every draw odds of 100 to 1 holds two distributions without overlap.
_WON_AGGREGATE = 0.01

#: Posteriors that carry many nats are easy to tell from the prior, and rightly so; only a loss below what float32
#: resolves teaches nothing.
_WON_POSTERIOR = 1e-6


class AdversarialAutoencoder(Adversary):
    """-log p(x|z) + kl_weight * weight * -ln(1 - D(z)), where D(z) is the classifier's belief that z is the model's.

    D tells draws of the aggregate posterior from draws of the prior. Nothing in the loss is a KL; the encoder stays
    Gaussian, so that its density, its rate and valid bounds exist and are reported as for all other methods. At weight
    0 what is left is an autoencoder with noise of its own choice.

    Args:
        weight: Of D in the loss, >= 0.
        hidden: Widths of D's hidden layers.
        learning_rate: Of D's Adam.

    Raises:
        InputError: A value is out of range.

    Source:
        Makhzani et al. 2016, arXiv:1511.05644, section 2. Deviations: the encoder's step on D and the step on the
        reconstruction are one, as in Tolstikhin et al. 2018, arXiv:1711.01558, Algorithm 1 (WAE-GAN), whose weight is
        10; the generator's loss is the non-saturating one.
    """

    def __init__(self, weight: float = 10.0, hidden: Sequence[int] = (300, 300), learning_rate: float = 1e-3) -> None:
        if not 0 <= weight < math.inf:
            raise InputError(f"adversary_weight is {weight}; it must be a finite number, 0 or greater")
        super().__init__(hidden, learning_rate, _WON_AGGREGATE)
        self.weight = weight

    def begin(self, stepper: Stepper, draws: Draws) -> None:
        """Make D on the stepper's device."""
        self.make(stepper, draws, stepper.vae.latent_dim)

    def step(self, stepper: Stepper, draws: Draws, batch: Batch) -> Step:
        """Take a step of the model, then one of D on the same draws."""
        trace = stepper.trace(batch)
        terms = stepper.objective(trace, batch.kl_weight)
        # The draws before the view that the decoder got: the gradient of the latter stays the reconstruction's alone.
        generator = softplus(self.logit(trace.drawn.z))
        terms = replace(terms, loss=terms.loss + batch.kl_weight * self.weight * generator)
        step = stepper.optimizer_step(trace, terms)
        self.learn(batch.step, trace.drawn.z, _prior_draws(trace))
        return step


class AdversarialBayes(Adversary):
    r"""-log p(x|z) + kl_weight * T(x, z), where at its best T(x, z) = ln q(z|x) / p(z): the ELBO of an implicit q.

    With adaptive contrast, T tells q(z|x) from r(z|x), the Gaussian with q's own means and variances, in coordinates in
    which r is N(0, I); the rest of the rate, ln r/p, is known and not estimated:

    .. math:: KL(q \| p) = E_q[T(x, (z - m(x)) / s(x))] + E_q[\ln r(z|x) - \ln p(z)]

    m and s are taken as given, for what they change in the two terms cancels. Where q is Gaussian, T is 0 at its best
    and the loss is a Monte Carlo estimate of minus the plain VAE's ELBO.

    Logs keep their meaning as far as they can: `rate_q` is that of the one Gaussian that each xi picks, whose mean is
    at least the mixture's own KL.

    Args:
        hidden: Widths of T's hidden layers.
        learning_rate: Of T's Adam.
        adaptive_contrast: Tell q from r, not from p.

    Raises:
        InputError: A value is out of range.

    Source:
        Mescheder et al. 2017, arXiv:1701.04722, Algorithm 1; section 3.3 for adaptive contrast.
    """

    def __init__(
        self, hidden: Sequence[int] = (300, 300), learning_rate: float = 1e-3, *, adaptive_contrast: bool = True
    ) -> None:
        super().__init__(hidden, learning_rate, _WON_POSTERIOR)
        self.adaptive_contrast = adaptive_contrast

    def check_model(self, vae: VAE) -> None:
        """Raise if x are no numbers that T could read, or the prior is learned and only its draws would be used.

        Raises:
            InputError: They are not, or it is.
        """
        if getattr(vae.likelihood, "reads_tokens", False):
            raise InputError(
                "the discriminator of adversarial Bayes reads x as numbers, and the data are sequences of tokens; use "
                "iaf or flow for another posterior"
            )
        if not self.adaptive_contrast and any(True for _ in vae.prior.parameters()):
            raise InputError(
                "adaptive_contrast is False and the prior is learned: draws of the prior teach it nothing; use "
                "`adaptive_contrast=True` or the standard prior"
            )

    def begin(self, stepper: Stepper, draws: Draws) -> None:
        """Make T on the stepper's device."""
        vae = stepper.vae
        self.make(stepper, draws, vae.likelihood.features + vae.latent_dim)

    def step(self, stepper: Stepper, draws: Draws, batch: Batch) -> Step:
        """Take a step of the model, then one of T on the same draws."""
        trace = stepper.trace(batch)
        terms = stepper.objective(trace, batch.kl_weight)
        r = stepper.marginals(batch.x) if self.adaptive_contrast else None
        drawn, reference, known = _contrast(trace, r)
        rate = self.logit(_pairs(trace.x, drawn)) + known
        step = stepper.optimizer_step(trace, replace(terms, loss=terms.loss + batch.kl_weight * rate))
        self.learn(batch.step, _pairs(trace.x, drawn), _pairs(trace.x, reference))
        return step


def _contrast(trace: Trace, r: DiagGaussian | None) -> tuple[Tensor, Tensor, Tensor | float]:
    """What T tells apart, [K, B, D] from [B, D], and the part of the rate that is known, [K, B]."""
    z = trace.drawn.z
    if r is None:
        return z, _prior_draws(trace), 0.0
    assert trace.prior_eps is not None, "a strategy with draws_prior is given noise for the prior"
    return (z - r.mu) / r.std, trace.prior_eps[:, : z.shape[-1]], r.log_prob(z) - trace.p_z.log_prob(z)


def _pairs(x: Float[Tensor, "B F"], z: Float[Tensor, "*K B D"]) -> Float[Tensor, "*K B FD"]:
    """Each z next to its own x."""
    return torch.cat((x.expand(*z.shape[:-1], -1), z), -1)


def _prior_draws(trace: Trace) -> Float[Tensor, "B D"]:
    """One draw from the prior for each example."""
    assert trace.prior_eps is not None, "a strategy with draws_prior is given noise for the prior"
    with torch.no_grad():
        return trace.p_z.rsample(trace.prior_eps)
