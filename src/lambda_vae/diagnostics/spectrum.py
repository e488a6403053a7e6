r"""The eigenvalues of data or residuals, and which of them stand out from their own noise.

Noise of variance v in F features shows n examples eigenvalues of up to v (1 + sqrt(F/n))^2 (Marchenko and Pastur), and
adds to the eigenvalue l of a real direction: in units of v the sample shows l (1 + (F/n) / (l - 1)) (Baik and
Silverstein); one with l <= 1 + sqrt(F/n) cannot be seen at all. Both are taken back here, and v itself is the mean
of what is left when the directions above the edge are taken away.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.diagnostics.covariance import StreamedCovariance
from lambda_vae.errors import InputError
from lambda_vae.estimation.shares import Shares

__all__ = ["NoiseFit", "StreamedSpectrum", "debiased", "fit_noise", "most_rows", "most_searched"]

#: Up to so many features their covariance is kept, of any number of examples; beyond, the examples themselves.
_COVARIANCE_FEATURES = 2048

#: Numbers of the examples that are kept, at the most: 256 MiB.
_KEPT_NUMBERS = 2**26

#: Numbers of them whose products are taken at once.
_COLUMNS = 2**22

#: Of a smaller matrix all eigenvalues are there in no time.
_FEW = 200

#: Share of the largest eigenvalue: numbers that were float32 once leave 1e-14 behind, whatever they are now.
_ROUNDING = 1e-12

#: Multiplications that the examples' products may take.
_PRODUCTS = 10**11


def most_rows(features: int, memory: float | None = None, spectra: int = 1) -> float:
    """Return how many examples' rows may be kept.

    Args:
        features: Of each.
        memory: Bytes for all of them; None for 256 MiB each.
        spectra: That there are.
    """
    numbers = _KEPT_NUMBERS if memory is None else memory / (4.0 * spectra)
    return min(numbers // features, math.isqrt(_PRODUCTS // features))


def most_searched(features: int, memory: float | None = None, spectra: int = 1) -> float:
    """Return how many examples may be looked at; infinite where their covariances can be kept.

    Args:
        features: Of each.
        memory: Bytes for all spectra.
        spectra: That there are.
    """
    covariances = features <= _COVARIANCE_FEATURES and (memory is None or 16.0 * spectra * features**2 <= memory)
    return math.inf if covariances else min(most_rows(features, memory, spectra), features - 1)


def covariance_kept(features: int, expected: float, covariance_features: int | None = None) -> bool:
    """Return whether the covariance is kept of so many examples, and not their rows."""
    most = _COVARIANCE_FEATURES if covariance_features is None else covariance_features
    return features <= most and expected >= features


class StreamedSpectrum:
    """The eigenvalues of the covariance of [B, F] batches; memory does not grow with the number of examples.

    Args:
        features: F.
        device: Of the batches.
        covariance_features: Up to so many their covariance is kept; None for 2,048.
        expected: Examples at the most, where that is known: of fewer than features the rows are kept.
    """

    def __init__(
        self,
        features: int,
        device: torch.device | None = None,
        covariance_features: int | None = None,
        expected: float = math.inf,
    ) -> None:
        self.features = features
        kept = covariance_kept(features, expected, covariance_features)
        self._covariance = StreamedCovariance(features, device) if kept else None
        self._rows: list[Tensor] = []
        self._held, self._rounding = 0, 0.0

    @property
    def most_examples(self) -> float:
        """How many examples it can hold; infinite where only the covariance is kept."""
        return math.inf if self._covariance is not None else most_rows(self.features)

    @property
    def examples(self) -> int:
        """How many were added."""
        return self._covariance.count if self._covariance is not None else self._held

    def add(self, rows: Float[Tensor, "B F"]) -> None:
        """Take in a batch.

        Raises:
            InputError: More examples than `most_examples`.
        """
        kept = rows if self._covariance is not None else rows.float()
        self._rounding = max(self._rounding, torch.finfo(kept.dtype).eps)
        if self._covariance is not None:
            return self._covariance.add(rows)
        if self._held + len(rows) > self.most_examples:
            raise InputError(f"more than {self.most_examples} examples of {self.features} features")
        self._rows.append(kept)
        self._held += len(rows)
        return None

    def share(self, shares: Shares) -> None:
        """Take in what all other processes have added to theirs; rows are each process's own."""
        if self._covariance is not None and shares.size > 1:
            self._covariance.share(shares)

    def mean(self) -> Float[Tensor, " F"]:
        """Return the mean of each feature."""
        if self._covariance is not None:
            return self._covariance.total / self._covariance.count
        return torch.stack([rows.sum(0, dtype=torch.float64) for rows in self._rows]).sum(0) / self._held

    def diagonal(self) -> Float[Tensor, " F"]:
        """Return the variance of each feature."""
        if self._covariance is not None:
            return self._covariance.value.diagonal().clamp(min=0.0)
        mean = self.mean().to(self._rows[0].dtype)
        squares = [(rows - mean).square().sum(0, dtype=torch.float64) for rows in self._rows]
        return torch.stack(squares).sum(0) / self._held

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
        matrix = self._matrix(scale, diagonal)
        if not bool(torch.isfinite(matrix).all()):
            return torch.full((len(matrix),), math.nan, dtype=torch.float64)
        values: Tensor = torch.linalg.eigvalsh(matrix).flip(0)
        mean = self.mean() if scale is None else self.mean() * scale.rsqrt()
        constant = (8.0 * self._rounding) ** 2 * float(mean.square().sum())
        return values.where(values > max(max(4.0 * self._rounding, _ROUNDING) * float(values[0]), constant), 0.0)

    def largest(self) -> float:
        """Return the largest eigenvalue alone, to a thousandth of it, without the time of all; NaN if not finite."""
        matrix = self._matrix(None, None)
        if len(matrix) < _FEW:
            return float(self.eigenvalues()[0])
        if not bool(torch.isfinite(matrix).all()):
            return math.nan
        from scipy.sparse.linalg import eigsh  # takes longer to load than all else here

        found = eigsh(matrix.cpu().numpy(), k=1, tol=1e-3, v0=np.ones(len(matrix)), return_eigenvectors=False)
        return float(found[0])

    def _matrix(self, scale: Tensor | None, diagonal: Tensor | None) -> Float[Tensor, "m m"]:
        """The covariance, or of fewer examples than features their products, which have the same eigenvalues."""
        if self._covariance is not None:
            matrix = self._covariance.value
            matrix = matrix if diagonal is None else matrix.diagonal_scatter(diagonal)
            root = None if scale is None else scale.rsqrt()
            return matrix if root is None else root[:, None] * matrix * root
        few, mean = self._held <= self.features, self.mean()
        root = torch.ones_like(mean) if scale is None else scale.rsqrt()
        size = self._held if few else self.features
        matrix = torch.zeros(size, size, dtype=torch.float64, device=mean.device)
        width = max(1, _COLUMNS // self._held) if few else self.features
        for start in range(0, self.features, width):
            at = slice(start, start + width)
            rows = torch.cat([part[:, at] for part in self._rows])
            rows = (rows - mean[at].to(rows.dtype)) * root[at].to(rows.dtype)
            matrix += (rows @ rows.T if few else rows.T @ rows).double()
        return matrix / self._held


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
