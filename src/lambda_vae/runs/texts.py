"""The sequences of a run as text: reconstructions, prior samples, traversals."""

from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from lambda_vae.data import Vocabulary
from lambda_vae.model import VAE
from lambda_vae.runs.image_arrays import shown, shown_codes

__all__ = ["run_texts"]

_SHOWN = 12


@torch.no_grad()
def run_texts(vae: VAE, x: Int64[Tensor, "N L"], vocabulary: Vocabulary, kl: list[float]) -> dict[str, Any]:
    """Return the content of `texts.json`: sequences that p(x|z) makes greedily at the codes of `run_images`, and drawn.

    Args:
        vae: The trained model.
        x: Test sequences.
        vocabulary: Of the tokens.
        kl: KL of each dimension in nats.
    """
    codes = shown_codes(vae, x, kl)

    def told(rows: Tensor) -> list[str]:
        return [vocabulary.decode(row) for row in rows.tolist()]

    def moved(row: int) -> list[str]:
        return told(shown(vae.decode(codes.moved[row])))

    values = codes.values.tolist()
    return {
        "reconstructions": [list(pair) for pair in zip(told(x), told(shown(vae.decode(codes.mu))), strict=True)],
        "prior_samples": told(shown(vae.decode(codes.drawn[:_SHOWN]), seed=0)),
        "traversals": [
            {"dimension": dim, "steps": [list(step) for step in zip(values, moved(row), strict=True)]}
            for row, dim in enumerate(codes.dims)
        ],
    }
