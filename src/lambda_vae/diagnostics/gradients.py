"""Does the decoder hold a dimension back from the prior? Reconstruction gradient, gradient ratio, decoder capacity.

The KL term pulls sigma_i towards 1 with the force 1/sigma_i - sigma_i, the reconstruction pulls it down with g_i (Eq.
3). Under an exponent the reconstruction's pull on sigma_i is amplified by d(sigma^lambda)/d(sigma) = lambda
sigma^(lambda - 1) (Eq. 11).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lambda_vae.distributions import Density, DiagGaussian, FullGaussian, PosteriorDistribution, TorchDensity
from lambda_vae.estimation.likelihood import MirroredDraws
from lambda_vae.estimation.moments import Moments, Reading
from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = [
    "GradientRatio",
    "decoder_capacity",
    "gradient_features",
    "gradient_ratio",
    "mirrored_draws",
    "reconstruction_gradient",
    "scores",
]


@dataclass(frozen=True, eq=False)
class GradientRatio:
    """rho_i with what it takes to believe it, each [D], no unit.

    Args:
        ratio: rho_i with its standard error.
        noise_floor: What the ratio of a dimension with g = 0 would show, at most, in 19 of 20 measurements: 1.96
            standard errors of g over the KL term's force.
    """

    ratio: Reading
    noise_floor: Float[Tensor, " D"]


def scores(
    vae: LatentVariableModel, x: Shaped[Tensor, "B ..."], z: Float[Tensor, "*sample B D"]
) -> Float[Tensor, "*sample B D"]:
    """Return d log p(x|z)/dz for every example and sample; unit: nats per unit of z."""
    return _log_px_and_score(vae, x, z)[1]


def _log_px_and_score(vae: LatentVariableModel, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        log_px = vae.decode(leaf).log_prob(x)
        gradient: Tensor = torch.autograd.grad(log_px.sum(), leaf)[0]
    return log_px.detach(), gradient


def mirrored_draws(
    vae: LatentVariableModel,
    x: Shaped[Tensor, "B ..."],
    q: PosteriorDistribution,
    eps: Float[Tensor, "K B noise"],
) -> MirroredDraws:
    """Return draws of z and what the decoder makes of them: one pass through it and one back."""
    both = torch.cat((eps, -eps))
    with torch.no_grad():
        drawn = vae.equalization.sampled(q).rsample_and_log_prob(both)
    log_px, score = _log_px_and_score(vae, x, drawn.z)
    return MirroredDraws(both, drawn, log_px.double(), score.double())


def gradient_features(
    vae: LatentVariableModel,
    x: Shaped[Tensor, "B ..."],
    q: PosteriorDistribution,
    eps: Float[Tensor, "K B noise"] | MirroredDraws,
) -> dict[str, Float[Tensor, "B D"]]:
    """Return what the readings below need of one batch, float64, each [B, D].

    Args:
        vae: The model.
        x: The data.
        q: q_1(z|x) of the data.
        eps: Noise to draw z with, or draws.
    """
    draws = eps if isinstance(eps, MirroredDraws) else mirrored_draws(vae, x, q, eps)
    with torch.no_grad():
        noise = _standardised(vae.equalization.sampled(q), draws.drawn.z, draws.eps)
    pull = (draws.score * noise).mean(0)
    std = q.marginals().std.double()
    return {
        "score_sq": draws.score.square().mean(0),
        "pull": pull,
        "pull_amplified": vae.equalization.amplification(std) * pull,
        "force": std.reciprocal() + _prior_pull(vae.p_z(), draws.drawn.z, noise, std),
    }


def _prior_pull(prior: Density, z: Tensor, noise: Tensor, std: Tensor) -> Tensor:
    """E[d log p(z)/dz * eps], what the prior holds sigma with: -sigma under N(0, I)."""
    if not isinstance(prior, TorchDensity | FullGaussian):
        return -std
    with torch.enable_grad():
        leaf = z.detach().requires_grad_()
        slope: Tensor = torch.autograd.grad(prior.log_prob(leaf).sum(), leaf)[0]
    return (slope.double() * noise).mean(0)


def _standardised(
    law: PosteriorDistribution, z: Float[Tensor, "K B D"], eps: Float[Tensor, "K B noise"]
) -> Float[Tensor, "K B D"]:
    """The noise in z by its own mean and std: eps itself for a Gaussian."""
    if isinstance(law, DiagGaussian):
        return eps
    marginals = law.marginals()
    return (z - marginals.mu) / marginals.std


def reconstruction_gradient(moments: Moments) -> Reading:
    """Return g_i = E[d log p(x|z)/dz_i * eps_i], [D]; in nats per unit of noise; negative where noise hurts.

    Source:
        The paper, Eq. 3 and 19.
    """
    return moments.read(lambda m: m["pull"], "nats per unit of sampling noise")


def gradient_ratio(moments: Moments) -> GradientRatio:
    r"""Return rho_i, the reconstruction's pull on sigma_i over the KL term's, [D]; no unit.

    .. math:: \rho_i = \frac{|E[\lambda_i \sigma_i^{\lambda_i - 1} \, \partial_{z_i} \log p(x|z) \, \epsilon_i]|}
                            {|E[1/\sigma_i - \sigma_i]|}

    Returns:
        Ratio, standard error and noise floor. Exactly 1 at an equilibrium of the training objective; below 1 the KL
        term wins. Near sigma = 1 both forces vanish and the error says so.

    Source:
        The paper, Eq. A.3 and Eq. 11. Deviation: both means are over x, where the paper writes a single sigma_i.
    """
    ratio = moments.read(lambda m: (m["pull_amplified"] / m["force"]).abs(), "")
    pull = moments.read(lambda m: m["pull_amplified"], "nats per unit of sigma")
    return GradientRatio(ratio, 1.96 * pull.stderr / moments.mean["force"].abs())


def decoder_capacity(moments: Moments) -> Reading:
    """Return C_i^dec, the root mean square of d log p(x|z)/dz_i, [D]; unit: nats per unit of z.

    Source:
        The paper, Eq. 18.
    """
    # The floor keeps the square root differentiable for a dimension that the decoder does not use at all.
    return moments.read(lambda m: m["score_sq"].clamp(min=1e-24).sqrt(), "nats per unit of z")
