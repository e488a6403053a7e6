"""The Fréchet inception distance, by an optional package whose network's weights must be fetched."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from lambda_vae.errors import InputError

__all__ = ["FrechetDistance", "fid"]

#: Features of the network's last pooling layer.
_FEATURES = 2048

_ROWS_PER_PASS = 64


@dataclass(frozen=True)
class FrechetDistance:
    """A Fréchet inception distance.

    Args:
        value: Lower is closer; in units of squared features.
        samples: How many it was taken from.
        reference: How many it was taken against.
        remark: What speaks against it; empty if nothing.
    """

    value: float
    samples: int
    reference: int
    remark: str


def fid(
    samples: UInt8[Tensor, "N H W *colour"],
    reference: UInt8[Tensor, "M H2 W2 *colour2"],
    *,
    weights: Path | None = None,
) -> FrechetDistance:
    """Return the Fréchet inception distance of two sets of pictures.

    The network was made for colour photographs: on digits or drawings the value ranks models at most. It is biased
    upwards where there are few pictures.

    Args:
        samples: Pictures in 0..255, [N, H, W] or [N, H, W, 3].
        reference: The same of real data, all of one size with the samples.
        weights: File with the network's weights; fetched by the package if None.

    Raises:
        InputError: The extra is not installed, the weights cannot be had, or these are no pictures of one size.

    Source:
        Heusel et al. 2017, arXiv:1706.08500, Eq. 6, as torchmetrics computes it with torch-fidelity's network.
    """
    if samples.shape[1:] != reference.shape[1:] or samples.ndim not in (3, 4) or samples.shape[3:] not in ((), (3,)):
        shapes = f"{tuple(samples.shape)} and {tuple(reference.shape)}"
        raise InputError(f"FID was asked for arrays of {shapes}; give pictures [N, H, W] or [N, H, W, 3] of one size")
    fewest = min(len(samples), len(reference))
    if fewest < 2:
        raise InputError(f"FID was asked for {len(samples)} and {len(reference)} pictures; give at least 2 of each")
    metric = _metric(weights)
    for pictures, real in ((reference, True), (samples, False)):
        for part in torch.split(pictures, _ROWS_PER_PASS):
            metric.update(_coloured(part), real=real)
    few = f"{fewest} pictures for {_FEATURES} features: the covariance is singular and the value biased upwards"
    return FrechetDistance(float(metric.compute()), len(samples), len(reference), few if fewest <= _FEATURES else "")


def _metric(weights: Path | None):  # type: ignore[no-untyped-def]  # noqa: ANN202 - of a package that may be absent
    try:
        made = import_module("torchmetrics.image.fid").FrechetInceptionDistance
        import_module("torch_fidelity")
    except (ImportError, RuntimeError) as error:  # the latter where torchvision was built for another torch
        raise InputError(f'FID needs an optional package ({error}); pip install "lambda-vae[fid]"') from None
    try:
        return made(_FEATURES, feature_extractor_weights_path=None if weights is None else str(weights))
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"FID needs the weights of its network, and they cannot be had ({error}); "
            "fetch weights-inception-2015-12-05-6726825d.pth of torch-fidelity and name the file"
        ) from None


def _coloured(pictures: Tensor) -> Tensor:
    """[N, H, W(, 3)] as [N, 3, H, W]."""
    return pictures.movedim(-1, 1) if pictures.ndim == 4 else pictures[:, None].expand(-1, 3, -1, -1)
