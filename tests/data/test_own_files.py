import gzip
import os

import numpy as np
import pytest
import torch
from data_samples import TINY, write_idx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from scipy.io import savemat
from scipy.sparse import csc_matrix

from lambda_vae.data import describe, load, source, verify

RNG = np.random.RandomState(0)
GREY = RNG.randint(0, 256, (20, 4, 3)).astype(np.uint8)
COLOUR = RNG.randint(0, 256, (20, 4, 3, 3)).astype(np.uint8)
VECTORS = RNG.randn(20, 6)


def rows_of(data):
    """All rows, both parts, in an order that does not depend on the split."""
    return sorted(map(bytes, [*data.train.x, *data.test.x]))


@pytest.mark.parametrize(
    ("array", "kind", "shape", "stored"),
    [
        (GREY, "image", (4, 3), GREY),
        (GREY[..., None], "image", (4, 3), GREY),
        (COLOUR, "image", (4, 3, 3), COLOUR),
        (GREY.astype(np.int64), "image", (4, 3), GREY),
        (GREY.astype(">f4") / 255, "image", (4, 3), GREY),
        (GREY > 99, "image", (4, 3), (GREY > 99).astype(np.uint8) * 255),
        (np.asfortranarray(GREY), "image", (4, 3), GREY),
        (VECTORS, "vector", (6,), VECTORS.astype(np.float32)),
        (VECTORS.astype(np.float16), "vector", (6,), VECTORS.astype(np.float16).astype(np.float32)),
        (np.asfortranarray(VECTORS), "vector", (6,), VECTORS.astype(np.float32)),
    ],
    ids=["uint8", "one channel", "colour", "int64", "float", "bool", "fortran", "vector", "float16", "fortran vector"],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_array_is_stored_by_its_shape_and_type(tmp_path, cache, array, kind, shape, stored, suffix):
    path = tmp_path / f"mine{suffix}"
    np.save(path, array) if suffix == ".npy" else np.savez_compressed(path, x=array)
    data = load(path, cache=cache)
    assert (data.name, data.kind, data.shape) == ("mine", kind, shape)
    assert (len(data.train), len(data.test)) == (18, 2)
    assert data.train.x.dtype == stored.dtype
    assert rows_of(data) == sorted(map(bytes, stored.reshape(20, -1)))
    assert data.train.tensor().shape == (18, data.features)
    assert ("rounded to k/255" in data.source) == (kind == "image" and array.dtype.kind == "f")


def test_split_off_part_is_the_same_every_time_and_labels_follow(tmp_path, cache):
    np.savez(tmp_path / "x.npz", images=GREY, labels=np.arange(20))
    data = load(tmp_path / "x.npz", cache=cache)
    for split in (data.train, data.test):
        assert np.array_equal(split.x, GREY[split.y].reshape(len(split), -1))
    assert data.test.y.tolist() == [1, 18]


def test_archive_with_parts_keeps_them(tmp_path, cache):
    np.savez(tmp_path / "x.npz", train=GREY[:12], test=GREY[12:], y_train=np.arange(12), y_test=np.arange(12, 20))
    data = load(tmp_path / "x.npz", cache=cache)
    assert np.array_equal(data.train.x, GREY[:12].reshape(12, -1))
    assert np.array_equal(data.test.x, GREY[12:].reshape(8, -1))
    assert data.test.y.tolist() == list(range(12, 20))


def test_string_labels_become_numbers_in_alphabetical_order(tmp_path, cache):
    names = np.array(["owl", "ant"] * 10)
    np.savez(tmp_path / "x.npz", x_train=GREY, x_test=GREY[:3], y_train=names, y_test=np.array(["bee", "ant", "owl"]))
    data = load(tmp_path / "x.npz", cache=cache)
    assert data.classes == ("ant", "bee", "owl")
    assert data.train.y[:2].tolist() == [2, 0]
    assert data.test.y.tolist() == [1, 0, 2]


def test_label_names_are_kept(tmp_path, cache):
    np.savez(tmp_path / "x.npz", x=GREY, y=np.arange(20) % 2, label_names=np.array(["even", "odd"]))
    assert load(tmp_path / "x.npz", cache=cache).classes == ("even", "odd")


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    array=hnp.arrays(np.uint8, st.tuples(st.integers(3, 30), st.integers(1, 5), st.integers(1, 5))),
    zipped=st.booleans(),
    chunk=st.integers(1, 50),
)
def test_idx_round_trip_keeps_every_byte(tmp_path_factory, array, zipped, chunk):
    array[:, 0, 0] = 255  # an image without a bright pixel is refused
    folder = tmp_path_factory.mktemp("idx")
    path = write_idx(folder / f"a-idx3-ubyte{'.gz' * zipped}", array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "CHUNK_BYTES", chunk)
        data = load(path, cache=folder / "cache")
    assert data.shape == array.shape[1:]
    assert rows_of(data) == sorted(map(bytes, array.reshape(len(array), -1)))


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    array=hnp.arrays(np.float32, (5, 3), elements=st.floats(-(2.0**100), 2.0**100, width=32)), chunk=st.integers(1, 50)
)
def test_vectors_round_trip_exactly(tmp_path_factory, array, chunk):
    folder = tmp_path_factory.mktemp("npy")
    np.save(folder / "a.npy", array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "CHUNK_BYTES", chunk)
        data = load(folder / "a.npy", cache=folder / "cache")
    assert rows_of(data) == sorted(map(bytes, array))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_folder_of_idx_files_loads_with_its_labels(tmp_path, cache, ending):
    for name, array in TINY.items():
        write_idx(tmp_path / f"{name}{ending}", array)
    data = load(tmp_path, cache=cache)
    assert np.array_equal(data.train.x.reshape(-1, 5, 4), TINY["train-images-idx3-ubyte"])
    assert data.test.y.tolist() == TINY["t10k-labels-idx1-ubyte"].tolist()


