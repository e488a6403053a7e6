"""Samples and reconstructions of a finished run, as a picture, an array or text."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.files import replacing
from lambda_vae.measures.samplers import sampler_of
from lambda_vae.runs.config import check_seed
from lambda_vae.runs.image_arrays import pixels, shown
from lambda_vae.runs.load import LoadedRun, load_run

__all__ = ["draw_reconstructions", "draw_samples"]

#: What is written of each kind of data; the first is taken where nothing is asked.
_ENDINGS = {"image": (".png", ".npy"), "vector": (".npy",), "sequence": (".txt",)}


@torch.no_grad()
def draw_samples(run: Path, n: int = 64, seed: int = 0, out: Path | None = None, sampler: str = "prior") -> Path:
    """Decode draws from the prior, or from a law fitted to the training codes, and return where they were written.

    Args:
        run: Folder of a finished run.
        n: How many.
        seed: Of the draws, and of the fit.
        out: .png for a grid of images, .npy for E[x|z] (an autoregressive decoder's draws) as float32;
            .txt of sequences, one a line; RUN/figures/samples.png if not given (.npy for vectors, .txt for sequences).
        sampler: prior, gaussian, mixture, flow, or a .safetensors file of a fit. `measure_generation` saves fits.

    Raises:
        InputError: n below 1, no finished run, an ending that does not fit, or as `sampler_of`.
    """
    _at_least_one(n)
    check_seed(seed)
    loaded = load_run(run)
    z = sampler_of(loaded, sampler, seed).sample(n, torch.Generator().manual_seed(seed))
    return _write(loaded, [shown(loaded.vae.decode(z), seed)], out, "samples")


@torch.no_grad()
def draw_reconstructions(run: Path, n: int = 24, data: str | None = None, out: Path | None = None) -> Path:
    """Decode the mean codes of the first test examples and return where originals and reconstructions were written.

    Args:
        run: Folder of a finished run.
        n: How many.
        data: Other data than the run's own.
        out: .png or .npy, originals first; of sequences .txt, original and reconstruction on a line, a tab between;
            RUN/figures/reconstructions.png if not given (.npy for vectors, .txt for sequences).

    Raises:
        InputError: As for `draw_samples`.
    """
    _at_least_one(n)
    loaded = load_run(run, data)
    x = loaded.measured.head(n)
    return _write(loaded, [x, shown(loaded.vae.decode(loaded.vae.encode(x).marginals().mu))], out, "reconstructions")


def _at_least_one(n: int) -> None:
    if n < 1:
        raise InputError(f"n is {n}; ask for at least one")


def _write(run: LoadedRun, groups: list[Tensor], out: Path | None, name: str) -> Path:
    endings = _ENDINGS[run.dataset.kind]
    path = out or run.folder.path / "figures" / f"{name}{endings[0]}"
    if path.suffix not in endings:
        raise InputError(f"{path} ends in {path.suffix!r}; use {' or '.join(endings)}")
    with replacing(path) as temporary:
        if (vocabulary := run.dataset.vocabulary) is not None:
            columns = ([vocabulary.decode(row) for row in group.tolist()] for group in groups)
            temporary.write_text("".join("\t".join(row) + "\n" for row in zip(*columns, strict=True)), "utf-8")
        elif path.suffix == ".npy":
            np.save(temporary, torch.stack(groups).squeeze(0).float().numpy())
        else:
            Image.fromarray(_sheet([pixels(group, run.dataset.shape) for group in groups])).save(temporary)
    return path


def _sheet(groups: list[NDArray[np.uint8]], gap: int = 2) -> NDArray[np.uint8]:
    """Images in a near-square sheet; with two groups, rows of the one alternate with rows of the other."""
    count = len(groups[0])
    columns = int(np.ceil(np.sqrt(count * len(groups))))
    rows = [group[start : start + columns] for start in range(0, count, columns) for group in groups]
    height, width, *channels = groups[0].shape[1:]
    sheet = np.full((len(rows) * (height + gap) + gap, columns * (width + gap) + gap, *channels), 255, dtype=np.uint8)
    for r, row in enumerate(rows):
        for c, image in enumerate(row):
            top, left = gap + r * (height + gap), gap + c * (width + gap)
            sheet[top : top + height, left : left + width] = image
    return sheet
