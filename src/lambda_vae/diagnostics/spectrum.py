r"""The eigenvalues of data or residuals, and which of them stand out from their own noise.

Noise of variance v in F features shows n examples eigenvalues of up to v (1 + sqrt(F/n))^2 (Marchenko and Pastur), and
adds to the eigenvalue l of a real direction: in units of v the sample shows l (1 + (F/n) / (l - 1)) (Baik and
Silverstein); one with l <= 1 + sqrt(F/n) cannot be seen at all. Both are taken back here, and v itself is the mean
of what is left when the directions above the edge are taken away.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.diagnostics.covariance import StreamedCovariance
from lambda_vae.errors import InputError

__all__ = ["NoiseFit", "StreamedSpectrum", "debiased", "fit_noise"]

#: Up to so many features their covariance is kept, of any number of examples; beyond, the examples themselves.
_COVARIANCE_FEATURES = 2048

#: Numbers of the examples that are kept, at the most: 256 MiB.
_KEPT_NUMBERS = 2**26

#: Share of the largest eigenvalue: numbers that were float32 once leave 1e-14 behind, whatever they are now.
_ROUNDING = 1e-12

#: Multiplications that the examples' products may take.
_PRODUCTS = 10**11


class StreamedSpectrum:
    """The eigenvalues of the covariance of [B, F] batches; memory does not grow with the number of examples.

    Args:
        features: F.
        device: Of the batches.
        covariance_features: Up to so many their covariance is kept; None for 2,048.
    """

    def __init__(
        self, features: int, device: torch.device | None = None, covariance_features: int | None = None
    ) -> None:
        self.features = features
        most = _COVARIANCE_FEATURES if covariance_features is None else covariance_features
        self._covariance = StreamedCovariance(features, device) if features <= most else None
        self._rows: list[Tensor] = []
        self._rounding = 0.0

    @property
    def most_examples(self) -> float:
        """How many examples it can hold; infinite where only the covariance is kept."""
        if self._covariance is not None:
            return math.inf
        return min(_KEPT_NUMBERS // self.features, math.isqrt(_PRODUCTS // self.features))

    @property
    def examples(self) -> int:
        """How many were added."""
        return self._covariance.count if self._covariance is not None else sum(map(len, self._rows))

    def add(self, rows: Float[Tensor, "B F"]) -> None:
        """Take in a batch.

        Raises:
            InputError: More examples than `most_examples`.
        """
        kept = rows if self._covariance is not None else rows.float()
        self._rounding = max(self._rounding, torch.finfo(kept.dtype).eps)
        if self._covariance is not None:
            return self._covariance.add(rows)
        if self.examples + len(rows) > self.most_examples:
            raise InputError(f"more than {self.most_examples} examples of {self.features} features")
        self._rows.append(kept)
        return None

    def mean(self) -> Float[Tensor, " F"]:
        """Return the mean of each feature."""
        if self._covariance is not None:
            return self._covariance.total / self._covariance.count
        return torch.cat(self._rows).mean(0, dtype=torch.float64)

    def diagonal(self) -> Float[Tensor, " F"]:
        """Return the variance of each feature."""
        if self._covariance is not None:
            return self._covariance.value.diagonal().clamp(min=0.0)
        return torch.cat(self._rows).var(0, correction=0).double()

    def eigenvalues(
        self, scale: Float[Tensor, " F"] | None = None, diagonal: Float[Tensor, " F"] | None = None
    ) -> Float[Tensor, " m"]:
        """Return the eigenvalues, from the largest to the smallest, min(F, n) of them, float64; NaN if not finite.

        What cannot be told from rounding, of the numbers themselves or of products in the rows' own precision, is 0.

        Args:
            scale: Variances that the features are divided by first.
            diagonal: Variances in place of the features' own, where their covariance is kept.

        Raises:
            InputError: A diagonal was given, and the covariance is not kept.
        """
        if diagonal is not None and self._covariance is None:
            raise InputError(f"there are {self.features} features, too many to keep their covariance")
        if self._covariance is not None:
            matrix = self._covariance.value
            matrix = matrix if diagonal is None else matrix.diagonal_scatter(diagonal)
            root = None if scale is None else scale.rsqrt()
            matrix = matrix if root is None else root[:, None] * matrix * root
        else:
            rows = torch.cat(self._rows)
            rows = (rows - rows.mean(0)) * (1.0 if scale is None else scale.rsqrt().to(rows.dtype))
            few = len(rows) <= self.features
            matrix = ((rows @ rows.T if few else rows.T @ rows) / len(rows)).double()
        if not bool(torch.isfinite(matrix).all()):
            return torch.full((len(matrix),), math.nan, dtype=torch.float64)
        values: Tensor = torch.linalg.eigvalsh(matrix).flip(0)
        mean = self.mean() if scale is None else self.mean() * scale.rsqrt()
        constant = (8.0 * self._rounding) ** 2 * float(mean.square().sum())
        return values.where(values > max(max(4.0 * self._rounding, _ROUNDING) * float(values[0]), constant), 0.0)


@dataclass(frozen=True)
class NoiseFit:
    """What is noise among eigenvalues.

    Args:
        noise_var: v.
        directions: How many eigenvalues stand above the edge.
        edge: What noise alone would show at most.
    """

    noise_var: float
    directions: int
    edge: float


def fit_noise(
    eigenvalues: Float[Tensor, " m"], features: float, examples: int, *, most: int | None = None, margin: float = 1.0
) -> NoiseFit:
    """Return the noise that fits, and how many directions stand out from it.

    Args:
        eigenvalues: From the largest to the smallest; those beyond min(F, n) are zero and may be missing.
        features: F; fewer where a part of them was projected off.
        examples: n.
        most: Directions that may be taken away; None for as many as stand out.
        margin: What the edge is multiplied by.

    Source:
        Marchenko and Pastur 1967; the noise is probabilistic PCA's (Tipping and Bishop 1999, Eq. 8) with as many
        directions as stand out; one at a time as in Dobriban and Owen 2019, "Deterministic parallel analysis".
    """
    values = eigenvalues.double().cpu()
    limit, found = min(len(values), int(features) - 1 if most is None else most), 0
    left = [*values.flip(0).cumsum(0).flip(0).tolist(), 0.0]
    while True:
        # n examples have no more than n - 1 directions, and each one taken away is a degree of freedom less
        noise = left[found] / max(features - found, 1.0)
        noise *= examples / max(examples - 1 - found, 1)
        edge = margin * noise * (1.0 + math.sqrt(features / examples)) ** 2
        if found >= limit or not float(values[found]) > edge:
            return NoiseFit(noise, found, edge)
        found += 1


def debiased(eigenvalues: Float[Tensor, " r"], noise_var: float, features: float, examples: int) -> Float[Tensor, " r"]:
    """Return the variances of real directions whose sample eigenvalues these are.

    Source:
        Baik and Silverstein 2006, Eq. 1.10, solved for the population's eigenvalue.
    """
    if noise_var <= 0.0:
        return eigenvalues
    gamma = features / examples
    shown = eigenvalues.double() / noise_var
    inner = ((shown + 1.0 - gamma).square() - 4.0 * shown).clamp(min=0.0)
    return 0.5 * noise_var * (shown + 1.0 - gamma + inner.sqrt())
