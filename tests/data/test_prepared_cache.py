import errno
import json
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch

from lambda_vae.data import Split, load, prepare, rawfiles, source, verify
from lambda_vae.data import cache as cache_room
from lambda_vae.data.cache import default_cache, open_array, open_prepared, store
from lambda_vae.data.source import Part, Source
from lambda_vae.errors import InputError

ROWS = np.random.RandomState(0).randint(0, 256, (10, 3, 2)).astype(np.uint8)


def part(rows, fault=None):
    def chunks():
        yield rows[: len(rows) // 2]
        if fault is not None:
            raise fault
        yield rows[len(rows) // 2 :]

    return Part(len(rows), chunks, np.arange(len(rows)))


def small(fault=None):
    return Source("image", (3, 2), part(ROWS[:7], fault), part(ROWS[7:]), "made up", ("a", "b"))


def test_stored_source_opens_as_it_was(cache):
    store(cache / "set-1", "set", small(), [])
    data = open_prepared(cache / "set-1")
    assert (data.name, data.kind, data.shape, data.features, data.classes) == ("set", "image", (3, 2), 6, ("a", "b"))
    assert np.array_equal(data.train.x, ROWS[:7].reshape(7, 6))
    assert data.train.x.dtype == np.uint8
    assert data.test.y.tolist() == [0, 1, 2]
    assert isinstance(data.train.x, np.memmap)
    assert sorted(path.name for path in cache.iterdir()) == ["set-1"]


def test_hash_follows_content_alone(cache):
    hashes = []
    for name, made in [
        ("a", small()),
        ("b", small()),
        ("c", Source("image", (2, 3), part(ROWS[:7]), part(ROWS[7:]), "")),
    ]:
        store(cache / name, name, made, [{"path": name, "sha256": name}])
        hashes.append(open_prepared(cache / name).sha256)
    assert hashes[0] == hashes[1] != hashes[2]


def test_tensor_is_over_the_map_and_writing_to_it_spares_the_file(cache):
    store(cache / "set", "set", small(), [])
    data = open_prepared(cache / "set")
    rows = data.train.tensor()
    assert rows.data_ptr() == data.train.x.ctypes.data
    assert torch.equal(rows.index_select(0, torch.tensor([3])), torch.from_numpy(ROWS[3].reshape(1, 6)))
    rows[0, 0] = 255 - rows[0, 0]
    assert np.array_equal(open_prepared(cache / "set").train.x[0], ROWS[0].ravel())
    assert data.train.labels().dtype == torch.int64


def test_map_falls_back_to_read_only_where_copy_on_write_is_refused(cache, monkeypatch):
    store(cache / "set", "set", small(), [])
    real = np.load

    def refusing(path, mmap_mode, allow_pickle):
        if mmap_mode == "c":
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return real(path, mmap_mode=mmap_mode, allow_pickle=allow_pickle)

    monkeypatch.setattr(np, "load", refusing)
    array = open_array(cache / "set" / "train_x.npy")
    assert not array.flags.writeable
    assert torch.equal(Split(array, None).tensor(), torch.from_numpy(ROWS[:7].reshape(7, 6)))


def test_split_without_labels_has_none(cache):
    bare = [Part(len(rows), lambda rows=rows: iter([rows]), None) for rows in (ROWS[:7], ROWS[7:])]
    store(cache / "set", "set", Source("image", (3, 2), *bare, ""), [])
    data = open_prepared(cache / "set")
    assert data.train.y is None
    assert data.train.labels() is None


@pytest.mark.parametrize("fault", [InputError("damaged half-way"), KeyboardInterrupt()], ids=["damage", "interrupt"])
def test_broken_off_preparation_leaves_nothing(cache, fault):
    with pytest.raises(type(fault)):
        store(cache / "set", "set", small(fault), [])
    assert list(cache.iterdir()) == []


def test_rows_that_went_missing_are_noticed(cache):
    short = Part(7, lambda: iter([ROWS[:6]]), None)
    with pytest.raises(InputError, match="train_x should have 7 rows and has 6"):
        store(cache / "set", "set", Source("image", (3, 2), short, part(ROWS[7:]), ""), [])


def test_full_disk_is_one_sentence_and_leaves_nothing(cache, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache_room, "_write_part", full)
    with pytest.raises(InputError, match=r"the disk of .* is full; free some space"):
        store(cache / "set", "set", small(), [])
    assert list(cache.iterdir()) == []


def test_cache_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .*; set LAMBDA_VAE_CACHE"):
        store(tmp_path / "file" / "set", "set", small(), [])


def test_preparing_at_once_gives_one_whole_folder(cache):
    barrier = Barrier(4)

    def go(_):
        barrier.wait()
        return load("digits", cache=cache).sha256

    with ThreadPoolExecutor(4) as pool:
        hashes = set(pool.map(go, range(4)))
    assert len(hashes) == 1
    assert len(list(cache.iterdir())) == 1
    assert all(check.ok for check in verify("digits", cache=cache))


def test_leavings_of_killed_preparations_are_swept_after_a_day(cache):
    old, young = cache / ".set.old.tmp", cache / ".set.young.tmp"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    store(cache / "set", "set", small(), [])
    assert sorted(path.name for path in cache.iterdir()) == [".set.young.tmp", "set"]


def test_second_load_reads_the_cache_alone(tmp_path, cache):
    np.save(tmp_path / "x.npy", np.zeros((20, 3)))
    first = load(tmp_path / "x.npy", cache=cache)
    written = {path: path.stat().st_mtime_ns for path in cache.rglob("*")}
    assert load(tmp_path / "x.npy", cache=cache).sha256 == first.sha256
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*")} == written


def test_changed_file_is_prepared_anew(tmp_path, cache):
    np.save(tmp_path / "x.npy", np.zeros((20, 3)))
    first = load(tmp_path / "x.npy", cache=cache)
    np.save(tmp_path / "x.npy", np.ones((30, 3)))
    second = load(tmp_path / "x.npy", cache=cache)
    assert len(second.train) == 27
    assert first.sha256 != second.sha256


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "not an array": lambda path: path.write_text("hello"),
    "another array": lambda path: np.save(path, np.zeros((2, 2), np.uint8)),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_cache_is_one_sentence_with_the_folder(cache, damage):
    folder = prepare("digits", cache=cache)
    damage(folder / "train_x.npy")
    with pytest.raises(
        InputError, match=rf"train_x.npy is missing or damaged .*; remove {folder} and prepare it again"
    ):
        load("digits", cache=cache)
    assert not all(check.ok for check in verify("digits", cache=cache))


def test_damaged_meta_is_one_sentence(cache):
    folder = prepare("digits", cache=cache)
    (folder / "meta.json").write_text("{")
    with pytest.raises(InputError, match=r"meta.json is not valid JSON"):
        load("digits", cache=cache)
    (folder / "meta.json").write_text("{}")
    with pytest.raises(InputError, match=r"meta.json is missing or damaged"):
        load("digits", cache=cache)
    assert [check.ok for check in verify("digits", cache=cache)] == [False]


def test_verify_finds_one_changed_byte(cache):
    folder = prepare("digits", cache=cache)
    with (folder / "test_x.npy").open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    bad = [check for check in verify("digits", cache=cache) if not check.ok]
    assert [Path(check.what).name for check in bad] == ["test_x.npy"]


def test_verify_finds_an_edited_hash(cache):
    folder = prepare("digits", cache=cache)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"sha256": "0" * 64}))
    bad = [check.what for check in verify("digits", cache=cache) if not check.ok]
    assert bad == [f"prepared {folder / 'meta.json'}"]


def test_verify_of_what_is_not_prepared_says_so(cache):
    (check,) = verify("digits", cache=cache)
    assert not check.ok
    assert "not prepared" in check.detail


def test_peak_memory_of_preparing_does_not_grow_with_length(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "CHUNK_BYTES", 1 << 16)
    monkeypatch.setattr(rawfiles, "CHUNK_BYTES", 1 << 16)
    peaks = []
    for rows in (200, 2000):
        path = tmp_path / f"{rows}.npy"
        np.save(path, np.zeros((rows, 1024), np.float32))
        tracemalloc.start()
        prepare(path, cache=tmp_path / "cache")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # The long file is 8 MB; what may grow is the split (9 bytes a row).
    assert peaks[1] < peaks[0] + 2000 * 16 + (1 << 16)


def test_default_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("LAMBDA_VAE_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("LAMBDA_VAE_CACHE")
    assert default_cache().name == "lambda-vae"
