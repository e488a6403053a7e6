"""Whole files or none."""

import errno
import json
import os
from pathlib import Path

import pytest

from lambda_vae.errors import InputError
from lambda_vae.files import read_json, replacing, write_atomic, write_json


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_text_and_bytes_are_written_and_folders_made(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b.txt", "λ")
    write_atomic(tmp_path / "a" / "c.bin", b"\x00\xff")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "λ".encode()
    assert (tmp_path / "a" / "c.bin").read_bytes() == b"\x00\xff"
    assert names(tmp_path / "a") == ["b.txt", "c.bin"]


def test_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    write_atomic(path, "old")
    with pytest.raises(OSError, match="No space"), replacing(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        assert path.read_text() == "old"
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model.npz"]


def test_a_folder_in_the_place_of_a_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder; name a file"):
        write_atomic(tmp_path, "text")
    assert names(tmp_path) == []


def test_file_is_flushed_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append("flush"), fsync(number))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b))[1])
    write_atomic(tmp_path / "a", "text")
    assert calls == ["flush", "rename"]


def test_temporary_file_is_hidden_beside_and_keeps_the_ending(tmp_path: Path) -> None:
    with replacing(tmp_path / "images.npz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.startswith(".")
        assert temporary.suffix == ".npz"
        temporary.touch()


def test_a_saver_that_renames_a_private_file_of_its_own_leaves_one_that_others_may_read(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    with replacing(tmp_path / "weights.safetensors") as temporary:
        own = tmp_path / "own"
        own.touch(mode=0o600)
        own.replace(temporary)
    assert (tmp_path / "weights.safetensors").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_json_comes_back(tmp_path: Path) -> None:
    value = {"name": "λ-VAE", "list": [1, 2.5, None, True], "nested": {"x": []}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "λ" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_not_finite_numbers_become_null(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    write_json(tmp_path / "a.json", {"a": nan, "b": [1.0, inf, (-inf, 2)], "c": {"d": {"e": nan}}})
    # A strict reader: NaN and Infinity are no JSON.
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == {
        "a": None,
        "b": [1.0, None, [None, 2]],
        "c": {"d": {"e": None}},
    }


def test_missing_or_broken_json_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_json(tmp_path / "none.json")
    for content in (b"", b'{"a": 1', b"\xff\xfe", b"<html>"):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.json is not valid JSON .*; restore it or remove it") as caught:
            read_json(tmp_path / "a.json")
        assert "\n" not in str(caught.value)
