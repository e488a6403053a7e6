"""The numbers of Figures 8 and 9: test images decoded anew from their own codes and from those of others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.paper.figure_images import panels_of
from lambda_vae.paper.figure_runs import numbers, pixel_lists
from lambda_vae.records.read import ComparisonRecord, RunRecord
from lambda_vae.runs.build import measuring_view
from lambda_vae.runs.image_arrays import pixels, shown
from lambda_vae.runs.load import LoadedRun, load_run

__all__ = ["pixelcnn_record", "reconstructions_record"]

#: Test images that are measured, and how many of them are shown.
_MEASURED, _MEASURED_BY_PIXEL, _SHOWN = 512, 256, 10
#: Of ancestral sampling: the same chance for every model and every code.
_SEED = 0
_ROW = (
    "latent_dim", "active_units", "near_prior", "decoder_capacity", "snr_capacity", "nll_bound_bpd", "surrogate_bpd",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Codes:
    """A finished run with the first test images and their mean codes."""

    run: LoadedRun
    x: Float[Tensor, "N F"]
    mu: Float[Tensor, "N D"]

    @classmethod
    @torch.no_grad()
    def of(cls, record: RunRecord, count: int) -> "_Codes":
        run = load_run(record.path)
        view = measuring_view(run.config, run.dataset)
        x = view.head(count)
        mu = torch.cat([run.vae.encode(part).marginals().mu for part in torch.split(x, view.batch_size)])
        return cls(run, x, mu)

    @torch.no_grad()
    def decoded(self, mu: Float[Tensor, "N D"], seed: int | None = None) -> Float[Tensor, "N F"]:
        vae, parts = self.run.vae, torch.split(mu, measuring_view(self.run.config, self.run.dataset).batch_size)
        seeds = [None if seed is None else seed + place for place in range(len(parts))]  # chance of its own for each
        return torch.cat([shown(vae.decode(part), own) for part, own in zip(parts, seeds, strict=True)])

    def pictures(self, images: Float[Tensor, "N F"]) -> list[Any]:
        return pixel_lists(pixels(images[:_SHOWN], self.run.dataset.shape))

    def errors(self, images: Float[Tensor, "N F"]) -> list[float]:
        """Mean squared error of each image, its values in [0, 1]."""
        return numbers((images - self.x).square().mean(1))


def reconstructions_record(comparisons: Mapping[str, ComparisonRecord]) -> dict[str, Any]:
    """Return the numbers of Figure 8: test images and their reconstructions at mu, with errors and detail.

    Args:
        comparisons: Finished runs on images, by data.

    Raises:
        InputError: A run cannot be read back, or two of one comparison saw other test images.
    """
    return _same_originals(panels_of(comparisons, _reconstruction))


def _reconstruction(record: RunRecord) -> dict[str, Any]:
    codes = _Codes.of(record, _MEASURED)
    decoded = codes.decoded(codes.mu)
    shape = codes.run.dataset.shape
    return {
        "originals": codes.pictures(codes.x),
        "reconstructions": codes.pictures(decoded),
        "squared_error": codes.errors(decoded),
        "detail": float(_detail(decoded, shape) / _detail(codes.x, shape)),
        **{name: getattr(record.row, name) for name in _ROW},
    }


def _detail(images: Float[Tensor, "N F"], shape: tuple[int, ...]) -> Tensor:
    """Mean squared difference of neighbouring pixels: blur takes it away."""
    maps = images.clamp(0, 1).view(-1, *shape)
    return maps.diff(dim=1).square().mean() + maps.diff(dim=2).square().mean()


def pixelcnn_record(comparisons: Mapping[str, ComparisonRecord]) -> dict[str, Any]:
    """Return the numbers of Figure 9: images made pixel by pixel, each from its own code and from the next image's.

    Args:
        comparisons: Finished runs with an autoregressive decoder, by data.

    Raises:
        InputError: As `reconstructions_record`.
    """
    return _same_originals(panels_of(comparisons, _by_pixel))


def _by_pixel(record: RunRecord) -> dict[str, Any]:
    codes = _Codes.of(record, _MEASURED_BY_PIXEL)
    return {
        "originals": codes.pictures(codes.x),
        "modes": {"greedy": _mode(codes, None), "ancestral": _mode(codes, _SEED)},
        **{name: getattr(record.row, name) for name in _ROW},
    }


def _mode(codes: _Codes, seed: int | None) -> dict[str, Any]:
    own, other = codes.decoded(codes.mu, seed), codes.decoded(codes.mu.roll(1, 0), seed)
    return {
        "reconstructions": codes.pictures(own),
        "squared_error": codes.errors(own),
        "squared_error_of_other_code": codes.errors(other),
    }


def _same_originals(record: dict[str, Any]) -> dict[str, Any]:
    """The originals once for each panel."""
    for panel in record["panels"]:
        originals = [run.pop("originals") for run in panel["runs"]]
        if any(images != originals[0] for images in originals):
            raise InputError(f"the runs on {panel['data']} show other test images; give runs on the same data")
        panel["originals"] = originals[0] if originals else []
    return record
