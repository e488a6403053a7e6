"""A copy of a named set is known by what it holds, however it is packed; a changed one is refused in any wrapping."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path

import numpy as np
import pytest
from data_samples import TINY, idx_bytes
from scipy.io import savemat

from lambda_vae.data import NAMED, load, verify
from lambda_vae.data.cifar import CIFAR_BATCHES, batches_sha256, cifar_sha256
from lambda_vae.data.mat import mat_sha256
from lambda_vae.data.named import RawFile, Rendition
from lambda_vae.errors import InputError

#: Before a fixture of this folder takes it away.
REAL = Path(os.environ.get("LAMBDA_VAE_DATA", "nowhere"))

PACKERS = {
    "plain": ("", bytes),
    "gzip": (".gz", lambda content: gzip.compress(content, 1)),
    "xz": (".xz", lzma.compress),
    "bzip2": (".bz2", bz2.compress),
    "gzip without its ending": ("", gzip.compress),
}


@pytest.fixture
def given(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path / "given"))
    return tmp_path / "given"


@pytest.mark.parametrize(("ending", "pack"), PACKERS.values(), ids=PACKERS.keys())
@pytest.mark.parametrize("place", ["mnist", "MNIST/raw", "."])
def test_idx_files_are_known_in_any_wrapping(tiny_mnist, given, cache, ending, pack, place):
    (given / place).mkdir(parents=True)
    for name, array in TINY.items():
        (given / place / f"{name}{ending}").write_bytes(pack(idx_bytes(array)))
    data = load("mnist", cache=cache, download=False)
    assert np.array_equal(data.train.x.reshape(-1, 5, 4), TINY["train-images-idx3-ubyte"])
    assert data.test.y.tolist() == TINY["t10k-labels-idx1-ubyte"].tolist()
    assert all(check.ok for check in verify("mnist", cache=cache))


def test_changed_content_is_refused_in_any_wrapping(tiny_mnist, given, cache):
    (given / "mnist").mkdir(parents=True)
    for name, array in TINY.items():
        (given / "mnist" / f"{name}.xz").write_bytes(lzma.compress(idx_bytes(array + (name[:2] == "tr"))))
    with pytest.raises(InputError, match="this is not the published mnist"):
        load("mnist", cache=cache, download=False)


def test_either_hash_will_do_where_both_are_known(tiny_mnist, given, cache, monkeypatch):
    (rendition,) = NAMED["mnist"].renditions
    (given / "mnist").mkdir(parents=True)
    for name, content in tiny_mnist.items():
        (given / "mnist" / name).write_bytes(content)

    def known(**hashes):
        files = tuple(replace(file, **{key: value(file) for key, value in hashes.items()}) for file in rendition.files)
        monkeypatch.setitem(NAMED, "mnist", replace(NAMED["mnist"], renditions=(replace(rendition, files=files),)))

    def packed(file):
        return md5(tiny_mnist[file.name]).hexdigest()

    known(md5=lambda _: "0" * 32)
    assert len(load("mnist", cache=cache / "content", download=False).train) == 12
    known(sha256=lambda _: "0" * 64, md5=packed)
    assert len(load("mnist", cache=cache / "packed", download=False).train) == 12
    known(sha256=lambda _: "0" * 64, md5=lambda _: "0" * 32)
    with pytest.raises(InputError, match="this is not the published mnist"):
        load("mnist", cache=cache, download=False)


BATCHES = {name: bytes([number]) + bytes([40 + number]) * 3072 for number, name in enumerate(CIFAR_BATCHES)}
HASHES = {name: sha256(content).hexdigest() for name, content in BATCHES.items()}


def pack_cifar(path, mode, batches=BATCHES, order=CIFAR_BATCHES):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name in order:
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            entry.size = len(batches[name])
            archive.addfile(entry, io.BytesIO(batches[name]))


@pytest.fixture
def tiny_cifar(monkeypatch, given):
    """The name "cifar10" stands for six tiny batches, in the wrappings of the real one."""
    archives, loose, repacked = NAMED["cifar10"].renditions
    files = (
        (RawFile("cifar-10-binary.tar.gz", batches_sha256(HASHES), md5="0" * 32),),
        tuple(RawFile(f"cifar-10-batches-bin/{name}", HASHES[name]) for name in CIFAR_BATCHES),
        (RawFile("cifar-10-binary.tar.xz", batches_sha256(HASHES), md5="0" * 32),),
    )
    pairs = zip((archives, loose, repacked), files, strict=True)
    renditions = tuple(Rendition(names, (), rendition.source) for rendition, names in pairs)
    monkeypatch.setitem(NAMED, "cifar10", replace(NAMED["cifar10"], renditions=renditions))
    return given / "cifar10"


@pytest.mark.parametrize("form", ["tar.gz", "tgz", "tar.xz", "tar.bz2", "tar"])
def test_cifar_is_known_however_its_batches_are_packed(tiny_cifar, cache, form):
    mode = {"tgz": "gz", "tar": ""}.get(form, form.removeprefix("tar."))
    pack_cifar(tiny_cifar / f"cifar-10-binary.{form}", f"w:{mode}", order=CIFAR_BATCHES[::-1])
    data = load("cifar10", cache=cache, download=False)
    assert data.train.y.tolist() == [0, 1, 2, 3, 4]
    assert data.train.x[:, 0].tolist() == [40, 41, 42, 43, 44]
    assert all(check.ok for check in verify("cifar10", cache=cache))


@pytest.mark.parametrize("folder", ["cifar-10-batches-bin", "."])
def test_cifar_is_known_unpacked(tiny_cifar, cache, folder):
    (tiny_cifar / folder).mkdir(parents=True)
    for name, content in BATCHES.items():
        (tiny_cifar / folder / name).write_bytes(content)
    assert load("cifar10", cache=cache, download=False).test.y.tolist() == [5]


def test_cifar_with_a_batch_changed_or_missing_is_refused(tiny_cifar, cache):
    path = tiny_cifar / "cifar-10-binary.tar.gz"
    pack_cifar(path, "w:gz", BATCHES | {"data_batch_3.bin": bytes(3073)})
    with pytest.raises(InputError, match="this is not the published cifar10"):
        load("cifar10", cache=cache, download=False)
    pack_cifar(path, "w:gz", order=CIFAR_BATCHES[:5])
    with pytest.raises(InputError, match="this is not the published cifar10"):
        load("cifar10", cache=cache, download=False)


def test_a_matlab_file_is_known_whoever_wrote_it(tmp_path, given, cache, monkeypatch):
    random = np.random.RandomState(0)
    content = {
        "data": random.randint(0, 256, (784, 6)) / 255, "testdata": random.randint(0, 256, (784, 4)) / 255,
        "target": np.eye(6), "testtarget": np.eye(6)[:, :4],
    }  # fmt: skip
    (given / "omniglot").mkdir(parents=True)
    savemat(tmp_path / "first.mat", content)
    path = given / "omniglot" / "omniglot28_burda_layout.mat"
    single = {name: array.astype(np.float32) for name, array in content.items()}
    savemat(path, {"more": np.ones(3), **dict(reversed(single.items()))}, do_compression=True)
    file = RawFile(path.name, mat_sha256(tmp_path / "first.mat"), md5="0" * 32)
    monkeypatch.setitem(NAMED, "omniglot", replace(NAMED["omniglot"], renditions=(Rendition((file,), (), "tiny"),)))
    assert len(load("omniglot", cache=cache, download=False).train) == 6
    savemat(path, content | {"target": np.eye(6)[::-1]})
    with pytest.raises(InputError, match="this is not the published omniglot"):
        load("omniglot", cache=cache / "other", download=False)


def test_content_of_fashion_mnist_is_in_the_table():
    """Of the unpacked files whose MD5 are f4a8712d... and 8181f547..., as a Linux distribution packs them."""
    train, _, test, _ = NAMED["fashion-mnist"].renditions[0].files
    assert (train.sha256[:8], test.sha256[:8]) == ("c59f468a", "5b4141f0")


@pytest.mark.slow
@pytest.mark.skipif("LAMBDA_VAE_DATA" not in os.environ, reason="LAMBDA_VAE_DATA names no data folder")
def test_the_real_cifar_has_the_content_of_the_table():
    path = REAL / "cifar10" / "cifar-10-binary.tar.xz"
    if not path.is_file():
        pytest.skip("LAMBDA_VAE_DATA has no cifar10/cifar-10-binary.tar.xz")
    assert cifar_sha256(path) == NAMED["cifar10"].renditions[0].files[0].sha256
