"""What bad data, folders and disks get: one sentence, exit code 2, before training, and nothing lost."""

# ruff: noqa: F811 - fixtures come by import

import errno
import gzip
import os
import pickle
import socket
import struct

import numpy as np
import pytest
from cli_process import TINY, bars, cli, outcome, own_cache, tree  # noqa: F401
from safetensors import SafetensorError

from lambda_vae.data.named import NAMED
from lambda_vae.runs import folder as folder_module
from lambda_vae.training import checkpoints

GREY = np.random.RandomState(0).randint(0, 256, (30, 4, 3)).astype(np.uint8)
FLOATS = np.random.RandomState(1).rand(30, 6).astype(np.float32)


def idx_bytes(images):
    return struct.pack(">4B3I", 0, 0, 8, 3, *images.shape) + images.tobytes()


class Bomb:
    """Pickled, it would end the test run when loaded."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was executed')",))


def saved(name, array, cut=None):
    def write(folder):
        np.save(folder / name, array)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:cut])
        return folder / name

    return write


def raw(name, content):
    def write(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return write


def npz(**arrays):
    def write(folder):
        np.savez(folder / "x.npz", **arrays)
        return folder / "x.npz"

    return write


def changed(array, value):
    array = array.copy()
    array.flat[7] = value
    return array


BAD_DATA = {
    "missing": (lambda folder: folder / "no.npz", [], "no.npz does not exist"),
    "truncated": (saved("x.npy", GREY, -5), [], "x.npy is truncated"),
    "corrupt": (raw("x.npz", b"hello"), [], "x.npz is not a readable .npz file"),
    "corrupt gzip": (raw("a-idx3-ubyte.gz", gzip.compress(idx_bytes(GREY))[:-20]), [], "truncated or corrupt"),
    "unknown ending": (raw("x.abc", b"1,2"), [], "x.abc is none of .npz"),
    "pickle in npy": (saved("x.npy", np.array([[Bomb()]] * 30, dtype=object)), [], "pickled Python objects"),
    "pickle in npz": (npz(x=np.array([[Bomb()]] * 30, dtype=object)), [], "pickled Python objects"),
    "pickle for npy": (raw("x.npy", pickle.dumps(Bomb())), [], "is not a readable numpy array"),
    "NaN": (saved("x.npy", changed(FLOATS, np.nan)), [], "has NaN or infinity"),
    "infinity": (saved("x.npy", changed(FLOATS, np.inf)), [], "has NaN or infinity"),
    "pixels above 1": (saved("x.npy", changed(GREY / 255, 1.5)), [], "values must lie in [0, 1]"),
    "pixels above 255": (saved("x.npy", changed(GREY.astype(int), 256)), [], "values must lie in [0, 255]"),
    "vectors under Bernoulli": (
        saved("x.npy", FLOATS * 3), ["--likelihood", "bernoulli"], "under a Bernoulli likelihood, has"
    ),
    "shape": (saved("x.npy", np.zeros(9)), [], "has shape (9,); it must be"),
    "dtype": (saved("x.npy", np.zeros((9, 4), complex)), [], "has the type complex128"),
    "empty": (saved("x.npy", GREY[:0]), [], "x has 0 examples"),
    "one example": (saved("x.npy", GREY[:1]), [], "x has 1 example; 2 to train and 1 to test"),
    "batch larger than data": (saved("x.npy", GREY), ["--batch_size", "28"], "a step takes 28 examples"),
    "empty folder": (lambda folder: folder, [], "holds no images"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["train", "compare"])
@pytest.mark.parametrize(("make", "words", "what"), BAD_DATA.values(), ids=BAD_DATA.keys())
def test_bad_data_is_refused_before_anything_is_written(cli, tmp_path, command, make, words, what):
    (tmp_path / "raw").mkdir()
    data = make(tmp_path / "raw")
    before = tree(tmp_path)
    said = cli(command, "--data", data, *TINY, "--epochs", 1, *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert said.err.startswith("lambda-vae: ")
    assert said.err.count("\n") == 1
    assert what in said.err
    assert tree(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_named_set_with_the_wrong_hash_is_refused(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path))
    monkeypatch.setenv("LAMBDA_VAE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mnist").mkdir()
    for file in NAMED["mnist"].renditions[0].files:
        (tmp_path / "mnist" / file.name).write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x01x"))
    said = cli("train", "--data", "mnist", "--epochs", 1, "--out", tmp_path / "out")
    assert said.code == 2
    assert "this is not the published mnist; remove it, or load it by its path" in said.err
    assert not (tmp_path / "out").exists()


def test_without_a_network_it_says_where_to_put_which_file(cli, tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound and not listening: every connection is refused
        row = NAMED["mnist"]
        rendition = row.renditions[0].__class__(row.renditions[0].files, (f"http://127.0.0.1:{port}/",), "here")
        monkeypatch.setitem(NAMED, "mnist", row.__class__(**{**vars(row), "renditions": (rendition,)}))
        monkeypatch.setenv("LAMBDA_VAE_CACHE", str(tmp_path / "cache"))
        said = cli("train", "--data", "mnist", "--epochs", 1, "--out", tmp_path / "out")
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "train-images-idx3-ubyte.gz of mnist could not be had" in said.err
    assert f"into {tmp_path / 'cache' / 'raw' / 'mnist'}" in said.err
    assert "t10k-labels-idx1-ubyte.gz" in said.err
    assert not (tmp_path / "out").exists()


def other_files(out):
    out.mkdir()
    (out / "thesis.tex").write_text("years of work")


def a_file(out):
    out.write_text("years of work")


def below_a_file(out):
    out.parent.mkdir()
    out.parent.rmdir()
    out.parent.write_text("years of work")


def a_comparison(out):
    (out / "configs").mkdir(parents=True)
    (out / "configs" / "vae-seed0.yaml").write_text("data: digits")


def a_broken_config(out):
    out.mkdir()
    (out / "config.yaml").write_text("epoch: 3")


FOLDERS = {
    "other files": (other_files, {"train": "is not empty and holds no run", "compare": "and holds no comparison"}),
    "a file": (a_file, {"train": "is a file; choose another --out", "compare": "is a file; choose another --out"}),
    "below a file": (below_a_file, {"train": "is a file; choose another", "compare": "is a file; choose another"}),
    "a comparison": (
        a_comparison,
        {"train": "holds a comparison", "compare": "already; add --resume"},
    ),
    "a broken config": (a_broken_config, {"train": "unknown key 'epoch'", "compare": "and holds no comparison"}),
}


@pytest.mark.parametrize("command", ["train", "compare"])
@pytest.mark.parametrize(("fill", "what"), FOLDERS.values(), ids=FOLDERS.keys())
def test_a_folder_that_is_taken_is_refused_and_stays_as_it_is(cli, tmp_path, bars, command, fill, what):
    out = tmp_path / "there" / "out"
    if fill is not below_a_file:
        out.parent.mkdir()
    fill(out)
    before = tree(tmp_path)
    said = cli(command, "--data", bars, *TINY, "--epochs", 1, "--out", out)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert what[command] in said.err
    assert tree(tmp_path) == before  # no lock file either


def test_a_lock_left_in_an_empty_folder_does_not_matter(cli, tmp_path, bars):
    out = tmp_path / "out"
    out.mkdir()
    (out / ".lock").touch()
    words = ("train", "--data", bars, *TINY, "--epochs", 1, "--report", "false", "--out", out)
    assert cli(*words).code == 0


def test_a_folder_in_use_is_refused(cli, tmp_path, bars):
    out = tmp_path / "out"
    words = ("train", "--data", bars, *TINY, "--epochs", 1, "--report", "false", "--out", out)
    with folder_module.locked(out):
        said = cli(*words)
        assert said.code == 2
        assert f"another process is training in {out}" in said.err
    assert cli(*words).code == 0


def test_an_unwritable_folder_is_refused(cli, tmp_path, bars, monkeypatch):
    real = os.open

    def refuse(path, *rest, **more):
        if str(path).endswith(".lock"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    said = cli("train", "--data", bars, *TINY, "--epochs", 1, "--out", tmp_path / "out")
    assert said.code == 2
    assert "Permission denied; choose a place you may write to" in said.err
    assert said.err.count("\n") == 1


def test_a_disk_with_no_room_is_refused_before_training(cli, tmp_path, bars, monkeypatch):
    usage = folder_module.shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda path: usage)
    for command in ("train", "compare"):
        said = cli(command, "--data", bars, *TINY, "--epochs", 1, "--out", tmp_path / "out")
        assert said.code == 2
        assert "only 1 MiB are free" in said.err
        assert not (tmp_path / "out").exists()


def full_for_safetensors(monkeypatch, after):
    """The third checkpoint finds the disk full, as safetensors says it."""
    real, calls = checkpoints.save_file, []

    def save(tensors, path, metadata):
        calls.append(path)
        if len(calls) > after:
            path.write_bytes(b"a part")
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
        real(tensors, path, metadata=metadata)

    monkeypatch.setattr(checkpoints, "save_file", save)


def full_for_renaming(monkeypatch, after):
    """The third checkpoint finds the disk full, as the system says it."""
    real, calls = os.replace, []

    def replace(source, target):
        calls.extend([target] * (target.suffix == ".safetensors"))
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("fill", [full_for_safetensors, full_for_renaming])
def test_a_disk_that_fills_up_loses_no_checkpoint(cli, tmp_path, bars, fill):
    words = ("train", "--data", bars, "--epochs", 4, "--checkpoint_every", 1, *TINY, "--report", "false")
    assert cli(*words, "--out", tmp_path / "whole").code == 0
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        fill(patch, 2)
        said = cli(*words, "--out", out)
    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "No space left on device" in said.err
    assert "free some room and go on with --resume" in said.err
    assert [path.name for path in sorted((out / "checkpoints").iterdir())] == [
        "epoch-00001-step-0000000.safetensors", "epoch-00002-step-0000000.safetensors"
    ]  # fmt: skip
    assert cli(*words, "--out", out, "--resume").code == 0
    assert outcome(out) == outcome(tmp_path / "whole")
