"""From readings and histories to what a verdict looks at."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lambda_vae.diagnostics.dimension import DimensionState
from lambda_vae.diagnostics.report import DimensionReadings
from lambda_vae.equalization.theory import gradient_amplification, sampling_std
from lambda_vae.errors import InputError

__all__ = ["history_states", "states_of", "strongest_sites"]

_NEEDED = ("std_mean", "signal_power", "gradient_ratio", "decoder_capacity")


def states_of(
    readings: DimensionReadings,
    mean: Float[Tensor, " D"],
    kl_weight: float = 1.0,
    *,
    differentiated: bool = True,
) -> list[DimensionState]:
    """Return the state of every dimension of a measured model.

    Args:
        readings: Of the model.
        mean: E_x[mu].
        kl_weight: What the training objective multiplied the KL term by.
        differentiated: Whether the likelihood gave gradients.
    """
    columns = {
        "signal_power": readings.signal_power.value,
        "sampling_std": readings.sampling_std.value,
        "ratio": readings.gradient_ratio.ratio.value,
        "decoder_capacity": readings.decoder_capacity.value,
        "mean": mean,
        "gradient": readings.reconstruction_gradient.value,
        "gradient_stderr": readings.reconstruction_gradient.stderr,
        "ratio_stderr": readings.gradient_ratio.ratio.stderr,
        "kl": readings.kl.value,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    shared: dict[str, Any] = {"kl_weight": kl_weight, "differentiated": differentiated}
    return [DimensionState(**dict(zip(columns, row, strict=True)), **shared) for row in rows]


def strongest_sites(
    typical: Sequence[DimensionState], each: Sequence[DimensionState], threshold: float
) -> list[DimensionState]:
    """Return the state of every dimension; that of its strongest site where few of its sites carry anything."""
    sites, states = len(each) // len(typical), []
    for i, state in enumerate(typical):
        own = each[i * sites : (i + 1) * sites]
        active = sum(site.signal_power > threshold for site in own)
        if 0 < active <= sites // 2:
            strongest = max(own, key=lambda site: site.signal_power)
            state = replace(strongest, kl=state.kl, sites=sites, sites_in_use=active)
        states.append(state)
    return states


def history_states(history: Mapping[str, Any] | None, latent_dim: int) -> list[list[DimensionState]] | None:
    """Return for each dimension its states over the epochs, oldest first; None where the history does not hold them.

    Raises:
        InputError: The history belongs to another number of dimensions.
    """
    columns = (history or {}).get("dimensions") or {}
    if any(not columns.get(name) for name in _NEEDED):
        return None
    width = len(columns["std_mean"][0])
    if width != latent_dim:
        raise InputError(
            f"the history has {width} dimensions and the model {latent_dim}; give the history of this model"
        )
    epochs = (history or {}).get("epochs") or list(range(1, len(columns["std_mean"]) + 1))
    weights = (history or {}).get("kl_weight") or [1.0] * len(epochs)
    # The weight is the one an epoch ended with; while it rises, the one it began with is the fair lower estimate.
    weights = [min(_number(before), _number(now)) for before, now in zip([weights[0], *weights], weights, strict=False)]
    moments = list(zip(epochs, weights, strict=True))
    return [
        [_past_state(columns, row, i, int(epoch), weight) for row, (epoch, weight) in enumerate(moments)]
        for i in range(latent_dim)
    ]


def _past_state(
    columns: Mapping[str, Sequence[Sequence[Any]]], row: int, i: int, epoch: int, kl_weight: float
) -> DimensionState:
    std, signal, ratio, capacity = (_number(columns[name][row][i]) for name in _NEEDED)
    recorded = [columns.get(name) for name in ("sampling_std", "reconstruction_gradient")]
    if all(recorded):
        noise, gradient = (_number(column[row][i]) for column in recorded if column)
    else:
        noise, gradient = _solved(std, ratio, columns.get("exponent"), row, i)
    return DimensionState(signal, noise, ratio, capacity, gradient=gradient, kl_weight=kl_weight, epoch=epoch)


def _solved(
    std: float, ratio: float, exponents: Sequence[Sequence[Any]] | None, row: int, i: int
) -> tuple[float, float]:
    """Sampling noise and reconstruction gradient of an epoch whose history holds neither."""
    exponent = _number(exponents[row][i]) if exponents else 1.0
    if not (std > 0.0 and exponent >= 1.0):
        return float("nan"), float("nan")
    # rho solved for g, whose sign it has lost; a decoder that liked noise would be a rare one
    gradient = -ratio * abs(1.0 / std - std) / gradient_amplification(std, exponent)
    return sampling_std(std, exponent), gradient


def _number(value: Any) -> float:  # noqa: ANN401 - any JSON number or null
    return float("nan") if value is None else float(value)
