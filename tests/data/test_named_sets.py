import os
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat
from sklearn.datasets import load_digits

from lambda_vae.data import NAMED, describe, load, shown, verify
from lambda_vae.data.rawfiles import find_rendition
from lambda_vae.errors import InputError


def test_digits_are_scikit_learns_scaled_exactly(cache):
    data = load("digits", cache=cache)
    raw = load_digits()
    ours = np.concatenate([data.train.x, data.test.x]).reshape(-1, 8, 8)
    expected = np.floor(raw.images * 255 / 16 + 0.5).astype(np.uint8)
    assert sorted(map(bytes, ours)) == sorted(map(bytes, expected))
    assert (ours.min(), ours.max()) == (0, 255)


def test_digits_split_is_stratified_and_fixed(cache):
    data = load("digits", cache=cache)
    assert (len(data.train), len(data.test)) == (1442, 355)
    shares = np.bincount(data.test.y) / (np.bincount(data.train.y) + np.bincount(data.test.y))
    assert np.all(np.abs(shares - 0.2) < 0.01)
    assert data.sha256.startswith("8f725027")


def test_digits_images_keep_their_labels(cache):
    data = load("digits", cache=cache)
    raw = load_digits()
    pairs = zip(raw.images, raw.target, strict=True)
    table = {bytes((image * 255 / 16 + 0.5).astype(np.uint8)): label for image, label in pairs}
    assert [table[bytes(row)] for row in data.test.x] == data.test.y.tolist()


@pytest.mark.parametrize("row", NAMED.values(), ids=lambda row: row.name)
def test_table_rows_are_complete(row):
    assert row.licence
    assert row.citation
    for rendition in row.renditions:
        assert all(url.startswith("http") and url.endswith("/") for url in rendition.mirrors)
        assert all(len(file.sha256) == 64 or len(file.md5) == 32 for file in rendition.files)


@pytest.mark.parametrize(("typed", "meant"), [("mnits", "mnist"), ("MNIST", "mnist"), ("fashion", "fashion-mnist")])
def test_unknown_name_suggests_the_nearest(typed, meant, cache):
    with pytest.raises(InputError, match=f"unknown data set '{typed}' .did you mean '{meant}'"):
        load(typed, cache=cache)


def test_unknown_name_far_from_all_lists_them(cache):
    with pytest.raises(InputError, match="'zzzzz'; give a path that exists, or one of digits, mnist"):
        load("zzzzz", cache=cache)


def test_list_says_what_is_prepared(cache, no_shared_data):
    before = {row.name: row for row in describe(cache)}
    assert not any(row.prepared for row in before.values())
    assert before["digits"].where == "embedded"
    assert before["mnist"].where == "download from ossci-datasets.s3.amazonaws.com"
    data = load("digits", cache=cache)
    after = {row.name: row for row in describe(cache)}["digits"]
    assert after.prepared
    assert Path(after.where).parent == cache
    assert (after.shape, after.train, after.test) == (data.shape, len(data.train), len(data.test))


#: Read before any test changes it.
SHARED = os.environ.get("LAMBDA_VAE_DATA")


@pytest.fixture
def in_sight(monkeypatch):
    """Whatever other tests do, these see the folder."""
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(SHARED))


def needs_shared(test):
    """Mark a test of real data."""
    skip = pytest.mark.skipif(SHARED is None, reason="LAMBDA_VAE_DATA names no data folder")
    return skip(pytest.mark.usefixtures("in_sight")(test))


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def shared_file(name):
    path = Path(str(SHARED)) / name
    if not path.is_file():
        pytest.skip(f"LAMBDA_VAE_DATA has no {name}")
    return path


