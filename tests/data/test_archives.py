"""Archives of arrays as others write them: which arrays become which part, and what is said of the rest."""

import numpy as np
import pytest
import scipy.sparse

from lambda_vae.data import check_likelihood, load
from lambda_vae.data import sparse as sparse_files
from lambda_vae.errors import InputError

RNG = np.random.RandomState(0)
GREY = RNG.randint(0, 256, (30, 4, 3)).astype(np.uint8)
TRAIN, VAL, TEST = GREY[:15], GREY[15:20], GREY[20:]
Y = np.arange(30) % 3
ALONE = "; a tenth split off as the test part"

#: Arrays; training examples; test examples (None: split off); classes of the training part; what the source ends with.
LAYOUTS = {
    "MedMNIST": (
        {
            "train_images": TRAIN, "val_images": VAL, "test_images": TEST,
            "train_labels": Y[:15, None], "val_labels": Y[15:20, None], "test_labels": Y[20:, None],
        },
        TRAIN, TEST, Y[:15], "; not read: val_images (5, 4, 3), val_labels (5, 1)",
    ),
    "Keras": ({"x_train": TRAIN, "y_train": Y[:15], "x_test": TEST, "y_test": Y[20:]}, TRAIN, TEST, Y[:15], ""),
    "words turned": ({"train_x": TRAIN, "train_y": Y[:15], "test_x": TEST}, TRAIN, TEST, Y[:15], ""),
    "capitals": ({"X_train": TRAIN, "X_test": TEST, "Y_train": Y[:15]}, TRAIN, TEST, Y[:15], ""),
    "run together": ({"trainX": TRAIN, "xtest": TEST, "trainy": Y[:15]}, TRAIN, TEST, Y[:15], ""),
    "data and labels": ({"data": GREY, "labels": Y}, GREY, None, Y, ALONE),
    "features and target": ({"features": GREY, "target": Y.astype(float)}, GREY, None, Y, ALONE),
    "one-hot": ({"x": GREY, "y": np.eye(3)[Y]}, GREY, None, Y, ALONE),
    "savez": ({"arr_0": GREY}, GREY, None, None, f"{ALONE}; the examples are arr_0"),
    "any name": ({"faces": GREY, "ids": Y}, GREY, None, None, f"{ALONE}; the examples are faces; not read: ids (30,)"),
    "validation alone": ({"train": TRAIN, "valid": TEST}, TRAIN, TEST, None, "; valid is the test part"),
    "all and parts": ({"x": GREY, "x_train": TRAIN, "x_test": TEST}, TRAIN, TEST, None, "; not read: x (30, 4, 3)"),
    "objects beside": (
        {"x": GREY, "names": np.array([None] * 30, dtype=object)}, GREY, None, None,
        f"{ALONE}; not read: names (unread)",
    ),
    "many labels": (
        {"x": GREY, "y": np.ones((30, 2), int)}, GREY, None, None,
        f"{ALONE}; labels not read, which are not one integer or string a row: 'y' int64 (30, 2)",
    ),
    "measurements": (
        {"x": GREY, "y": np.linspace(0, 1, 30)}, GREY, None, None,
        f"{ALONE}; labels not read, which are not one integer or string a row: 'y' float64 (30,)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arrays", "train", "test", "labels", "said"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_arrays_find_their_parts_and_the_rest_is_named(tmp_path, cache, arrays, train, test, labels, said):
    np.savez(tmp_path / "mine.npz", **arrays)
    data = load(tmp_path / "mine.npz", cache=cache)
    assert data.source == f"mine.npz{said}"
    if test is None:
        rows = np.concatenate([data.train.x, data.test.x])
        assert sorted(map(bytes, rows)) == sorted(map(bytes, train.reshape(len(train), -1)))
    else:
        assert np.array_equal(data.train.x, train.reshape(len(train), -1))
        assert np.array_equal(data.test.x, test.reshape(len(test), -1))
    if labels is None:
        assert data.train.y is None
    else:
        assert sorted(data.train.y.tolist() + data.test.y.tolist() if test is None else data.train.y) == sorted(labels)


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
def test_a_sparse_matrix_is_read_as_its_dense_rows(tmp_path, cache, kind):
    counts = RNG.poisson(0.3, (40, 7)).astype(np.int32)
    scipy.sparse.save_npz(tmp_path / "counts.npz", scipy.sparse.csr_matrix(counts).asformat(kind))
    data = load(tmp_path / "counts.npz", cache=cache)
    assert (data.kind, data.shape) == ("vector", (7,))
    assert sorted(map(bytes, [*data.train.x, *data.test.x])) == sorted(map(bytes, counts.astype(np.float32)))
    assert "a sparse matrix made dense" in data.source


def test_a_sparse_matrix_too_large_or_damaged_is_refused(tmp_path, cache, monkeypatch):
    path = tmp_path / "counts.npz"
    scipy.sparse.save_npz(path, scipy.sparse.csr_matrix((10**6, 10**5), dtype=np.float32))
    with pytest.raises(InputError, match=r"sparse \(1000000, 100000\), 373 GiB as dense rows and more than 8; leave"):
        load(path, cache=cache)
    rows = {"indptr": np.arange(4), "data": np.ones(3), "shape": (3, 5), "format": b"csr"}
    for indices, message in (([0, 1, 99], "not a readable scipy.sparse matrix"), ([0, 1, -7], "not a readable")):
        np.savez(path, indices=np.array(indices), **rows)
        with pytest.raises(InputError, match=message):
            load(path, cache=cache)
    np.savez(path, indices=np.array([0, 1, 2]), **{**rows, "data": np.array([1, np.nan, 1])})
    with pytest.raises(InputError, match=r"has NaN or infinity .* in row 1"):
        load(path, cache=cache)
    monkeypatch.setattr(sparse_files, "_LIMIT", 10)
    with pytest.raises(InputError, match="as dense rows"):
        load(path, cache=cache)


@pytest.mark.parametrize("shape", [(50, 32, 1), (50, 1, 32)])
@pytest.mark.parametrize("scale", [1, 40])
def test_series_are_vectors_and_never_binarised(tmp_path, cache, shape, scale):
    series = (scale * (0.5 + 0.03 * np.sin(np.linspace(0, 6, 32) + RNG.rand(50, 1)))).astype(np.float32)
    np.save(tmp_path / "series.npy", series.reshape(shape))
    data = load(tmp_path / "series.npy", cache=cache)
    assert (data.kind, data.shape) == ("vector", (32,))
    assert sorted(map(bytes, [*data.train.x, *data.test.x])) == sorted(map(bytes, series))
    assert f"series [N, {shape[1]}, {shape[2]}] as vectors" in data.source
    check_likelihood(data, "gaussian")


LEVELS = {
    "k/255": GREY / 255,
    "k/255 in half precision": (GREY / 255).astype(np.float16),
    "k/255 to four decimals": np.round(GREY / 255, 4),
    "k/256": (GREY / 256).astype(np.float32),
    "sixteenths": (GREY // 16) / 16,
    "bits": (GREY > 99).astype(float),
}


@pytest.mark.parametrize("array", LEVELS.values(), ids=LEVELS.keys())
def test_floats_of_eight_bits_are_images(tmp_path, cache, array):
    np.save(tmp_path / "x.npy", array)
    data = load(tmp_path / "x.npy", cache=cache)
    assert (data.kind, data.shape) == ("image", (4, 3))
    stored = np.rint(array.astype(float) * 255).astype(np.uint8).reshape(30, -1)
    assert sorted(map(bytes, [*data.train.x, *data.test.x])) == sorted(map(bytes, stored))


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_that_stand_first_are_moved_last(tmp_path, cache, channels):
    array = RNG.randint(0, 256, (20, channels, 5, 6)).astype(np.uint8)
    np.savez(tmp_path / "x.npz", train=array[:12], test=array[12:])
    data = load(tmp_path / "x.npz", cache=cache)
    assert data.shape == ((5, 6) if channels == 1 else (5, 6, 3))
    assert np.array_equal(data.train.x, array[:12].transpose(0, 2, 3, 1).reshape(12, -1))
    assert np.array_equal(data.test.x, array[12:].transpose(0, 2, 3, 1).reshape(8, -1))
    assert "channels moved last (x.transpose(0, 2, 3, 1))" in data.source


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_integers_that_are_bits_are_black_and_white(tmp_path, cache, dtype):
    bits = RNG.randint(0, 2, (20, 4, 3)).astype(dtype)
    np.savez(tmp_path / "x.npz", train=bits[:12], test=bits[12:])
    data = load(tmp_path / "x.npz", cache=cache)
    assert np.array_equal(data.train.x, bits[:12].reshape(12, -1).astype(np.uint8) * 255)
    assert np.array_equal(data.test.x, bits[12:].reshape(8, -1).astype(np.uint8) * 255)
    assert "0 and 1 as 0 and 255" in data.source
