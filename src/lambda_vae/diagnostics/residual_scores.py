"""What one example has beyond its code: whitened scores at the posterior mean, off the decoder's tangent space."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lambda_vae.distributions import DiagGaussian, sample_x
from lambda_vae.distributions.base import LikelihoodDistribution
from lambda_vae.distributions.likelihood import Likelihood
from lambda_vae.estimation.examples import Examples, conditioned
from lambda_vae.estimation.protocol import LatentVariableModel

__all__ = ["Noise", "ResidualScores", "Rows"]

#: Added to every feature's information before whitening, as a share of the mean: a feature that hardly ever varies
#: would otherwise count as much as the others, and its rare events drown what the rest share.
_RIDGE = 0.1

#: Numbers that the tangents of a few examples, or what goes through the decoder for them, may take at once.
_NUMBERS = 2**20

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
        at_once: Rows that may go through the networks together.
    """

    def __init__(
        self,
        carried: Bool[Tensor, " D"],
        resting: Float[Tensor, " D"],
        generator: torch.Generator | None,
        *,
        replicates: int,
        project: bool,
        at_once: int,
    ) -> None:
        self.carried, self.resting = carried, resting
        self.generator, self.replicates, self.at_once = generator, replicates, at_once
        self.tangents = carried.nonzero().flatten() if project else carried.new_zeros(0, dtype=torch.long)
        self.whiten, self.noise = torch.ones(()), Noise.NONE
        self.noise_std: float | None = None

    @property
    def features(self) -> int:
        """How many scores an example has; known after the first look."""
        return self.whiten.shape[-1]

    @torch.no_grad()
    def look(self, batch: Tensor | Examples, vae: LatentVariableModel) -> bool:
        """Take the information of every feature from some examples; return whether the likelihood can be drawn from."""
        z, _, theta = self._decoded(batch, vae)
        vae, x = conditioned(vae, batch)
        at = _observation(vae, theta)
        self.noise = _noise(at, x)
        draws = self._draws(vae, theta)
        if draws is None:
            return False
        if isinstance(at, DiagGaussian):
            std = at.std.double().flatten()
            shared = bool((std - std.mean()).abs().max() < 1e-3 * std.mean())
            self.noise_std = float(std.mean()) if shared else None
            self.whiten = at.std
            return True
        information = torch.stack([_score(vae, theta, one).double().square().mean(0) for one in draws]).mean(0)
        if self.noise is Noise.FREE and not isinstance(vae.likelihood, Likelihood):
            information = _observed_information(vae, theta, _numbers(x), information)
        self.whiten = (information + _RIDGE * information.mean()).rsqrt().to(z.dtype)
        return True

    def rows(self, batch: Tensor | Examples, vae: LatentVariableModel) -> Iterator[Rows]:
        """Yield the scores of some examples, a few at a time."""
        z, width, theta = self._decoded(batch, vae)
        model, x = conditioned(vae, batch)
        draws = self._draws(model, theta)
        assert draws is not None
        count = max(1, len(self.tangents))
        once = max(1, min(_NUMBERS // self.features, self.at_once) // count)
        for start in range(0, len(x), once):
            at = slice(start, start + once)
            some, own = conditioned(vae, batch[at]) if once < len(x) else (model, x)
            repeats = not isinstance(batch, Examples)
            yield self._some(some, own, z[at], width[at], theta[at], [draw[at] for draw in draws], repeats=repeats)

    @torch.no_grad()
    def _decoded(self, batch: Tensor | Examples, vae: LatentVariableModel) -> tuple[Tensor, Tensor, Tensor]:
        """Codes, widths of the secants, and what the decoder makes of the codes."""
        parts = []
        for start in range(0, len(batch), self.at_once):
            model, x = conditioned(vae, batch[start : start + self.at_once] if self.at_once < len(batch) else batch)
            z, width = self._codes(model, x)
            parts.append((z, width, model.decoder(z)))
        z, width, theta = (torch.cat(column) if len(parts) > 1 else column[0] for column in zip(*parts, strict=True))
        return z, width, theta

    @torch.no_grad()
    def _some(
        self,
        vae: LatentVariableModel,
        x: Tensor,
        z: Tensor,
        width: Tensor,
        theta: Tensor,
        draws: list[Tensor],
        *,
        repeats: bool,
    ) -> Rows:
        at = _observation(vae, theta)
        whiten = at.std if isinstance(at, DiagGaussian) else self.whiten
        drawn = [_score(vae, theta, one) for one in draws]
        scores = [one * whiten for one in (_score(vae, theta, _numbers(x)), *drawn)]
        parts = scores[:1] if self.noise is Noise.KNOWN else scores
        if not len(self.tangents):
            return Rows(parts[0], tuple(parts[1:]), 0.0)
        moved = drawn[0][:, None] - self._moved(vae, z, width, draws[0], repeats)
        off, rank = _off(torch.stack(parts, 1), moved * (whiten[:, None] if whiten.dim() > 1 else whiten))
        return Rows(off[:, 0], off[:, 1:].unbind(1), rank / len(x))

    def _moved(
        self, vae: LatentVariableModel, z: Tensor, width: Tensor, points: Tensor, repeats: bool
    ) -> Float[Tensor, "B A F"]:
        """The scores of the same points with each dimension in use moved by its noise, up and down in turn."""
        count = len(self.tangents)
        steps = torch.zeros(count, z.shape[-1], dtype=z.dtype, device=z.device)
        place = torch.arange(count, device=z.device)
        steps[place, self.tangents] = (1.0 - 2.0 * (place % 2)).to(steps)
        if not repeats:  # a decoder with conditions takes the rows of its examples, no more and no fewer
            return torch.stack([_score(vae, vae.decoder(z + width * step), points) for step in steps], 1)
        rows = (z[:, None] + width[:, None] * steps).flatten(0, 1)
        return _score(vae, vae.decoder(rows), points.repeat_interleave(count, 0)).view(len(z), count, -1)

    def _codes(self, vae: LatentVariableModel, x: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior means, at rest where a dimension is not in use, and the widths of the secants, [B, D]."""
        q = vae.equalization.sampled(vae.encode(x)).marginals()
        return torch.where(self.carried, q.mu, self.resting.to(q.mu.dtype)), q.std.clamp(min=_NARROWEST)

    @torch.no_grad()
    def _draws(self, vae: LatentVariableModel, theta: Tensor) -> list[Tensor] | None:
        # what a Gaussian produces is known; one draw is where its tangents are looked at
        at = _observation(vae, theta)
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


def _score(vae: LatentVariableModel, theta: Tensor, points: Tensor) -> Float[Tensor, "B F"]:
    """The gradient of log p(points|theta) by the location of each feature."""
    with torch.enable_grad():
        leaf = theta.detach().requires_grad_()
        gradient: Tensor = torch.autograd.grad(_observation(vae, leaf).log_prob(points).sum(), leaf)[0]
    # a foreign theta has the shape of x
    shifts = vae.likelihood.by_feature(gradient) if isinstance(vae.likelihood, Likelihood) else gradient
    return torch.flatten(shifts, 1)


def _observed_information(vae: LatentVariableModel, theta: Tensor, x: Tensor, expected: Tensor) -> Float[Tensor, " F"]:
    """What the scores of the data themselves lose as the location moves towards them; `expected` where that is nothing.

    For a Bernoulli or a count the two are the same. A Laplace's score is a sign, whatever its scale: how far the scale
    is from the data's shows in how many of them a small step turns.
    """
    step = 0.25 * float((x - x.mean(0)).abs().median().clamp(min=1e-6))
    before, after = (_score(vae, theta + shift, x).double() for shift in (-step, step))
    observed_information = (before - after).mean(0) / (2.0 * step)
    return torch.where(observed_information > 0.0, observed_information, expected)


def _off(rows: Float[Tensor, "B R F"], moved: Float[Tensor, "B A F"]) -> tuple[Float[Tensor, "B R F"], float]:
    """Each row less its part in the span of its example's tangents, and the sum of their ranks."""
    wide, rows_wide = moved.double(), rows.double()
    products = wide @ wide.mT
    size = products.diagonal(dim1=-2, dim2=-1).amax(-1).clamp(min=1e-30)
    ridge = torch.diag_embed((1e-6 * size)[:, None].expand(products.shape[:2]))
    inverse: Tensor = torch.linalg.inv(products + ridge)
    weights = (rows_wide @ wide.mT) @ inverse
    return (rows_wide - weights @ wide).to(rows.dtype), float((inverse * products).sum())
