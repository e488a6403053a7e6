"""What a training's history says about gradients, epoch by epoch and dimension by dimension."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from lambda_vae.diagnostics.activity import ACTIVE_THRESHOLD
from lambda_vae.equalization.theory import gradient_amplification, sampling_std
from lambda_vae.errors import InputError

__all__ = ["Tracks", "training_tracks"]

_NEEDED = ("std_mean", "std_spread", "signal_power", "gradient_ratio")


@dataclass(frozen=True, eq=False)
class Tracks:
    """The epochs after the first, whose random start says nothing; all but `kl_weight` are [E, D], NaN where unknown.

    Args:
        distance: 1 - sigma, how far the dimension is from collapse.
        pull: |g|, the reconstruction's pull without the amplification of Eq. 11; nats per unit of noise.
        ratio: rho over the weight of the KL, which is its value at an equilibrium; no unit.
        signal_power: S.
        noise: sigma_eff, the noise the decoder gets.
        exponent: lambda.
        kl_weight: [E].
    """

    distance: Float[np.ndarray, "E D"]
    pull: Float[np.ndarray, "E D"]
    ratio: Float[np.ndarray, "E D"]
    signal_power: Float[np.ndarray, "E D"]
    noise: Float[np.ndarray, "E D"]
    exponent: Float[np.ndarray, "E D"]
    kl_weight: Float[np.ndarray, " E"]

    @property
    def active(self) -> Bool[np.ndarray, "E D"]:
        """S > 0.01."""
        active: NDArray[np.bool_] = self.signal_power > ACTIVE_THRESHOLD
        return active

    @property
    def settled(self) -> Bool[np.ndarray, "E D"]:
        """Trained with the weight of the KL and the exponent that training ended with: one balance of forces."""
        weight = np.isclose(self.kl_weight, self.kl_weight[-1])[:, None]
        settled: NDArray[np.bool_] = weight & np.isclose(self.exponent, self.exponent[-1])
        return settled


def training_tracks(history: Mapping[str, Any]) -> Tracks:
    """Return the tracks of a training.

    A history that kept rho but not g is solved for |g|; its force E[1/sigma - sigma] then comes from mean and spread of
    sigma, to second order in the spread.

    Args:
        history: `history.json`; null stands for a number that was not finite.

    Raises:
        InputError: It lacks a series, or has fewer than two epochs.
    """
    columns = history.get("dimensions") or {}
    missing = [name for name in _NEEDED if not columns.get(name)]
    if missing:
        raise InputError(
            f"the history has no {missing[0]} of the dimensions; train again, every new history keeps them"
        )
    if len(columns["std_mean"]) < 2:
        raise InputError("the history has 1 epoch; gradients over training want at least 2")
    std, spread, signal, ratio = (_column(columns, name) for name in _NEEDED)
    exponent = _column(columns, "exponent") if columns.get("exponent") else np.ones_like(std)
    weight = _weights(history, len(std))
    pull = (
        np.abs(_column(columns, "reconstruction_gradient"))
        if columns.get("reconstruction_gradient")
        else ratio * np.abs(1 / std + spread**2 / std**3 - std) / _of_theory(gradient_amplification, std, exponent)
    )
    noise = _column(columns, "sampling_std") if columns.get("sampling_std") else _of_theory(sampling_std, std, exponent)
    with np.errstate(divide="ignore", invalid="ignore"):  # a KL without weight pulls at nothing
        per_weight = ratio / weight[:, None]
    return Tracks(*(series[1:] for series in (1 - std, pull, per_weight, signal, noise, exponent, weight)))


def _column(columns: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    return np.array(columns[name], dtype=np.float64)


def _weights(history: Mapping[str, Any], epochs: int) -> NDArray[np.float64]:
    """The mean of what the weight was at both ends of an epoch: what the epoch's mean ratio is compared with."""
    ends = np.array(history.get("kl_weight") or [1.0] * epochs, dtype=np.float64)
    return np.asarray((ends + np.concatenate((ends[:1], ends[:-1]))) / 2)


def _of_theory(formula: Any, std: NDArray[np.float64], exponent: NDArray[np.float64]) -> NDArray[np.float64]:  # noqa: ANN401
    result: NDArray[np.float64] = formula(torch.from_numpy(std), torch.from_numpy(exponent)).numpy()
    return result
