"""IDX files for the tests to write."""

import gzip
import struct

import numpy as np


def idx_bytes(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(path, array):
    data = idx_bytes(array)
    path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path


TINY = {
    "train-images-idx3-ubyte": np.random.RandomState(0).randint(0, 256, (12, 5, 4)),
    "train-labels-idx1-ubyte": np.arange(12) % 3,
    "t10k-images-idx3-ubyte": np.random.RandomState(1).randint(0, 256, (6, 5, 4)),
    "t10k-labels-idx1-ubyte": np.arange(6) % 3,
}
