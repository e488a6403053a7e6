"""Methods whose rate is judged by a classifier in place of a formula."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softplus

from lambda_vae.distributions import DiagGaussian
from lambda_vae.errors import InputError
from lambda_vae.model import Trace
from lambda_vae.training.adversary import Adversary
from lambda_vae.training.strategies import Batch, Step
from lambda_vae.training.watch import Trail

if TYPE_CHECKING:
    from lambda_vae.training.loop import Trainer

__all__ = ["AdversarialAutoencoder", "AdversarialBayes"]

#: An autoencoder's discriminator that gives every draw odds of 100 to 1 holds two laws without overlap.
_WON_AGGREGATE = 0.01

#: Posteriors that carry many nats are rightly told from the prior with ease; only a loss that float32 can no longer
#: improve teaches nothing.
_WON_POSTERIOR = 1e-6


class _Judged:
    """Alternates a step of the model, whose loss holds the classifier's logit, with a step of the classifier.

    The trainer's objective gives the terms to which the strategy's own is added: here -log p(x|z) alone.
    """

    draws_prior = True

    def __init__(self, adversary: Adversary) -> None:
        self.adversary = adversary

    def check(self, trainer: "Trainer", trail: Trail) -> None:
        """Raise if the classifier is no longer finite.

        Args:
            trainer: Whose epoch it is.
            trail: Of the epoch so far.
        """
        self.adversary.check(trainer, trail)

    def end_epoch(self, trainer: "Trainer") -> Mapping[str, float]:
        """Return the classifier's mean loss; raise if it has won.

        Args:
            trainer: Whose epoch it is.
        """
        return self.adversary.end_epoch(trainer)

    def state_dict(self) -> Mapping[str, Any]:
        """Return the classifier and its optimiser."""
        return self.adversary.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take up a state.

        Args:
            state: Flattened with dots.
        """
        self.adversary.load_state_dict(state)


class AdversarialAutoencoder(_Judged):
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
        super().__init__(Adversary(hidden, learning_rate, _WON_AGGREGATE))
        self.weight = weight

    def begin(self, trainer: "Trainer") -> None:
        """Make D on the trainer's device.

        Args:
            trainer: Whose model it judges.
        """
        self.network = self.adversary.begin(trainer, trainer.vae.latent_dim)

    def step(self, trainer: "Trainer", batch: Batch) -> Step:
        """Take a step of the model, then one of D on the same draws.

        Args:
            trainer: Whose model, objective and optimiser are used.
            batch: The data and the noise.
        """
        trace = trainer.trace(batch)
        terms = trainer.objective(trace, batch.kl_weight)
        # The draws before the view that the decoder got: the gradient of the latter stays the reconstruction's alone.
        generator = softplus(self.adversary.logit(trace.drawn.z))
        step = trainer.descend(trace, replace(terms, loss=terms.loss + batch.kl_weight * self.weight * generator))
        self.adversary.learn(trainer.step, trace.drawn.z, _prior_draws(trace))
        return step


class AdversarialBayes(_Judged):
    r"""-log p(x|z) + kl_weight * T(x, z), where at its best T(x, z) = ln q(z|x) / p(z): the ELBO of an implicit q.

    With adaptive contrast, T tells q(z|x) from r(z|x), the Gaussian with q's own means and variances, in coordinates in
    which r is N(0, I); the rest of the rate, ln r/p, is known and not judged:

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
        super().__init__(Adversary(hidden, learning_rate, _WON_POSTERIOR))
        self.adaptive_contrast = adaptive_contrast

    def begin(self, trainer: "Trainer") -> None:
        """Make T on the trainer's device.

        Args:
            trainer: Whose model it judges.

        Raises:
            InputError: The prior is learned and only its draws would be looked at.
        """
        if not self.adaptive_contrast and any(True for _ in trainer.vae.prior.parameters()):
            raise InputError(
                "adaptive_contrast is False and the prior is learned: draws of the prior teach it nothing; use "
                "--adaptive_contrast true or the standard prior"
            )
        self.network = self.adversary.begin(trainer, trainer.vae.likelihood.features + trainer.vae.latent_dim)

    def step(self, trainer: "Trainer", batch: Batch) -> Step:
        """Take a step of the model, then one of T on the same draws.

        Args:
            trainer: Whose model, objective and optimiser are used.
            batch: The data and the noise.
        """
        trace = trainer.trace(batch)
        terms = trainer.objective(trace, batch.kl_weight)
        r = self._moments(trainer, batch.x) if self.adaptive_contrast else None
        judged, contrast, known = _contrast(trace, r)
        rate = self.adversary.logit(_pairs(trace.x, judged)) + known
        step = trainer.descend(trace, replace(terms, loss=terms.loss + batch.kl_weight * rate))
        self.adversary.learn(trainer.step, _pairs(trace.x, judged), _pairs(trace.x, contrast))
        return step

    def _moments(self, trainer: "Trainer", x: Float[Tensor, "B F"]) -> DiagGaussian:
        """r(z|x), as given."""
        with torch.no_grad(), trainer.autocast:
            return trainer.vae.encode(x).marginals()


def _contrast(trace: Trace, r: DiagGaussian | None) -> tuple[Tensor, Tensor, Tensor | float]:
    """What T tells apart, [K, B, D] from [B, D], and the part of the rate that needs no judging, [K, B]."""
    z = trace.drawn.z
    if r is None:
        return z, _prior_draws(trace), 0.0
    assert trace.prior_eps is not None, "a strategy with draws_prior is given noise for the prior"
    return (z - r.mu) / r.std, trace.prior_eps[:, : z.shape[-1]], r.log_prob(z) - trace.p_z.log_prob(z)


def _pairs(x: Float[Tensor, "B F"], z: Float[Tensor, "*K B D"]) -> Float[Tensor, "*K B FD"]:
    """Each z beside its own x."""
    return torch.cat((x.expand(*z.shape[:-1], -1), z), -1)


def _prior_draws(trace: Trace) -> Float[Tensor, "B D"]:
    """One draw from the prior for each example."""
    assert trace.prior_eps is not None, "a strategy with draws_prior is given noise for the prior"
    with torch.no_grad():
        return trace.p_z.rsample(trace.prior_eps)