@needs_shared
def test_real_mnist_is_whole_and_sound(shared_cache):
    shared_file("mnist/train-images-idx3-ubyte.gz")
    data = load("mnist", cache=shared_cache, download=False)
    assert data.train.x.shape == (60000, 784)
    assert data.test.x.shape == (10000, 784)
    assert data.train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.train.x.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert np.bincount(data.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert all(check.ok for check in verify("mnist", cache=shared_cache))
    assert {row.name: row.prepared for row in describe(shared_cache)}["mnist"]


@needs_shared
def test_real_omniglot_says_it_is_not_burdas_file(shared_cache):
    shared_file("omniglot/omniglot28_burda_layout.mat")
    data = load("omniglot", cache=shared_cache, download=False)
    assert data.train.x.shape == (24345, 784)
    assert data.test.x.shape == (8070, 784)
    assert "not Burda et al.'s file" in data.source
    assert data.train.x.mean() / 255 == pytest.approx(0.0807, abs=5e-5)
    assert np.unique(data.train.y).tolist() == list(range(50))
    assert all(check.ok for check in verify("omniglot", cache=shared_cache))


@needs_shared
def test_real_omniglot_images_stand_upright(shared_cache):
    path = shared_file("omniglot/omniglot28_burda_layout.mat")
    with np.load(shared_file("omniglot/omniglot_105_bits.npz"), allow_pickle=False) as archive:
        bits = archive["bits"]
    rows = loadmat(path, variable_names=["source_index"])["source_index"].ravel()[:20]
    large = np.unpackbits(bits[rows], axis=1)[:, :11025].reshape(-1, 105, 105).astype(float)
    small = large.repeat(4, axis=1).repeat(4, axis=2).reshape(-1, 28, 15, 28, 15).mean(axis=(2, 4))
    ours = load("omniglot", cache=shared_cache).train.x[:20].reshape(-1, 28, 28)
    assert np.abs(ours - small * 255).max() <= 0.51


@needs_shared
def test_real_own_archive_of_colour_images_loads(shared_cache):
    path = shared_file("noto_emoji_64/noto_emoji_64.npz")
    data = load(path, cache=shared_cache)
    assert data.shape == (64, 64, 3)
    assert len(data.train) + len(data.test) == 3786
    assert data.classes is not None
    assert len(data.classes) == 10
    with np.load(path, allow_pickle=False) as archive:
        assert np.array_equal(data.train.x[0], archive["images"][0].ravel()) or np.array_equal(
            data.test.x[0], archive["images"][0].ravel()
        )


def whole_text(name, cache):
    """A named set of sequences, as its row in the table promises it."""
    data = load(name, cache=cache, download=False)
    row = NAMED[name]
    assert (data.kind, data.shape, len(data.train), len(data.test)) == (row.kind, row.shape, row.train, row.test)
    assert all(check.ok for check in verify(name, cache=cache))
    return data


@needs_shared
@pytest.mark.parametrize(
    ("name", "first"), [("brown", "London , Feb. 9"), ("ewt", "What if Google <unk> <unk> <unk> ?")]
)
def test_real_text_is_whole_and_sound(shared_cache, name, first):
    shared_file(f"text/{name}.train.txt")
    data = whole_text(name, shared_cache)
    assert shown(data, 1) == [first]
    assert data.vocabulary.size == 10_003
    # the README of the files counts the tokens
    assert len(data.train.x) - len(data.train) == {"brown": 1045389, "ewt": 204577}[name]


@needs_shared
@pytest.mark.slow
def test_real_moses_is_whole_and_sound(shared_cache):
    if find_rendition(NAMED["moses"], shared_cache) is None:
        pytest.skip("molsets is neither installed nor in LAMBDA_VAE_DATA")
    data = whole_text("moses", shared_cache)
    assert data.vocabulary.size == 27
    assert set(data.vocabulary.tokens[3:]) == {*"cC()12345-6=#NnOoFSs", "Cl", "Br", "[nH]", "[H]"}
    assert data.train.x.dtype == np.uint8
    assert shown(data, 1) == ["CC1C2CCC(C2)C1CN(CCO)C(=O)c1ccc(Cl)cc1"]