def test_gzip_is_told_by_content_not_by_name(tmp_path, cache):
    for name, array in TINY.items():
        path = write_idx(tmp_path / name, array)
        path.write_bytes(gzip.compress(path.read_bytes()))
    assert len(load(tmp_path, cache=cache).train) == 12


def test_single_idx_file_takes_the_labels_beside_it(tmp_path, cache):
    path = write_idx(tmp_path / "my-images-idx3-ubyte", GREY)
    bare = load(path, cache=cache)
    assert bare.train.y is None
    write_idx(tmp_path / "my-labels-idx1-ubyte.gz", np.arange(20))
    data = load(path, cache=cache)
    assert np.array_equal(data.train.x, GREY[data.train.y].reshape(18, -1))


@pytest.mark.parametrize(("train", "test"), [("train", "t10k"), ("letters-train", "letters-test")])
def test_single_idx_file_names_the_test_part_beside_it(tmp_path, cache, train, test):
    path = write_idx(tmp_path / f"{train}-images-idx3-ubyte", GREY)
    write_idx(tmp_path / f"{test}-images-idx3-ubyte", GREY[:3])
    assert load(path, cache=cache).source.endswith(f"; not read: {test}-images-idx3-ubyte")


def save_images(folder, images, suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}{suffix}")


@pytest.mark.parametrize("images", [GREY, COLOUR], ids=["grey", "colour"])
def test_folder_of_images_keeps_every_pixel(tmp_path, cache, images, monkeypatch):
    monkeypatch.setattr(source, "CHUNK_BYTES", 100)
    save_images(tmp_path / "all", images)
    data = load(tmp_path / "all", cache=cache)
    assert data.shape == images.shape[1:]
    assert (data.train.y, data.classes) == (None, None)
    assert rows_of(data) == sorted(map(bytes, images.reshape(20, -1)))


def test_subfolders_are_labels_and_train_and_test_are_parts(tmp_path, cache):
    for part, images in (("train", GREY[:12]), ("test", GREY[12:])):
        save_images(tmp_path / part / "b", images[:3])
        save_images(tmp_path / part / "a", images[3:])
    data = load(tmp_path, cache=cache)
    assert data.classes == ("a", "b")
    assert data.train.y.tolist() == [0] * 9 + [1] * 3
    assert np.array_equal(data.train.x[-3:], GREY[:3].reshape(3, -1))
    assert (len(data.train), len(data.test)) == (12, 8)


def test_transparent_pixels_are_laid_on_white(tmp_path, cache):
    pixels = np.zeros((3, 2, 2, 4), np.uint8)
    pixels[:, 0, 0] = (255, 0, 0, 255)
    save_images(tmp_path / "all", pixels)
    data = load(tmp_path / "all", cache=cache)
    assert data.test.x[0].tolist() == [255, 0, 0] + [255] * 9


def test_matlab_layout_is_read_column_major(tmp_path, cache):
    images = RNG.randint(0, 256, (9, 28, 28))
    data = images.transpose(2, 1, 0).reshape(784, 9) / 255
    target = np.eye(3)[np.arange(9) % 3].T
    content = {"data": data, "testdata": data[:, :4], "target": csc_matrix(target), "testtarget": target[:, :4]}
    savemat(tmp_path / "mine.mat", content | {"more": np.ones((1, 9))}, do_compression=True)
    loaded = load(tmp_path / "mine.mat", cache=cache)
    assert np.array_equal(loaded.train.x.reshape(-1, 28, 28), images)
    assert loaded.test.y.tolist() == [0, 1, 2, 0]
    assert loaded.train.y[:3].tolist() == [0, 1, 2]
    assert loaded.source.endswith("; not read: more (1, 9)")


def test_name_of_a_set_wins_over_a_file_and_a_path_reaches_the_file(tmp_path, cache, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_images(tmp_path / "digits", GREY)
    assert load("digits", cache=cache).shape == (8, 8)
    assert load("./digits", cache=cache).shape == (4, 3)


def test_own_data_is_listed_and_verified_against_its_raw_file(tmp_path, cache):
    path = tmp_path / "my data.npy"
    np.save(path, VECTORS)
    load(path, cache=cache)
    row = describe(cache)[-1]
    assert (row.name, row.kind, row.train, row.test, row.prepared) == ("my-data", "vector", 18, 2, True)
    assert all(check.ok for check in verify(path, cache=cache))
    assert f"raw {path}" in [check.what for check in verify(path, cache=cache)]
    stat = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    bad = [check for check in verify(path, cache=cache) if not check.ok]
    assert [check.what for check in bad] == [f"raw {path}"]


def test_batch_is_read_through_the_map(tmp_path, cache):
    np.save(tmp_path / "x.npy", VECTORS)
    data = load(tmp_path / "x.npy", cache=cache)
    index = torch.tensor([5, 0])
    assert torch.equal(data.train.tensor().index_select(0, index), torch.from_numpy(data.train.x[[5, 0]]))
