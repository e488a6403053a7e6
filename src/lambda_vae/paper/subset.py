"""The first rows of a data set as data of its own, for the smaller scales of a table."""

from pathlib import Path

import numpy as np

from lambda_vae.data import Dataset
from lambda_vae.data.dataset import Split
from lambda_vae.files import replacing, write_atomic

__all__ = ["subset_path", "write_subset"]

#: Files of one sequence a line, by the tokeniser that is taken for them.
_ENDINGS = {"smiles": ".smi"}


def subset_path(folder: Path, dataset: Dataset, scale: str) -> Path:
    """Return the file of a subset.

    Args:
        folder: Where it goes.
        dataset: The whole.
        scale: Name of the scale.
    """
    if dataset.vocabulary is None:
        return folder / f"{dataset.name}-{scale}.npz"
    return folder / f"{dataset.name}-{scale}.train{_ENDINGS.get(dataset.vocabulary.tokeniser, '.txt')}"


def write_subset(path: Path, dataset: Dataset, counts: tuple[int, int]) -> None:
    """Write the first rows of both parts, the same bytes each time; sequences as text, the test part beside.

    Args:
        path: From `subset_path`; left as it is where it is there.
        dataset: The whole.
        counts: Rows of the training and of the test part.
    """
    if path.exists():
        return
    parts = tuple(zip(("train", "test"), (dataset.train, dataset.test), counts, strict=True))
    if dataset.vocabulary is not None:
        # The training part last: it is what is looked for.
        for name, part, rows in reversed(parts):
            write_atomic(path.with_name(path.name.replace(".train.", f".{name}.")), _lines(dataset, part, rows))
        return
    arrays = {}
    for name, part, rows in parts:
        arrays[name] = np.asarray(part.x[:rows]).reshape(-1, *dataset.shape)
        if part.y is not None:
            arrays[f"y_{name}"] = np.asarray(part.y[:rows])
    with replacing(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def _lines(dataset: Dataset, part: Split, rows: int) -> str:
    assert dataset.vocabulary is not None
    chosen = part.tensor().index_select(0, part.index()[:rows])
    return "".join(f"{dataset.vocabulary.decode(row)}\n" for row in chosen.tolist())
