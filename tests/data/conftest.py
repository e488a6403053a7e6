import gzip
from dataclasses import replace
from hashlib import sha256

import pytest
from data_samples import TINY, idx_bytes

from lambda_vae.data.named import NAMED, RawFile


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def no_shared_data(monkeypatch):
    monkeypatch.delenv("LAMBDA_VAE_DATA", raising=False)


@pytest.fixture
def tiny_mnist(monkeypatch, no_shared_data):
    """The name "mnist" stands for four tiny files; gives what a mirror would send."""
    files = tuple(RawFile(f"{name}.gz", sha256(idx_bytes(array)).hexdigest()) for name, array in TINY.items())
    rendition = replace(NAMED["mnist"].renditions[0], files=files)
    monkeypatch.setitem(NAMED, "mnist", replace(NAMED["mnist"], renditions=(rendition,)))
    return {f"{name}.gz": gzip.compress(idx_bytes(array), mtime=0) for name, array in TINY.items()}
