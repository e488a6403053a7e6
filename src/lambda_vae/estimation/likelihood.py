"""The test set in nats: the valid bound, the paper's surrogate next to it, and the importance-weighted estimate."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lambda_vae.distributions import Density, DiagGaussian, PosteriorDistribution, Sample, closed_form_kl, kl_or_ratio
from lambda_vae.errors import InputError
from lambda_vae.estimation.batching import draws_per_pass
from lambda_vae.estimation.log_weights import LogWeights
from lambda_vae.estimation.moments import Moments, Reading
from lambda_vae.estimation.noise import SampleNoise
from lambda_vae.estimation.proposals import own_laws
from lambda_vae.estimation.protocol import LatentVariableModel
from lambda_vae.rng import normal

__all__ = [
    "ImportanceEstimate",
    "LogWeights",
    "MirroredDraws",
    "importance_estimates",
    "likelihood_features",
    "likelihood_readings",
]


@dataclass(frozen=True, eq=False)
class ImportanceEstimate:
    """The importance-weighted NLL of the test set with one proposal.

    Args:
        proposal: "q" or "q_sampled".
        samples: K.
        nll: Mean over the test set; nats per example.
        ess: Mean effective sample size, of K.
    """

    proposal: str
    samples: int
    nll: Reading
    ess: Reading


@dataclass(frozen=True, eq=False)
class MirroredDraws:
    """Draws of each example with their mirror images: every eps is used with its negative as well.

    The part of the gradient that does not depend on eps then cancels, which leaves the mean as it is and takes most of
    its noise away.

    Args:
        eps: Noise, [K, B, noise], the second half the negative of the first.
        drawn: From q_lambda(z|x), with their density.
        log_px: log p(x|z) in nats, float64, [K, B].
        score: Its gradient by z, float64, [K, B, D].
    """

    eps: Float[Tensor, "K B noise"]
    drawn: Sample
    log_px: Float[Tensor, "K B"]
    score: Float[Tensor, "K B D"]


@torch.no_grad()
def likelihood_features(
    vae: LatentVariableModel,
    x: Shaped[Tensor, "B ..."],
    q: PosteriorDistribution,
    samples: int | None,
    generator: torch.Generator | SampleNoise | None = None,
    *,
    importance: bool = True,
    known: MirroredDraws | None = None,
) -> dict[str, Float[Tensor, "B 1"]]:
    """Return what the readings below need of one batch, nats per example, float64, each [B, 1].

    Both proposals see the same noise. Where lambda is 1 everywhere they are the same law, and only "q" is there.

    Args:
        vae: The model.
        x: The data.
        q: q_1(z|x) of the data.
        samples: K, for the reconstruction and for each proposal; None takes the known draws for importance samples, 0
            takes none.
        generator: The source of chance, or of the K draws' noise.
        importance: Whether to weigh the samples; without, only the law that z is really drawn from is used.
        known: Draws at hand, which count for the reconstruction.

    Raises:
        InputError: K is negative, or there are no draws at all.
    """
    if (samples or 0) < 0 or (known is None and not samples):
        raise InputError(f"iw_samples is {samples}; it must be at least {0 if known else 1}")
    laws = own_laws(vae, q)
    p_z, decoded = vae.p_z(), next(reversed(laws))
    weights = {name: LogWeights.empty(len(x), x.device) for name in laws} if importance else {}
    distortion = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    rates = {name: torch.zeros_like(distortion) for name in laws}
    total = (samples or 0) + (len(known.eps) if known is not None else 0)

    def take(eps: Tensor, known: MirroredDraws | None) -> None:
        for name, law in laws.items():
            hand = known if name == decoded else None
            drawn = hand.drawn if hand is not None else law.rsample_and_log_prob(eps)
            rates[name] += len(eps) / total * _rate(law, p_z, drawn)
            if name != decoded and (known is not None or not importance):
                continue
            log_px_z = hand.log_px if hand is not None else vae.decode(drawn.z).log_prob(x).double()
            if importance and (known is None or samples is None):
                log_ratio = (p_z.log_prob(drawn.z) - drawn.log_prob()).double()
                if (
                    known is not None
                ):  # what two draws miss of the KL, 0 in expectation: the estimate is below the bound
                    log_ratio = log_ratio - (log_ratio.mean(0) + rates[name])
                weights[name] = weights[name].fold(log_px_z + log_ratio)
            if name == decoded:
                distortion.sub_(log_px_z.sum(0))

    if known is not None:
        take(known.eps, known)
    if samples:
        for eps in _noise_parts(generator, samples, x, q.noise_dim):
            take(eps, None)
    features = {"reconstruction": distortion / total, "rate": rates[decoded], "rate_q": rates["q"]}
    for name, sums in weights.items():
        if sums.count:
            features |= {f"nll_iw.{name}": sums.nll, f"ess.{name}": sums.effective_samples}
    return {name: feature[:, None] for name, feature in features.items()}


def _noise_parts(
    source: torch.Generator | SampleNoise | None, samples: int, x: Tensor, width: int
) -> Iterator[Float[Tensor, "k B width"]]:
    per_pass = draws_per_pass(x)
    if isinstance(source, SampleNoise):
        yield from source.parts(len(x), width, x.device, per_pass)
        return
    for start in range(0, samples, per_pass):
        yield normal((min(per_pass, samples - start), len(x), width), source, x.device)


def _rate(law: PosteriorDistribution, p_z: Density, drawn: Sample) -> Float[Tensor, " B"]:
    """KL(law || p), in closed form or as the mean over the draws; float64."""
    if isinstance(law, DiagGaussian) and isinstance(p_z, DiagGaussian):
        wide = [DiagGaussian(d.mu.double(), d.logvar.double()) for d in (law, p_z)]
        return wide[0].kl(wide[1])
    rate = kl_or_ratio(law, p_z, drawn).double()
    return rate if closed_form_kl(law, p_z) is not None else rate.mean(0)


def likelihood_readings(moments: Moments) -> dict[str, Reading]:
    """Return the terms of the test set by name, one number each; unit: nats per example.

    `nll_bound` = reconstruction + KL(q_lambda || p), an upper bound on -ln p(x) in expectation. `surrogate_nll` =
    reconstruction + KL(q_1 || p), the paper's figure, which bounds nothing under lambda and may be compared with
    nothing but that figure. `excess_kl` is their difference. `rate` belongs to q_lambda, `rate_q` to q_1.

    Source:
        The paper, Eq. 10 (surrogate) and Eq. 14 (excess KL); Kingma and Welling 2014, arXiv:1312.6114 (bound).
    """
    terms = {
        "nll_bound": lambda m: m["reconstruction"] + m["rate"],
        "surrogate_nll": lambda m: m["reconstruction"] + m["rate_q"],
        "excess_kl": lambda m: m["rate"] - m["rate_q"],
        "reconstruction": lambda m: m["reconstruction"],
        "rate": lambda m: m["rate"],
        "rate_q": lambda m: m["rate_q"],
    }
    return {name: moments.read(term, "nats per example") for name, term in terms.items()}


def importance_estimates(moments: Moments, samples: int) -> dict[str, ImportanceEstimate]:
    """Return the importance-weighted NLL of every proposal there is, the better one (smaller NLL) first.

    Each is a valid upper bound in expectation. Choosing the smaller of two by its mean over this very test set is
    legitimate, but the choice is slightly optimistic: by less than one standard error of their difference.

    Source:
        Burda et al. 2015, arXiv:1509.00519, Eq. 8. The paper's footnote 2 calls the estimate biased for lambda-VAE;
        it is a valid bound with either proposal, loose where the proposal is narrow, which the effective sample size
        shows.
    """
    estimates = [
        ImportanceEstimate(
            name,
            samples,
            moments.read(lambda m, name=name: m[f"nll_iw.{name}"], "nats per example"),  # type: ignore[misc]
            moments.read(lambda m, name=name: m[f"ess.{name}"], f"of {samples} samples"),  # type: ignore[misc]
        )
        for name in (feature.removeprefix("nll_iw.") for feature in moments.names if feature.startswith("nll_iw."))
    ]
    return {e.proposal: e for e in sorted(estimates, key=lambda e: float(e.nll.value))}
