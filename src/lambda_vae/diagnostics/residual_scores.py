"""What one example has beyond its code: whitened scores at the posterior mean, off the decoder's tangent space."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from lambda_vae.distributions import DiagGaussian, sample_x
from lambda_vae.distributions.base import LikelihoodDistribution
from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = ["Noise", "ResidualScores", "Rows"]

#: Added to every feature's information before whitening, as a share of the mean: a feature that hardly ever varies
#: would #: otherwise count as much as the others, and its rare events drown what the rest share.
_RIDGE = 0.1

#: Numbers that the tangents of a few examples may take at once.
_NUMBERS = 2**24

#: The tangents are secants over the posterior's own width, but no narrower than float32 can tell apart.
_NARROWEST = 0.05


class Noise(Enum):
    """Whether a likelihood has a noise of its own that may not be the data's."""

    KNOWN = "a Gaussian's"
    FREE = "numbers under another likelihood"
    NONE = "classes or counts"
    SEVERAL = "features of several kinds"


@dataclass(frozen=True, eq=False)
class Rows:
    """Of some examples.

    Args:
        data: Their whitened scores, [B, F].
        chance: Those of draws from the model, [B, F] each; empty for a Gaussian, whose noise is known.
        tangents: Directions that were projected off, on average.
    """

    data: Float[Tensor, "B F"]
    chance: tuple[Float[Tensor, "B F"], ...]
    tangents: float


