"""What a delta implies, before anything is trained."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.table import Table

from lambda_vae.equalization import (
    critical_std,
    joint_fixed_point,
    optimal_exponent,
    predicted_capacity,
    predicted_sampling_std,
)
from lambda_vae.errors import InputError
from lambda_vae.files import replacing
from lambda_vae.reports.figures import theory_figure

__all__ = ["draw_theory", "theory_table"]

_STDS = (0.2, 0.4, 0.6, 0.8, 0.95)


def theory_table(deltas: Sequence[float], latent_dim: int, max_exponent: float) -> Table:
    """Return a table for the terminal: sigma_c, capacity, fixed point, lambda at some sigmas, one row a delta.

    Args:
        deltas: Values of delta.
        latent_dim: D, for the capacity.
        max_exponent: Largest lambda.

    Raises:
        InputError: A delta that is not greater than 1, or a latent_dim or max_exponent below 1.
    """
    table = Table(
        title=f"What δ implies for {latent_dim} latent dimensions",
        caption=(
            "σ_c: largest sampling noise (Eq. 17). Capacity: nats if every dimension carries unit signal (Eq. 7). "
            "Fixed point: where Eq. 13 and 16 hold together. λ(σ): the exponent of a dimension of that σ (Eq. 16)."
        ),
    )
    for heading in ("δ", "σ_c", "capacity", "fixed point σ", "λ", *(f"λ({std:g})" for std in _STDS)):
        table.add_column(heading, justify="right")
    for delta in deltas:
        point = joint_fixed_point(delta)
        exponents = [optimal_exponent(std, delta, max_exponent) for std in _STDS]
        values = [critical_std(delta), predicted_capacity(latent_dim, delta), point.std, point.exponent, *exponents]
        table.add_row(f"{delta:g}", f"{values[0]:.4f}", f"{values[1]:.1f}", *(f"{value:.2f}" for value in values[2:]))
    return table


def draw_theory(deltas: Sequence[float], max_exponent: float, out: Path) -> None:
    """Draw lambda, the sampling noise and the capacity of one dimension with unit signal, against sigma.

    Args:
        deltas: Values of delta.
        max_exponent: Largest lambda.
        out: .svg, .pdf or .png.

    Raises:
        InputError: Another ending.
    """
    if out.suffix not in (".svg", ".pdf", ".png"):
        raise InputError(f"{out} ends in {out.suffix!r}; use .svg, .pdf or .png")
    std = np.linspace(0.01, 0.999, 400)
    stds = torch.from_numpy(std)
    exponent = [optimal_exponent(stds, delta, max_exponent) for delta in deltas]
    noise = [predicted_sampling_std(stds, delta, max_exponent) for delta in deltas]
    capacity = [0.5 * torch.log1p(noise_std**-2) for noise_std in noise]
    curves = (torch.stack(values).numpy() for values in (exponent, noise, capacity))
    with replacing(out) as temporary:
        theory_figure(std, deltas, *curves).savefig(temporary)
