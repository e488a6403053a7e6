"""Is anything left in the data for one more dimension to carry?

The score of the decoder's output, d log p(x|theta)/d theta by the location of each feature, is pure noise with a
diagonal covariance (the Fisher information) if the latent explains everything that the features share. A direction in
which the scores of real data vary together by more than that is something an additional dimension could encode:
whitened by the Fisher information, an eigenvalue l > 1 is worth (l - 1 - ln l)/2 nats after paying its KL (exact for a
linear-Gaussian decoder). Chance produces eigenvalues above 1 too; how large ones, data drawn from the model itself
show, since there is nothing left in them.

This holds for likelihoods whose features are independent given z. An autoregressive decoder explains the rest by
itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from lambda_vae.diagnostics.chance import normal, observed
from lambda_vae.diagnostics.covariance import StreamedCovariance
from lambda_vae.diagnostics.measurable import Measurable
from lambda_vae.distributions.likelihood import Likelihood, Observation

__all__ = ["ResidualSignal", "residual_signal"]

#: Features beyond these are left out, a random choice staying in: the covariance grows with their square.
_FEATURES = 1024

#: Added to every feature's Fisher information before whitening, as a share of the mean: a feature that hardly ever
#: varies would otherwise count as much as the others, and its rare events drown what the rest share.
_RIDGE = 0.1

#: Draws from the model that show what chance alone produces.
_REPLICATES = 2


@dataclass(frozen=True)
class ResidualSignal:
    """What the used dimensions leave in the data.

    Args:
        directions: Directions in which the residual varies by more than `floor`: room for so many more dimensions.
        strongest: The largest whitened eigenvalue; 1 would be pure noise without end of data. No unit.
        floor: What an eigenvalue must exceed: the largest one that chance produced, times the margin.
    """

    directions: int
    strongest: float
    floor: float


def residual_signal(
    vae: Measurable,
    batches: Iterable[Shaped[Tensor, "B ..."]],
    carried: Bool[Tensor, " D"],
    resting: Float[Tensor, " D"],
    exponent: Float[Tensor, " D"] | None = None,
    *,
    margin: float = 1.2,
    generator: torch.Generator | None = None,
) -> ResidualSignal | None:
    """Return what the dimensions in use leave unexplained, or None where the likelihood cannot be drawn from.

    Args:
        vae: The model.
        batches: Data on the model's device.
        carried: Which dimensions are in use; the others rest, so that their noise is not taken for signal.
        resting: Where they rest: E_x[mu].
        exponent: lambda; None for the plain VAE.
        margin: How far above chance an eigenvalue must be; at 1.2 it is worth 0.01 nats.
        generator: The source of chance.

    Source:
        Ours. For what an eigenvalue is worth: Lucas et al. 2019, arXiv:1911.02469 (linear VAE); for the comparison
        with data that hold
        nothing: Horn 1965, "A rationale and test for the number of factors in factor analysis".
    """
    sums: list[StreamedCovariance] = []
    chosen: Int[Tensor, " f"] | None = None
    for x in batches:
        if chosen is None:
            order = torch.randperm(x[0].numel(), generator=torch.Generator().manual_seed(0))
            chosen = order[:_FEATURES].to(x.device)
            sums = [StreamedCovariance(len(chosen), x.device) for _ in range(1 + _REPLICATES)]
        parts = _batch_scores(vae, x, carried, resting, exponent, generator)
        if parts is None:
            return None
        for total, scores in zip(sums, parts, strict=True):
            total.add(scores.index_select(1, chosen))
    return _compare(sums, margin) if sums and sums[0].count > 1 else None


def _batch_scores(
    vae: Measurable,
    x: Tensor,
    carried: Tensor,
    resting: Tensor,
    exponent: Tensor | None,
    generator: torch.Generator | None,
) -> list[Tensor] | None:
    """Scores of the data, then of draws from the model, each [B, F]."""
    if vae.likelihood is None:
        return None
    with torch.no_grad():
        q = vae.sampled(vae.encode(x), exponent)
        z = q.rsample(normal((len(x), q.noise_dim), generator, x.device))
        z = torch.where(carried, z, resting.to(z.dtype))
        theta = vae.decoder(z)
    with torch.enable_grad():
        leaf = theta.detach().requires_grad_()
        p_x: Observation = vae.likelihood(leaf)
        draws = [observed(p_x, generator) for _ in range(_REPLICATES)]
        if any(draw is None for draw in draws):
            return None
        seen = [x.flatten(1), *(draw for draw in draws if draw is not None)]
        gradients = (torch.autograd.grad(p_x.log_prob(points).sum(), leaf, retain_graph=True)[0] for points in seen)
        ours = vae.likelihood if isinstance(vae.likelihood, Likelihood) else None  # theta of foreign ones has x's shape
        return [gradient if ours is None else ours.by_feature(gradient) for gradient in gradients]


def _compare(sums: list[StreamedCovariance], margin: float) -> ResidualSignal:
    data, *chance = [total.value for total in sums]
    fisher = torch.stack([matrix.diagonal() for matrix in chance]).mean(0)
    ridge = _RIDGE * fisher.mean()
    spectra = [_eigenvalues(matrix, fisher + ridge) for matrix in chance]
    # A feature noisier than the model says, but on its own, is not shared by others and so is no signal for a
    # dimension.
    spectrum = _eigenvalues(data, torch.maximum(fisher, data.diagonal()) + ridge)
    floor = margin * max(float(values.max()) for values in spectra)
    if not bool(torch.isfinite(spectrum).all()):
        return ResidualSignal(0, float("nan"), float("nan"))
    return ResidualSignal(int((spectrum > floor).sum()), float(spectrum.max()), floor)


def _eigenvalues(matrix: Tensor, scale: Tensor) -> Tensor:
    root = scale.sqrt()
    whitened = matrix / (root[:, None] * root)
    if not bool(torch.isfinite(whitened).all()):
        return torch.full_like(scale, float("nan"))
    values: Tensor = torch.linalg.eigvalsh(whitened)
    return values
