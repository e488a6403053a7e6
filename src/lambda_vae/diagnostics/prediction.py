r"""How many latent dimensions can survive a loss, from the eigenvalues of the data alone.

A linear VAE whose decoder has Gaussian noise of variance s^2, trained with a KL weight beta, encodes a direction of the
data in its optimum exactly if the direction's variance e exceeds beta s^2; every other dimension collapses. Of those
that collapse, e <= s^2 is lost to the decoder's noise, for no KL weight from 1 on would bring it back, and
s^2 < e <= beta s^2 to the KL weight; a direction that does not stand out from the data's own noise is no signal.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from lambda_vae.diagnostics.spectrum import NoiseFit
from lambda_vae.errors import InputError

__all__ = ["ROUNDING", "Prediction", "ShareOfNoise", "learned_noise_var", "noise_var_that_fits"]

#: Eigenvalues below this share of the largest are rounding.
ROUNDING = 1e-12

_NOISE_OF = {"gaussian": "the decoder's noise", "bernoulli": "the noise of a Bernoulli itself"}

_CAVEATS = {
    "gaussian": (
        "Exact for a linear VAE at its optimum. Of nonlinear networks it says whether training can leave the collapsed "
        "state; beyond that one dimension may carry several directions, and a code of separate clusters may pay at "
        "more noise, once it is found at less."
    ),
    "bernoulli": (
        "Exact for whether training can leave the collapsed state; how many survive away from it is an estimate."
    ),
}


def noise_var_that_fits(eigenvalues: Float[Tensor, " m"], features: int, directions: int) -> float:
    """Return the variance of the decoder's noise under which the data are likeliest, 0 if nothing is left over.

    Source:
        Tipping and Bishop 1999, Eq. 8: the mean of the F - K smallest eigenvalues.
    """
    return float(eigenvalues[directions:].sum()) / (features - directions) if directions < features else 0.0


def learned_noise_var(
    eigenvalues: Float[Tensor, " m"], features: int, latent_dim: int, kl_weight: float = 1.0
) -> float:
    r"""Return the noise variance that a linear VAE comes to when it is learned together with all else.

    With k dimensions in use the loss is least at

    .. math:: s_k^2 = \sum_{i>k} e_i / (F - \beta k),

    the mean of what is left out for beta = 1; of all k whose directions then survive, the one with the least loss wins.

    Args:
        eigenvalues: Of the data's covariance, from the largest to the smallest.
        features: F.
        latent_dim: D.
        kl_weight: beta.

    Returns:
        The variance; 0 where the loss falls without end, as with a dimension for each direction and features to spare.

    Source:
        Lucas et al. 2019, arXiv:1911.02469, section 4.2, for beta = 1; any other beta is ours.
    """
    values = [float(value) for value in eigenvalues]
    best, least = 0.0, math.inf
    for used in range(min(latent_dim, len(values)) + 1):
        freedom, left = features - kl_weight * used, sum(values[used:])
        if freedom <= 0.0:
            break
        noise = left / freedom
        if noise <= ROUNDING * values[0]:
            return 0.0
        threshold = kl_weight * noise
        kept = used == 0 or values[used - 1] > threshold
        if not kept or (used < latent_dim and used < len(values) and values[used] > threshold):
            continue
        nats = 0.5 * features * math.log(noise) + 0.5 * left / noise
        nats += 0.5 * kl_weight * sum(1.0 + math.log(value / threshold) for value in values[:used])
        if nats < least:
            best, least = noise, nats
    return best


@dataclass(frozen=True)
class ShareOfNoise:
    """What it takes for so many dimensions to survive.

    Args:
        survivors: How many.
        noise_std: They do below this one, at the KL weight that was given; None under a Bernoulli likelihood.
        kl_weight: They do below this one, with all else as given; in the loss's own terms.
        variance: Share of the data's variance that their directions hold.
    """

    survivors: int
    noise_std: float | None
    kl_weight: float
    variance: float


@dataclass(frozen=True, eq=False)
class Prediction:
    """How many latent dimensions can survive a loss on some data, and what it would take for more; `print` shows it.

    Args:
        eigenvalues: Of the data's covariance, from the largest to the smallest, [m]; under a Bernoulli likelihood that
            of the features divided by the roots of p (1 - p).
        features: F.
        examples: That the covariance was taken over.
        noise: The data's own: how many directions stand out from it.
        noise_var: s^2 of the decoder; 1 under a Bernoulli likelihood, whose features are in such units.
        kl_weight: beta.
        given_kl_weight: The weight in the loss's own terms; it differs for one that averages over features.
        latent_dim: D; None if it was not given.
        likelihood: gaussian or bernoulli.
        stands_for: What the loss is, in a sentence; empty where it is said already.
        notes: On the data.
        draw: What `plot` calls, (record, path) -> path; who makes a prediction for a user hands it in.

    Source:
        Lucas et al. 2019, arXiv:1911.02469; arXiv:2510.01621.
    """

    eigenvalues: Float[Tensor, " m"]
    features: int
    examples: int
    noise: NoiseFit
    noise_var: float
    kl_weight: float = 1.0
    given_kl_weight: float = 1.0
    latent_dim: int | None = None
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    stands_for: str = ""
    notes: tuple[str, ...] = ()
    draw: Callable[[Mapping[str, Any], Path], Path] | None = None

    @property
    def directions(self) -> int:
        """How many directions the data have at all, noise among them."""
        return int((self.eigenvalues > ROUNDING * self.eigenvalues[0]).sum())

    @property
    def dimensions(self) -> int:
        """Latent dimensions; as many as the data have directions if none was given."""
        return self.directions if self.latent_dim is None else self.latent_dim

    @property
    def threshold(self) -> float:
        """The variance that a direction must exceed, beta s^2."""
        return self.kl_weight * self.noise_var

    @property
    def noise_std(self) -> float:
        """Of the decoder: s."""
        return math.sqrt(self.noise_var)

    @property
    def survivors(self) -> int:
        """Latent dimensions that survive."""
        return self.survivors_at(self.noise_std)

    @property
    def noise_std_that_fits(self) -> float:
        """Under which the data are likeliest; with the latent dimensions given, else the directions that stand out."""
        held = self.noise.directions if self.latent_dim is None else self.latent_dim
        return math.sqrt(noise_var_that_fits(self.eigenvalues, self.features, held))

    @property
    def counts(self) -> dict[str, int]:
        """Latent dimensions by what becomes of them."""
        seen = self.eigenvalues[: min(self.dimensions, self.noise.directions)]
        lost = seen[seen <= self.threshold]
        by_weight = int((lost > self.noise_var).sum())
        by_noise = len(lost) - by_weight
        return {
            "survive": self.survivors,
            "KL weight": by_weight,
            "decoder noise": by_noise,
            "no signal": self.dimensions - self.survivors - by_weight - by_noise,
        }

    @property
    def encode_noise(self) -> int:
        """Survivors whose directions do not stand out from the data's own noise."""
        return max(self.survivors - self.noise.directions, 0)

    def survivors_at(self, noise_std: float, kl_weight: float | None = None) -> int:
        """Return how many would survive.

        Args:
            noise_std: Of the decoder.
            kl_weight: beta; that of the loss if None.
        """
        weight = self.kl_weight if kl_weight is None else kl_weight
        least = max(weight * noise_std**2, ROUNDING * float(self.eigenvalues[0]))
        return min(int((self.eigenvalues > least).sum()), self.dimensions)

    def noise_std_for(self, survivors: int) -> float:
        """Return the noise below which so many survive, at the loss's KL weight.

        Args:
            survivors: From 1 to the latent dimensions that the data have directions for.

        Raises:
            InputError: Another number.
        """
        most = min(self.dimensions, self.directions)
        if not 1 <= survivors <= most:
            raise InputError(f"{survivors} dimensions cannot survive; give 1 to {most}")
        return math.sqrt(float(self.eigenvalues[survivors - 1]) / self.kl_weight)

    @property
    def by_noise(self) -> list[ShareOfNoise]:
        """What it takes for 1, 2, 5, 10, ... and all latent dimensions to survive."""
        most = min(self.dimensions, self.directions)
        steps = {step * 10**power for power in range(6) for step in (1, 2, 5)}
        scale, total = self.threshold / self.given_kl_weight, float(self.eigenvalues.sum())
        return [
            ShareOfNoise(
                count,
                self.noise_std_for(count) if self.likelihood == "gaussian" else None,
                float(self.eigenvalues[count - 1]) / scale,
                float(self.eigenvalues[:count].sum()) / total,
            )
            for count in sorted({step for step in steps if step < most} | {most})
        ]

    @property
    def verdict(self) -> str:
        """The outcome in one sentence."""
        above, count = int((self.eigenvalues > self.threshold).sum()), self.survivors
        kept = f"{count} of {self.latent_dim} latent dimensions"
        if self.latent_dim is None:
            kept = f"{count or 'no'} direction{'' if count == 1 else 's'} of the data"
        have = f"{above} of the data's {self.directions} {'has' if above == 1 else 'have'} more"
        if above == 0:
            have = f"the largest of the data is {float(self.eigenvalues[0]):.4g}"
        if self.likelihood == "bernoulli":
            start = f"Training can make {kept} leave the collapsed state: a direction needs an eigenvalue"
        else:
            start = f"A linear VAE keeps {kept}: with noise std {self.noise_std:.4g} and KL weight {self.kl_weight:.4g}"
            start += " a direction needs a variance"
        return f"{start} above {self.threshold:.4g}, and {have}."

    @property
    def sentences(self) -> list[str]:
        """Everything that is to be said, the verdict first."""
        said = (self.stands_for, self._why, self._remedy, self._overfitting)
        return [self.verdict, *filter(None, said), *self.notes, _CAVEATS[self.likelihood]]

    @property
    def _ladder(self) -> str:
        rows = [
            (row.survivors, row.kl_weight if row.noise_std is None else row.noise_std)
            for row in self.by_noise
            if row.survivors <= max(self.noise.directions, 1)
        ]
        what = "KL weight" if self.likelihood == "bernoulli" else "noise std"
        return f"Survivors by the {what} they need: {', '.join(f'{n} below {value:.3g}' for n, value in rows)}."

    @property
    def _why(self) -> str:
        if self.latent_dim is None or self.survivors >= self.latent_dim:
            return ""
        texts = {
            "decoder noise": "{} lost to " + _NOISE_OF[self.likelihood],
            "KL weight": "{} lost to the KL weight",
            "no signal": "{} with no direction left that stands out from the data's own noise",
        }
        said = [text.format(self.counts[name]) for name, text in texts.items() if self.counts[name]]
        return f"The rest: {', '.join(said)}."

    @property
    def _remedy(self) -> str:
        most = min(self.dimensions, self.noise.directions, self.directions)
        if self.latent_dim is None or self.survivors >= most:
            return ""
        weight = f"a KL weight below {self.by_kl_weight(most):.4g} of this loss"
        if self.likelihood == "bernoulli":
            return f"{most} would survive with {weight}."
        fits = f"; the noise that fits has std {self.noise_std_that_fits:.4g}" if self.noise_std_that_fits else ""
        return f"{most} would survive with a noise std below {self.noise_std_for(most):.4g}, or {weight}{fits}."

    def by_kl_weight(self, survivors: int) -> float:
        """Return the KL weight, in the loss's own terms, below which so many survive.

        Args:
            survivors: From 1 to the latent dimensions that the data have directions for.
        """
        return self.noise_std_for(survivors) ** 2 * self.kl_weight * self.given_kl_weight / self.threshold

    @property
    def _overfitting(self) -> str:
        if not self.encode_noise:
            return ""
        return (
            f"{self.encode_noise} of the survivors encode noise: only {self.noise.directions} directions stand out "
            f"from what noise of std {math.sqrt(self.noise.noise_var):.4g} shows in {self.examples} examples."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "survivors": self.survivors,
            "latent_dim": self.latent_dim,
            "likelihood": self.likelihood,
            "noise_std": self.noise_std if self.likelihood == "gaussian" else None,
            "kl_weight": self.kl_weight,
            "given_kl_weight": self.given_kl_weight,
            "threshold": self.threshold,
            "counts": self.counts,
            "encode_noise": self.encode_noise,
            "noise_std_that_fits": self.noise_std_that_fits if self.likelihood == "gaussian" else None,
            "standing_out": self.noise.directions,
            "noise_edge": self.noise.edge,
            "features": self.features,
            "examples": self.examples,
            "by_noise": [vars(share) for share in self.by_noise],
            "sentences": self.sentences,
            "eigenvalues": self.eigenvalues.tolist(),
        }

    def plot(self, path: Path | str) -> Path:
        """Draw survivors against noise, and the data's eigenvalues with what becomes of them; return the path.

        Args:
            path: .svg, .pdf or .png.

        Raises:
            InputError: Another ending; or nothing that draws was handed in.
        """
        if self.draw is None:
            raise InputError("this prediction was made without a plot; lambda_vae.predict makes them with one")
        return self.draw(self.to_dict(), Path(path))

    def __str__(self) -> str:
        first, *others = self.sentences
        return "\n".join((first, self._ladder, *others))
