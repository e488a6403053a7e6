"""Checkpoints are whole or refused, and the folder keeps the right ones."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small import EPOCHS, trainer
from torch import Tensor

from lambda_vae.errors import InputError
from lambda_vae.training import Checkpoint, checkpoints

TENSORS = {
    "model.weight": torch.arange(6.0).view(2, 3),
    "optimizer.0.step": torch.tensor(3.0),
    "moments.count": torch.tensor(7),
    "generator": torch.arange(5, dtype=torch.uint8),
    "half": torch.ones(2, dtype=torch.bfloat16),
    "empty": torch.zeros(0, 4),
    "transposed": torch.arange(6.0).view(2, 3).T,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = checkpoints.path_of(tmp_path, 3, 0)
    checkpoints.save(path, Checkpoint(TENSORS, {"epoch": 3, "test": [{"nll_bound": 1.5}]}))
    return path


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_checkpoint_comes_back_as_it_was(path: Path) -> None:
    loaded = checkpoints.load(path)
    assert loaded.state == {"epoch": 3, "test": [{"nll_bound": 1.5}]}
    assert loaded.tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(loaded.tensors[name], tensor)
        assert loaded.tensors[name].dtype == tensor.dtype
    assert loaded.part("model.").keys() == {"weight"}
    assert names(path.parent) == [path.name]


def test_truncated_file_is_refused_at_every_length(path: Path) -> None:
    whole = path.read_bytes()
    for length in (0, 1, 8, 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(
            InputError, match=r"is damaged \(.*; remove it to go on from the checkpoint before it"
        ) as caught:
            checkpoints.load(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_every_changed_byte_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    accepted = []
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            checkpoints.load(path)
        except InputError:
            continue
        accepted.append(position)
    # The format allows a header to be padded with blanks, which carry nothing.
    assert [position for position in accepted if whole[position : position + 1] != b" "] == []


def foreign(path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, path, metadata={"format": "pt"})


def bare(path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, path)


def newer(path: Path) -> None:
    save_file({}, path, metadata={"format": "lambda-vae checkpoint 3", "state": json.dumps({})})


@pytest.mark.parametrize("write", [foreign, bare, newer])
def test_foreign_safetensors_are_refused(write, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    write(path)
    with pytest.raises(InputError, match="is not a lambda-vae checkpoint"):
        checkpoints.load(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        checkpoints.load(tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="does not exist"):
        checkpoints.load(tmp_path)


class Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.target,))


def test_pickle_is_refused_and_not_executed(path: Path) -> None:
    target = path.parent / "executed"
    path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(InputError, match="damaged"):
        checkpoints.load(path)
    assert not target.exists()
    pickle.loads(path.read_bytes())
    assert target.exists()  # it was a working bomb


def test_newest_is_by_position_and_ignores_what_is_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoints.latest(tmp_path / "none") is None
    assert checkpoints.latest(tmp_path) is None
    for epoch, step in ((2, 0), (10, 0), (9, 400), (10, 3)):
        checkpoints.path_of(tmp_path, epoch, step).touch()
    for name in ("epoch-99999.safetensors", ".epoch-00099-step-0000000.77.tmp.safetensors", "epoch-00099-step-1.pt"):
        (tmp_path / name).touch()
    assert checkpoints.latest(tmp_path) == checkpoints.path_of(tmp_path, 10, 3)


def test_prune_keeps_the_newest_two_and_those_asked_for(tmp_path: Path) -> None:
    for epoch in range(1, 8):
        checkpoints.path_of(tmp_path, epoch, 0).touch()
    checkpoints.path_of(tmp_path, 3, 5).touch()
    (tmp_path / ".epoch-00007-step-0000000.77.tmp.safetensors").touch()
    (tmp_path / "notes.txt").touch()
    checkpoints.prune(tmp_path, frozenset({3, 6}))
    kept = [checkpoints.path_of(tmp_path, epoch, 0).name for epoch in (3, 6, 7)]
    assert names(tmp_path) == [*kept, "notes.txt"]


@pytest.mark.parametrize(("every", "kept"), [(1, [2, 5, 6]), (4, [2, 4, 6]), (10, [2, 6])])
def test_run_leaves_the_asked_for_checkpoints(every: int, kept: list[int], tmp_path: Path) -> None:
    trainer(tmp_path, checkpoint_every=every, keep_checkpoints=(2,)).fit()
    assert EPOCHS == 6
    assert names(tmp_path) == [checkpoints.path_of(tmp_path, epoch, 0).name for epoch in kept]


def test_run_goes_on_from_the_checkpoint_before_a_damaged_one(tmp_path: Path) -> None:
    trainer(tmp_path, epochs=3).fit()
    newest = checkpoints.latest(tmp_path)
    assert newest is not None
    newest.write_bytes(newest.read_bytes()[:-9])
    with pytest.raises(InputError, match="remove it"):
        checkpoints.load(newest)
    newest.unlink()  # what the message says
    before = checkpoints.latest(tmp_path)
    assert before == checkpoints.path_of(tmp_path, 2, 0)
    resumed = trainer(None, epochs=3)
    resumed.restore(checkpoints.load(before))
    assert resumed.epoch == 2


def test_failed_save_leaves_the_old_checkpoint(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(tensors: dict[str, Tensor], target: Path, metadata: dict[str, str]) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(path, Checkpoint({}, {}))
    assert path.read_bytes() == before
    assert names(path.parent) == [path.name]


def test_run_without_a_folder_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer(None, epochs=1).fit()
    assert names(tmp_path) == []


def test_flatten_names_nested_tensors() -> None:
    state = {"a": torch.ones(1), 0: {"step": torch.zeros(1), "none": None}}
    assert checkpoints.flatten("x", state).keys() == {"x.a", "x.0.step"}
