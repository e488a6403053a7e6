"""Every kind of bad data gets one sentence: a table of files that must be refused, and of what is said of them."""

import gzip
import pickle
import zipfile

import numpy as np
import pytest
from data_samples import TINY, idx_bytes, write_idx
from PIL import Image
from scipy.io import savemat

from lambda_vae.data import check_batch, check_likelihood, load
from lambda_vae.errors import InputError

GREY = np.random.RandomState(0).randint(0, 256, (20, 4, 3)).astype(np.uint8)
FLOATS = np.random.RandomState(1).rand(20, 6)


class Bomb:
    """Pickled, it would end the test run when loaded."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was executed')",))


def npy(array, cut=None):
    def write(folder):
        np.save(folder / "x.npy", array)
        if cut:
            (folder / "x.npy").write_bytes((folder / "x.npy").read_bytes()[:cut])
        return folder / "x.npy"

    return write


def npz(**arrays):
    def write(folder):
        np.savez(folder / "x.npz", **arrays)
        return folder / "x.npz"

    return write


def raw(name, content):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


def changed(array, index, value):
    array = array.copy()
    array[index] = value
    return array


def broken_npz(folder):
    path = npz(x=np.zeros((20, 400)))(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    return path


def npz_with_text(folder):
    with zipfile.ZipFile(folder / "x.npz", "w") as archive:
        archive.writestr("x.npy", "hello")
    return folder / "x.npz"


def images(*made, names=None):
    def write(folder):
        for number, image in enumerate(made):
            name = names[number] if names else f"{number}.png"
            if isinstance(image, bytes):
                (folder / name).write_bytes(image)
            else:
                Image.fromarray(image).save(folder / name)
        return folder

    return write


def cut_png(folder):
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (40, 40)).astype(np.uint8)).save(folder / "0.png")
    (folder / "0.png").write_bytes((folder / "0.png").read_bytes()[:600])
    return folder


def idx_folder(**changes):
    def write(folder):
        for name, array in TINY.items():
            array = changes.get(name[:7].replace("-", "_"), array)
            if array is not None:
                write_idx(folder / name, array)
        return folder

    return write


def mat(**changes):
    def write(folder):
        content = {"data": np.zeros((784, 5)), "testdata": np.zeros((784, 3))}
        savemat(folder / "x.mat", {k: v for k, v in (content | changes).items() if v is not None})
        return folder / "x.mat"

    return write


GOOD_IDX = idx_bytes(TINY["train-images-idx3-ubyte"])
CORRUPT_GZ = bytearray(gzip.compress(GOOD_IDX))
CORRUPT_GZ[60] ^= 255

BAD = {
    "missing file": (lambda folder: folder / "no.npz", "no.npz does not exist"),
    "unknown ending": (raw("x.abc", b"1,2"), "x.abc is none of .npz, .npy, .*; convert it to one"),
    "hdf5": (raw("x.h5", b"1"), r"x.h5 is none of .*; take the array out of it: numpy.save\('x.npy', h5py"),
    "torch file": (raw("x.pt", b"1"), "x.pt is none of .*; it may hold code and is never loaded"),
    "zip of images": (raw("x.zip", b"1"), "x.zip is none of .*; unpack it"),
    "packed array": (raw("x.npy.gz", b"1"), "x.npy.gz is none of .*; unpack it"),
    "npy empty file": (raw("x.npy", b""), "x.npy is not a readable numpy array"),
    "npy of text": (raw("x.npy", b"hello world"), "x.npy is not a readable numpy array"),
    "npy is a pickle": (raw("x.npy", pickle.dumps(Bomb())), "x.npy is not a readable numpy array"),
    "npy of objects": (npy(np.array([[Bomb()]] * 5, dtype=object)), "holds pickled Python objects, which are never"),
    "npz of objects": (npz(x=np.array([[Bomb()]] * 5, dtype=object)), "holds pickled Python objects, which are never"),
    "npz labels of objects": (
        npz(x=GREY, y=np.array([Bomb()] * 20, dtype=object)),
        "'y', holds pickled Python objects",
    ),
    "npy header cut": (npy(GREY, cut=30), "x.npy is not a readable numpy array"),
    "npy data cut": (npy(GREY, cut=-5), "x.npy is truncated"),
    "npy fortran data cut": (npy(np.asfortranarray(GREY), cut=-5), "x.npy is damaged"),
    "npz cut": (lambda f: raw("x.npz", npz(x=GREY)(f).read_bytes()[:-30])(f), "x.npz is not a readable .npz file"),
    "npz of text": (raw("x.npz", b"hello"), "x.npz is not a readable .npz file"),
    "npz bit flipped": (broken_npz, "x.npz, 'x', is damaged .*CRC"),
    "npz member of text": (npz_with_text, "x.npz, 'x', is not a readable numpy array"),
    "npz of two candidates": (npz(x=GREY, images=GREY), "has x .* and images .*, of which either may be the examples"),
    "npz of a test part alone": (npz(x_test=GREY), r"has the arrays x_test \(20, 4, 3\); name"),
    "npz without known keys": (
        npz(a=GREY, b=GREY),
        r"has the arrays a \(20, 4, 3\), b \(20, 4, 3\); name the examples x",
    ),
    "npz with labels alone": (npz(y=np.arange(5)), r"has the arrays y \(5,\); name the examples x"),
    "scalar": (npy(np.float32(1)), "is a single value"),
    "one axis": (npy(np.zeros(9)), r"has shape \(9,\); it must be \[N, F\]"),
    "two channels": (npy(np.zeros((9, 4, 4, 2))), r"has shape \(9, 4, 4, 2\); it must be"),
    "four channels": (npy(np.zeros((9, 4, 4, 4))), r"four channels; .* save x\[\.\.\., :3\]"),
    "four channels first": (npy(np.zeros((9, 4, 5, 5))), r"four channels; .* x\[:, :3\]\.transpose\(0, 2, 3, 1\)"),
    "videos": (npy(np.zeros((9, 2, 4, 4, 3))), r"or save x\.reshape\(len\(x\), -1\) for vectors"),
    "series": (npy(FLOATS.reshape(20, 3, 2)), r"may be series or images: save x\.reshape\(len\(x\), -1\) for vectors"),
    "standardised series": (npy(FLOATS.reshape(20, 3, 2) - 0.5), r"may be series or images: .* under a Gaussian"),
    "integer series": (npy(GREY[..., :1].astype(int)), r"x\.reshape\(len\(x\), -1\)\.astype\('float32'\)"),
    "standardised images": (
        npy(FLOATS.reshape(20, 3, 2, 1) * 9 - 4),
        r"must lie in \[0, 1\]: save images scaled to it",
    ),
    "levels 0 to 16": (npy(GREY // 16), "the brightest pixel of x is 15, where white is 255"),
    "bits, then more": (
        npy(
            np.concatenate([np.arange(2**23, dtype=np.uint8).reshape(-1, 1024, 1024) % 2, np.full((9, 1024, 1024), 2)])
        ),
        r"has 2 in row 8; values must lie in \[0, 1\]: as in the rows before",
    ),
    "integers without a shape": (npy(np.zeros((9, 4), np.uint8)), r"is uint8 \(9, 4\); give vectors as floats"),
    "complex": (npy(np.zeros((9, 4), complex)), "has the type complex128"),
    "strings": (npy(np.array([["a"]] * 9)), "has the type <U1"),
    "records": (npy(np.zeros(9, [("a", "f4")])), "has the type .*'a'"),
    "NaN in vectors": (npy(changed(FLOATS, (7, 2), np.nan)), "has NaN or infinity .*in row 7"),
    "infinity in vectors": (npy(changed(FLOATS, (3, 0), -np.inf)), "has NaN or infinity .*in row 3"),
    "beyond float32": (npy(changed(FLOATS, (4, 0), 1e300)), r"beyond float32\) in row 4"),
    "NaN in images": (npy(changed(GREY / 255, (6, 0, 0), np.nan)), "has NaN or infinity .*in row 6"),
    "floats above 1": (npy(changed(GREY / 255, (5, 1, 1), 1.5)), r"has 1.5 in row 5; values must lie in \[0, 1\]"),
    "floats in 0..255": (npy(GREY.astype(np.float32)), r"of whole numbers; .* \[0, 1\]: save images as x.astype"),
    "float images in 0..255": (npy(GREY[..., None].astype(np.float32)), r"must lie in \[0, 1\]: save x / 255"),
    "negative integers": (npy(changed(GREY.astype(int), (2, 0, 0), -1)), r"has -1 in row 2; .*\[0, 255\]"),
    "integers above 255": (npy(changed(GREY.astype(int), (2, 0, 0), 256)), r"has 256 in row 2; .*\[0, 255\]"),
    "no examples": (npy(GREY[:0]), "x has 0 examples"),
    "one example": (npy(GREY[:1]), "x has 1 example; 2 to train and 1 to test"),
    "two examples": (npy(GREY[:2]), "x has 2 examples; 2 to train"),
    "no test examples": (npz(train=GREY, test=GREY[:0]), "the test part of x has 0 examples; at least 1"),
    "one training example": (npz(train=GREY[:1], test=GREY), "the training part of x has 1 example; at least 2"),
    "empty examples": (npy(np.zeros((9, 0))), r"one example has shape \(0,\)"),
    "parts of two shapes": (npz(train=GREY, test=GREY[:, :2]), r"holds images of shape \(2, 3\) and the training part"),
    "parts of two kinds": (npz(train=FLOATS, test=GREY), "holds images .* and the training part vectors"),
    "too few labels": (npz(x=GREY, y=np.arange(19)), "'y', has 19 labels for 20 examples"),
    "too many test labels": (
        npz(train=GREY, test=GREY, y_test=np.arange(21)),
        "'y_test', has 21 labels for 20 examples",
    ),
    "fewer names than labels": (
        npz(x=GREY, y=np.arange(20) % 3, classes=np.array(["a", "b"])),
        "'classes', names 2 classes and there is a label 2",
    ),
    "idx empty": (raw("a-idx3-ubyte", b""), "not an IDX file"),
    "idx of text": (raw("a-idx3-ubyte", b"hello world"), "not an IDX file"),
    "idx of floats": (raw("a-idx3-ubyte", b"\0\0\x0d\x03" + bytes(12)), "holds IDX type 0x0d"),
    "idx header cut": (raw("a-idx3-ubyte", GOOD_IDX[:9]), "truncated in its header"),
    "idx data cut": (raw("a-idx3-ubyte", GOOD_IDX[:-1]), "truncated .*12 of 12 rows"),
    "idx too long": (raw("a-idx3-ubyte", GOOD_IDX + b"x"), "longer than its header says"),
    "idx of labels": (raw("a-idx1-ubyte", idx_bytes(np.arange(9))), r"has shape \(9,\); images must be"),
    "gz cut": (raw("a-idx3-ubyte.gz", gzip.compress(GOOD_IDX)[:-20]), "truncated or corrupt"),
    "gz corrupt": (raw("a-idx3-ubyte.gz", bytes(CORRUPT_GZ)), "truncated or corrupt"),
    "idx folder without test": (idx_folder(t10k_im=None), "has no t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz"),
    "idx folder of two shapes": (idx_folder(t10k_im=np.zeros((6, 2, 2))), r"train images are \(5, 4\) and test"),
    "idx labels too few": (idx_folder(train_l=np.zeros(3)), r"has shape \(3,\); 12 images need labels"),
    "folder empty": (lambda folder: folder, "holds no images"),
    "folder of arrays": (
        lambda folder: npy(GREY)(folder).parent,
        r"holds no images .* other files not read: .npy 1; give the path of a file",
    ),
    "folder of two sizes": (
        images(GREY[0], GREY[1], GREY[2, :2]),
        r"2.png has shape \(2, 3\) .* all images must have one",
    ),
    "folder of two modes": (images(GREY[0], GREY[1], GREY), "all images must have one size"),
    "image of text": (
        images(GREY[0], b"hello", GREY[1], names=["0.png", "1.png", "2.png"]),
        "1.png is truncated or not",
    ),
    "image empty": (images(b"", names=["0.png"]), "0.png is truncated or not an image"),
    "image cut": (cut_png, "0.png is truncated or not an image"),
    "image of 16 bits": (images(GREY[0].astype(np.uint16)), "I;16 pixels; only images of 8 bits"),
    "one image": (images(GREY[0]), "has 1 example; 2 to train"),
    "mat of text": (raw("x.mat", b"hello" * 99), "x.mat is not a readable MATLAB v5 file"),
    "mat empty": (raw("x.mat", b""), "x.mat is not a readable MATLAB v5 file"),
    "mat without test": (mat(testdata=None), "'testdata' is absent"),
    "mat of another shape": (mat(data=np.zeros((5, 784))), r"'data' is float64 \(5, 784\)"),
    "mat of another layout": (
        lambda f: savemat(f / "x.mat", {"X": np.zeros((3, 4)), "y": np.ones(3)}) or f / "x.mat",
        r"'data' is absent; .* the file holds X \(3, 4\), y \(1, 3\): .*scipy.io.loadmat",
    ),
    "mat of MATLAB 7.3": (
        raw("x.mat", b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(400)),
        "is of MATLAB 7.3; save it again with save",
    ),
    "mat labels of words": (mat(target=np.array([["a"] * 5], dtype=object)), "target is .*; it must be one-hot"),
    "mat out of range": (mat(data=np.full((784, 5), 2.0)), r"'data' has values outside \[0, 1\]"),
    "mat with NaN": (mat(data=np.full((784, 5), np.nan)), r"'data' has values outside \[0, 1\]"),
    "mat labels too few": (mat(target=np.zeros((50, 3))), r"target is \(50, 3\); it must be one-hot"),
}


@pytest.mark.parametrize(("make", "message"), BAD.values(), ids=BAD.keys())
def test_bad_data_is_refused_in_one_sentence(tmp_path, make, message):
    folder = tmp_path / "raw"
    folder.mkdir()
    path = make(folder)
    with pytest.raises(InputError, match=message) as caught:
        load(path, cache=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("cache/*"))


def test_vectors_outside_the_unit_interval_are_no_bernoulli_data(tmp_path):
    for name, array, fine in [("in", FLOATS, True), ("out", FLOATS * 3, False)]:
        np.save(tmp_path / f"{name}.npy", array)
        data = load(tmp_path / f"{name}.npy", cache=tmp_path / "cache")
        check_likelihood(data, "gaussian")
        if fine:
            check_likelihood(data, "bernoulli")
        else:
            with pytest.raises(InputError, match=r"out \(train\), under a Bernoulli likelihood, has .* in row 0"):
                check_likelihood(data, "bernoulli")


def test_images_are_bernoulli_data(tmp_path):
    np.save(tmp_path / "x.npy", GREY)
    check_likelihood(load(tmp_path / "x.npy", cache=tmp_path / "cache"), "bernoulli")


def test_batch_larger_than_the_data_is_refused():
    check_batch(10, 10)
    with pytest.raises(
        InputError, match="a step takes 11 examples and the training data has 10; use a batch size of at"
    ):
        check_batch(10, 11)
