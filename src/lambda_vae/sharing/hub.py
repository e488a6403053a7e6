"""The hub: shared models come from it and go to it, through huggingface_hub, the extra `hub`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from lambda_vae.errors import InputError
from lambda_vae.runs.model_record import CARD, CONFIG, HISTORY, VOCABULARY, WEIGHTS, read_record

__all__ = ["check_push", "fetch_model", "is_hub_name", "push_to_hub"]

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")

#: Nothing else is fetched or sent, whatever lies there.
_FILES = (CARD, CONFIG, HISTORY, VOCABULARY, WEIGHTS)


def is_hub_name(name: str) -> bool:
    """Return whether a word has the form OWNER/NAME.

    Args:
        name: As typed.

    Example:
        >>> is_hub_name("owner/digits-vae"), is_hub_name("runs/a/b"), is_hub_name("../digits")
        (True, False, False)
    """
    return _NAME.fullmatch(name) is not None


def fetch_model(name: str, revision: str | None = None) -> Path:
    """Return the folder of a shared model of the hub, fetched if it is not in huggingface_hub's cache.

    Args:
        name: OWNER/NAME.
        revision: A branch, tag or commit; the newest if None.

    Raises:
        InputError: The extra is not installed, there is no such model, or the hub cannot be reached.
    """
    hub = _hub(name)
    with _plainly(hub, f"{name} could not be fetched"):
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=list(_FILES)))


def push_to_hub(folder: Path | str, name: str, *, private: bool = False) -> str:
    """Send a shared model to the hub, making the repository if need be, and return its address.

    The token is the one huggingface_hub knows (`hf auth login`, or HF_TOKEN).

    Args:
        folder: That `share_run` made; checked before anything is sent.
        name: OWNER/NAME.
        private: Whether a new repository is hidden from others.

    Raises:
        InputError: No shared model, no such name, the extra is not installed, or the hub refuses.
    """
    check_push(name)
    folder, hub = Path(folder), _hub(name)
    record = read_record(folder)
    api = hub.HfApi(library_name="lambda-vae")
    files = [file for file in (CARD, CONFIG, *record.sha256) if (folder / file).is_file()]
    with _plainly(hub, f"{name} could not be pushed"):
        address = str(api.create_repo(name, private=private, exist_ok=True))
        api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=files, commit_message="Share a VAE")
    return address


def check_push(name: str) -> None:
    """Raise unless something could be pushed under this name; nothing is sent.

    Args:
        name: As typed.

    Raises:
        InputError: It does not have the form OWNER/NAME, or the extra is not installed.
    """
    if not is_hub_name(name):
        raise InputError(f"{name!r} is no name of a model on the hub; write OWNER/NAME")
    _hub(name)


def _hub(name: str) -> ModuleType:
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise InputError(f"{name} needs the package huggingface_hub; pip install 'lambda-vae[hub]'") from None
    module: ModuleType = huggingface_hub
    return module


@contextmanager
def _plainly(hub: ModuleType, what: str) -> Iterator[None]:
    """Say in one sentence what the hub, the network or the disk refuses."""
    try:
        yield
    except (hub.errors.HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise InputError(f"{what} ({reason}); check name, token and network") from None
