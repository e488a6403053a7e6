"""What one example has beyond its code: whitened scores at the posterior mean, off the decoder's tangent space."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from lambda_vae.diagnostics.chance import observed
from lambda_vae.diagnostics.measurable import Measurable
from lambda_vae.distributions import DiagGaussian
from lambda_vae.distributions.likelihood import Likelihood, Observation

__all__ = ["ResidualScores", "Rows"]

#: Added to every feature's information before whitening, as a share of the mean: a feature that hardly ever varies
#: would #: otherwise count as much as the others, and its rare events drown what the rest share.
_RIDGE = 0.1

#: Numbers that the tangents of a few examples may take at once.
_NUMBERS = 2**24

#: The tangents are secants over the posterior's own width, but no narrower than float32 can tell apart.
_NARROWEST = 0.05


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
        vae: The model; its likelihood is known.
        carried: Which dimensions are in use, [D]; the others rest, so that their noise is not taken for signal.
        resting: Where they rest: E_x[mu], [D].
        exponent: lambda; None for the plain VAE.
        generator: The source of chance.
        replicates: Draws from the model.
        project: Whether to project off what the dimensions in use carry.
    """

    def __init__(
        self,
        vae: Measurable,
        carried: Bool[Tensor, " D"],
        resting: Float[Tensor, " D"],
        exponent: Float[Tensor, " D"] | None,
        generator: torch.Generator | None,
        *,
        replicates: int,
        project: bool,
    ) -> None:
        self.vae, self.carried, self.resting, self.exponent = vae, carried, resting, exponent
        self.generator, self.replicates = generator, replicates
        self.tangents = carried.nonzero().flatten().tolist() if project else []
        self._whiten: Tensor | None = None
        self.noise_std: float | None = None

    @torch.no_grad()
    def rows(self, x: Shaped[Tensor, "B ..."]) -> Rows | None:
        """Return the scores of a batch; None where the likelihood cannot be drawn from.

        Args:
            x: The data.
        """
        q = self.vae.sampled(self.vae.encode(x), self.exponent).marginals()
        z = torch.where(self.carried, q.mu, self.resting.to(q.mu.dtype))
        at, flat = self._observation(self.vae.decoder(z)), x.reshape(len(x), -1)
        flat = flat if flat.is_floating_point() else flat.float()  # classes and counts
        known = isinstance(at, DiagGaussian)
        draws = [observed(at, self.generator) for _ in range(1 if known else self.replicates)]
        points = [draw for draw in draws if draw is not None]
        if len(points) < len(draws):
            return None
        scores = [self._score(z, one) for one in (flat, *([] if known else points))]
        whiten = self._whitening(at, scores[1:])
        scores = [one * whiten for one in scores]
        if not self.tangents:
            return Rows(scores[0], tuple(scores[1:]), 0.0)
        width = q.std.clamp(min=_NARROWEST)
        few = max(1, _NUMBERS // (len(self.tangents) * scores[0].shape[1]))
        off, used = [], 0.0
        for part in torch.split(torch.arange(len(x), device=z.device), few):
            moved = torch.stack([self._moved(z[part], width[part], points[0][part], i) for i in self.tangents], 1)
            project, rank = _projection(moved * whiten)
            off.append([one[part] - project(one[part]) for one in scores])
            used += rank
        joined = [torch.cat(parts) for parts in zip(*off, strict=True)]
        return Rows(joined[0], tuple(joined[1:]), used / len(x))

    def _observation(self, theta: Tensor) -> Observation:
        assert self.vae.likelihood is not None
        return self.vae.likelihood(theta)

    def _score(self, z: Tensor, points: Tensor) -> Tensor:
        """The gradient of log p(points|z) by the location of each feature, [B, F]."""
        theta = self.vae.decoder(z)
        with torch.enable_grad():
            leaf = theta.detach().requires_grad_()
            gradient: Tensor = torch.autograd.grad(self._observation(leaf).log_prob(points).sum(), leaf)[0]
        ours = self.vae.likelihood if isinstance(self.vae.likelihood, Likelihood) else None
        shifts = gradient if ours is None else ours.by_feature(gradient)  # a foreign theta has x's shape
        return torch.flatten(shifts, 1)

    def _moved(self, z: Tensor, width: Tensor, points: Tensor, i: int) -> Tensor:
        """How the scores change with dimension i, [B, F]."""
        step = torch.zeros_like(z)
        step[:, i] = width[:, i]
        return self._score(z - step, points) - self._score(z + step, points)

    def _whitening(self, at: Observation, chance: list[Tensor]) -> Tensor:
        """One over the root of every feature's information: exact for a Gaussian, else that of the first batch."""
        if isinstance(at, DiagGaussian):
            std = at.std.double().flatten()
            shared = bool((std - std.mean()).abs().max() < 1e-3 * std.mean())
            self.noise_std = float(std.mean()) if shared else None
            return at.std
        if self._whiten is None:
            information = torch.stack([one.double().square().mean(0) for one in chance]).mean(0)
            self._whiten = (information + _RIDGE * information.mean()).rsqrt().to(chance[0].dtype)
        return self._whiten


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
