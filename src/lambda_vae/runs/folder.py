"""The folder of a run: the files in it, and the lock of the process that writes them."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lambda_vae.data import Vocabulary
from lambda_vae.errors import InputError
from lambda_vae.files import read_json
from lambda_vae.runs.config import RunConfig, read_yaml
from lambda_vae.runs.flat import differences, read_config, write_config
from lambda_vae.training.checkpoints import latest

__all__ = ["RunFolder", "check_kept", "check_room", "is_empty", "is_locked", "locked"]

_LOCK = ".lock"

# A run that cannot write its checkpoints should fail before training, not after.
_LEAST_FREE_BYTES = 64 * 2**20


def is_empty(folder: Path) -> bool:
    """Return whether a folder holds nothing but an old lock; true also where there is no folder.

    Args:
        folder: Any path.

    Raises:
        InputError: It is a file, or lies below one.
    """
    for path in (folder, *folder.parents):
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; choose another `out`")
    return not folder.exists() or all(path.name == _LOCK for path in folder.iterdir())


def check_room(folder: Path) -> None:
    """Raise unless there is room for checkpoints.

    Args:
        folder: Need not exist.

    Raises:
        InputError: The disk is nearly full.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < _LEAST_FREE_BYTES:
        raise InputError(f"only {free / 2**20:.0f} MiB are free at {folder}; free some room or choose another `out`")


def check_kept(folder: Path, identity: Mapping[str, Any], what: str, *, resume: bool) -> None:
    """Raise unless a folder is empty, or holds what is asked for and may be resumed; nothing is written.

    Args:
        folder: Need not exist.
        identity: What its config.yaml says of it; the first key tells the kind of thing it is.
        what: That kind in a word.
        resume: Whether it may be resumed.

    Raises:
        InputError: It holds anything else, or the same without `resume`.
    """
    if is_empty(folder):
        return
    there = read_yaml(folder / "config.yaml") if (folder / "config.yaml").exists() else {}
    if next(iter(identity)) not in there:
        raise InputError(f"{folder} is not empty and holds no {what}; choose another `out`")
    for name in {**identity, **there}:
        if there.get(name) != identity.get(name):
            raise InputError(
                f"{folder} holds another {what}: its {name} is {there.get(name)!r}, here it is {identity.get(name)!r}; "
                "choose another `out`"
            )
    if not resume:
        raise InputError(f"{folder} holds this {what} already; add `resume=True` to go on, or choose another `out`")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, so that no other process trains in it; a killed process leaves no lock behind.

    Args:
        folder: Made if needed.

    Raises:
        InputError: Another process works here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / _LOCK).acquire(blocking=False)
    except Timeout:
        raise InputError(
            f"another process is training in {folder}; wait until it ends, or choose another `out`"
        ) from None
    with lock:
        yield


def is_locked(folder: Path) -> bool:
    """Return whether a process works in a folder.

    Args:
        folder: Need not exist.
    """
    if not (folder / _LOCK).exists():
        return False
    try:
        with locked(folder):
            return False
    except InputError:
        return True


class RunFolder:
    """Paths of one run.

    Args:
        path: The folder; need not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.json"
        self.history = path / "history.json"
        self.provenance = path / "provenance.json"
        self.images = path / "images.npz"
        self.texts = path / "texts.json"
        self.vocabulary = path / "vocabulary.json"
        self.model = path / "model.safetensors"
        self.checkpoints = path / "checkpoints"
        self.report = path / "report.html"

    def check(self, config: RunConfig, *, resume: bool) -> None:
        """Raise unless this run may have the folder; nothing is written.

        Args:
            config: The run.
            resume: Whether the run that lies there may be resumed.

        Raises:
            InputError: The folder holds another run, this one and resume is off, or other files; or the disk is full.
        """
        if not is_empty(self.path):
            if (self.path / "configs").is_dir():
                raise InputError(f"{self.path} holds a comparison; choose another `out`")
            if not self.config.exists():
                raise InputError(f"{self.path} is not empty and holds no run; choose another `out`")
            self._check_same(config)
            if not resume:
                raise InputError(
                    f"{self.path} holds this very run already; add `resume=True` to go on, or choose another `out`"
                )
        check_room(self.path)

    def same_route(self, config: RunConfig) -> RunConfig:
        """Return a run by the route of products of the run that lies here, where any that is exact will do.

        Args:
            config: The run, which may go on from this one.
        """
        if config.train.matmul != "auto" or not self.config.exists() or (self.path / "configs").is_dir():
            return config
        return replace(config, train=replace(config.train, matmul=read_config(self.config).train.matmul))

    def claim(self, config: RunConfig) -> bool:
        """Make the folder this run's own: write its config if it is new.

        Args:
            config: The run.

        Returns:
            Whether there is a checkpoint or a result to go on from.
        """
        if not self.config.exists():
            write_config(self.config, config)
        return latest(self.checkpoints) is not None or self.metrics.exists()

    def read_vocabulary(self) -> Vocabulary | None:
        """Return the vocabulary that the run was begun with; None if it is not of sequences.

        Raises:
            InputError: The file is damaged.
        """
        if not self.vocabulary.exists():
            return None
        try:
            return Vocabulary.of(read_json(self.vocabulary))
        except (KeyError, TypeError) as error:
            raise InputError(f"{self.vocabulary} is damaged ({error!r}); restore it") from None

    def check_vocabulary(self, vocabulary: Vocabulary | None) -> None:
        """Raise if the run was begun with another vocabulary; nothing is written.

        Args:
            vocabulary: Of the data as they are now; None if they are no sequences.

        Raises:
            InputError: It was, so that its weights belong to other tokens.
        """
        begun = self.read_vocabulary()
        if begun is not None and vocabulary is not None and begun != vocabulary:
            raise InputError(
                f"{self.path} was trained with another vocabulary ({begun.tokeniser}, {begun.size} ids) than that of "
                f"these data ({vocabulary.tokeniser}, {vocabulary.size} ids); restore its data, or choose another `out`"
            )

    def _check_same(self, config: RunConfig) -> None:
        there = read_config(self.config)
        # Under way, other processes may share the joint batch in other parts; the checkpoint tells whether it is that.
        under_way = latest(self.checkpoints) is not None and not self.metrics.exists()
        for name, (old, new) in differences(there, config).items():
            if not (under_way and name == "batch_size"):
                raise InputError(
                    f"{self.path} holds another run: its {name} is {old!r}, here it is {new!r}; choose another `out`"
                )
