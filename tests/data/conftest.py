import gzip
import struct
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from lambda_vae.data.named import NAMED, RawFile


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def no_shared_data(monkeypatch):
    monkeypatch.delenv("LAMBDA_VAE_DATA", raising=False)


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


@pytest.fixture
def tiny_mnist(monkeypatch, no_shared_data):
    """The name "mnist" stands for four tiny files; gives what a mirror would send."""
    files = tuple(RawFile(f"{name}.gz", sha256(idx_bytes(array)).hexdigest()) for name, array in TINY.items())
    rendition = replace(NAMED["mnist"].renditions[0], files=files)
    monkeypatch.setitem(NAMED, "mnist", replace(NAMED["mnist"], renditions=(rendition,)))
    return {f"{name}.gz": gzip.compress(idx_bytes(array), mtime=0) for name, array in TINY.items()}