class ResidualScores:
    """The scores of one model's residuals, batch by batch.

    Args:
        carried: Which dimensions are in use, [D]; the others rest, so that their noise is not taken for signal.
        resting: Where they rest: E_x[mu], [D].
        generator: The source of chance.
        replicates: Draws from the model.
        project: Whether to project off what the dimensions in use carry.
    """

    def __init__(
        self,
        carried: Bool[Tensor, " D"],
        resting: Float[Tensor, " D"],
        generator: torch.Generator | None,
        *,
        replicates: int,
        project: bool,
    ) -> None:
        self.carried, self.resting = carried, resting
        self.generator, self.replicates = generator, replicates
        self.tangents = carried.nonzero().flatten().tolist() if project else []
        self.whiten, self.noise = torch.ones(()), Noise.NONE
        self.noise_std: float | None = None

    @property
    def features(self) -> int:
        """How many scores an example has; known after the first look."""
        return self.whiten.shape[-1]

    @property
    def at_once(self) -> int:
        """How many examples may go through `rows` together."""
        return max(1, _NUMBERS // (max(1, len(self.tangents)) * self.features))

    @torch.no_grad()
    def look(self, vae: LatentVariableModel, x: Shaped[Tensor, "B ..."]) -> bool:
        """Take the information of every feature from a first batch; return whether the likelihood can be drawn from."""
        z = self._codes(vae, x)[0]
        at = _observation(vae, vae.decoder(z))
        self.noise = _noise(at, x)
        draws = self._draws(at)
        if draws is None:
            return False
        if isinstance(at, DiagGaussian):
            std = at.std.double().flatten()
            shared = bool((std - std.mean()).abs().max() < 1e-3 * std.mean())
            self.noise_std = float(std.mean()) if shared else None
            self.whiten = at.std
            return True
        information = torch.stack([_score(vae, z, one).double().square().mean(0) for one in draws]).mean(0)
        if self.noise is Noise.FREE and not isinstance(vae.likelihood, Likelihood):
            information = _observed_information(vae, z, _numbers(x), information)
        self.whiten = (information + _RIDGE * information.mean()).rsqrt().to(z.dtype)
        return True

    @torch.no_grad()
    def rows(self, vae: LatentVariableModel, x: Shaped[Tensor, "B ..."]) -> Rows:
        """Return the scores of some examples."""
        z, width = self._codes(vae, x)
        at = _observation(vae, vae.decoder(z))
        draws, whiten = self._draws(at), at.std if isinstance(at, DiagGaussian) else self.whiten
        assert draws is not None
        scores = [_score(vae, z, one) * whiten for one in (_numbers(x), *([] if self.noise is Noise.KNOWN else draws))]
        if not self.tangents:
            return Rows(scores[0], tuple(scores[1:]), 0.0)
        moved = torch.stack([_moved(vae, z, width, draws[0], i) for i in self.tangents], 1)
        project, rank = _projection(moved * (whiten[:, None] if whiten.dim() > 1 else whiten))
        off = [one - project(one) for one in scores]
        return Rows(off[0], tuple(off[1:]), rank / len(x))

    def _codes(self, vae: LatentVariableModel, x: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior means, at rest where a dimension is not in use, and the widths of the secants, [B, D]."""
        q = vae.equalization.sampled(vae.encode(x)).marginals()
        return torch.where(self.carried, q.mu, self.resting.to(q.mu.dtype)), q.std.clamp(min=_NARROWEST)

    def _draws(self, at: LikelihoodDistribution) -> list[Tensor] | None:
        # what a Gaussian produces is known; one draw is where its tangents are looked at
        draws = [sample_x(at, self.generator) for _ in range(1 if self.noise is Noise.KNOWN else self.replicates)]
        found = [draw for draw in draws if draw is not None]
        return found if len(found) == len(draws) else None


def _noise(at: LikelihoodDistribution, x: Tensor) -> Noise:
    if isinstance(at, DiagGaussian):
        return Noise.KNOWN
    if getattr(at, "several_kinds", False):
        return Noise.SEVERAL
    return Noise.FREE if x.is_floating_point() and bool((x != x.round()).any()) else Noise.NONE


def _numbers(x: Tensor) -> Float[Tensor, "B F"]:
    """Examples as rows, classes and counts as numbers."""
    rows = x.reshape(len(x), -1)
    return rows if rows.is_floating_point() else rows.float()


def _observation(vae: LatentVariableModel, theta: Tensor) -> LikelihoodDistribution:
    assert vae.likelihood is not None
    return vae.likelihood(theta)


def _score(vae: LatentVariableModel, z: Tensor, points: Tensor) -> Float[Tensor, "B F"]:
    """The gradient of log p(points|z) by the location of each feature."""
    return _score_at(vae, vae.decoder(z), points)


def _score_at(vae: LatentVariableModel, theta: Tensor, points: Tensor) -> Float[Tensor, "B F"]:
    with torch.enable_grad():
        leaf = theta.detach().requires_grad_()
        gradient: Tensor = torch.autograd.grad(_observation(vae, leaf).log_prob(points).sum(), leaf)[0]
    # a foreign theta has the shape of x
    shifts = vae.likelihood.by_feature(gradient) if isinstance(vae.likelihood, Likelihood) else gradient
    return torch.flatten(shifts, 1)


def _observed_information(vae: LatentVariableModel, z: Tensor, x: Tensor, expected: Tensor) -> Float[Tensor, " F"]:
    """What the scores of the data themselves lose as the location moves towards them; `expected` where that is nothing.

    For a Bernoulli or a count the two are the same. A Laplace's score is a sign, whatever its scale: how far the scale
    is from the data's shows in how many of them a small step turns.
    """
    theta, step = vae.decoder(z), 0.25 * float((x - x.mean(0)).abs().median().clamp(min=1e-6))
    before, after = (_score_at(vae, theta + shift, x).double() for shift in (-step, step))
    observed_information = (before - after).mean(0) / (2.0 * step)
    return torch.where(observed_information > 0.0, observed_information, expected)


def _moved(vae: LatentVariableModel, z: Tensor, width: Tensor, points: Tensor, i: int) -> Float[Tensor, "B F"]:
    """How the scores change with dimension i."""
    step = torch.zeros_like(z)
    step[:, i] = width[:, i]
    return _score(vae, z - step, points) - _score(vae, z + step, points)


def _projection(moved: Float[Tensor, "B A F"]) -> tuple[Callable[[Tensor], Tensor], float]:
    """What takes a row to its part in the span of an example's tangents, and the sum of their ranks."""
    products = moved.double() @ moved.double().mT
    size = products.diagonal(dim1=-2, dim2=-1).amax(-1).clamp(min=1e-30)
    ridge = torch.diag_embed((1e-6 * size)[:, None].expand(products.shape[:2]))
    inverse: Tensor = torch.linalg.inv(products + ridge)
    rank = float((inverse * products).sum())

    def project(rows: Tensor) -> Tensor:
        weights = inverse @ (moved.double() @ rows.double()[:, :, None])
        return (moved.double().mT @ weights)[:, :, 0].to(rows.dtype)

    return project, rank
