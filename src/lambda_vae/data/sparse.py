"""What scipy.sparse.save_npz wrote: rows made dense as they are read, so that only the cache holds all of them."""

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from lambda_vae.data.pixels import to_float32
from lambda_vae.data.source import Part, Source, rows_per_chunk, split_off_test
from lambda_vae.errors import InputError

__all__ = ["is_sparse", "sparse_source"]

#: The most that the dense rows may take, in bytes as float32.
_LIMIT = 8 << 30


def is_sparse(keys: Container[str]) -> bool:
    """Whether these names of arrays are those of a sparse matrix in a file."""
    return all(key in keys for key in ("format", "shape", "data"))


def _matrix(path: Path) -> Any:  # noqa: ANN401 - scipy's csr_array, whose type depends on the stub's version
    from scipy.sparse import csr_array, load_npz

    try:
        matrix = load_npz(path)
        if hasattr(matrix, "check_format"):
            matrix.check_format(full_check=True)  # indices out of range would be read from anywhere in memory
        return csr_array(matrix)
    except Exception as error:  # scipy raises whatever its parser stumbles over
        raise InputError(f"{path} is not a readable scipy.sparse matrix ({error}); save it again") from None


def sparse_source(path: Path) -> Source:
    """A sparse matrix [N, F] as vectors; a test part is split off.

    Raises:
        InputError: It is damaged, holds no real numbers, or would be too large as dense rows.
    """
    matrix = _matrix(path)
    if matrix.ndim != 2 or matrix.dtype.kind not in "uifb":
        raise InputError(f"{path} is a sparse {matrix.dtype} {matrix.shape}; it must be real numbers [N, F]")
    count, features = matrix.shape
    if 4 * count * features > _LIMIT:
        raise InputError(
            f"{path} is sparse {matrix.shape}, {4 * count * features / 2**30:.0f} GiB as dense rows and more than "
            f"{_LIMIT >> 30}; leave out columns, such as all but the 2,000 of highest variance"
        )
    step = rows_per_chunk(4 * features)

    def chunks() -> Iterator[NDArray[Any]]:
        for start in range(0, count, step):
            yield to_float32(matrix[start : start + step].toarray(), start, str(path))

    train, test = split_off_test(Part(count, chunks, None))
    note = f"{path.name}, a sparse matrix made dense, its numbers as they are; a tenth split off as the test part"
    return Source("vector", (features,), train, test, note)
