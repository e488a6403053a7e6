"""Test images decoded anew from their own codes and from those of others, as Figures 8 and 9 show them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.paper.figure import Comparisons
from lambda_vae.paper.panels import panels_of, rounded
from lambda_vae.records.read import RunRecord
from lambda_vae.runs.image_arrays import pixels, shown
from lambda_vae.runs.load import LoadedRun, load_run

__all__ = ["Codes", "decoded_panels"]

_SHOWN = 10
_ROW = (
    "latent_dim", "active_units", "near_prior", "decoder_capacity", "snr_capacity", "nll_bound_bpd", "surrogate_bpd",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Codes:
    """Test images of a finished run, and their mean codes."""

    run: LoadedRun
    x: Float[Tensor, "N F"]
    mu: Float[Tensor, "N D"]

    @classmethod
    @torch.no_grad()
    def of(cls, path: Path, count: int) -> "Codes":
        """Return the codes of a run's first test images."""
        run = load_run(path)
        view = run.measured
        x = view.head(count)
        mu = torch.cat([run.vae.encode(part).marginals().mu for part in torch.split(x, view.batch_size)])
        return cls(run, x, mu)

    @torch.no_grad()
    def decoded(self, mu: Float[Tensor, "N D"], seed: int | None = None) -> Float[Tensor, "N F"]:
        """Return what is shown of p(x|z) at these codes; the seed is as for `shown`."""
        vae, parts = self.run.vae, torch.split(mu, self.run.measured.batch_size)
        seeds = [None if seed is None else seed + place for place in range(len(parts))]  # noise of its own for each
        return torch.cat([shown(vae.decode(part), own) for part, own in zip(parts, seeds, strict=True)])

    def images(self, x: Float[Tensor, "N F"]) -> list[Any]:
        """Return the first few images as a record holds them."""
        listed: list[Any] = pixels(x[:_SHOWN], self.run.dataset.shape).tolist()
        return listed

    def errors(self, x: Float[Tensor, "N F"]) -> list[float]:
        """Return the mean squared error of each image, its values in [0, 1]."""
        return rounded((x - self.x).square().mean(1))


def decoded_panels(comparisons: Comparisons, count: int, read: Callable[[Codes], dict[str, Any]]) -> dict[str, Any]:
    """Return a panel for each data set: its first test images, and what is read of each run's codes of so many of them.

    Raises:
        InputError: A run cannot be read back, or two of one comparison saw other test images.
    """

    def of_run(record: RunRecord) -> dict[str, Any]:
        codes = Codes.of(record.path, count)
        return {"originals": codes.images(codes.x), **read(codes), **{name: getattr(record.row, name) for name in _ROW}}

    record = panels_of(comparisons, of_run)
    for panel in record["panels"]:
        originals = [run.pop("originals") for run in panel["runs"]]
        if any(images != originals[0] for images in originals):
            raise InputError(f"the runs on {panel['data']} show other test images; give runs on the same data")
        panel["originals"] = originals[0] if originals else []
    return record
