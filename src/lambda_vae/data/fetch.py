"""One file from one URL: through pooch, resumed where it broke off, in place only when whole."""

import logging
from hashlib import sha256
from pathlib import Path
from typing import Any

import pooch
import requests

__all__ = ["FETCH_ERRORS", "fetch"]

FETCH_ERRORS = (OSError, ValueError)
"""What `fetch` raises; every exception of requests is an OSError."""

_TIMEOUT = 30.0
_BLOCK = 1 << 14  # what is lost at most when a download breaks off


def _receive(url: str, part: Path) -> None:
    """Add to `part` what is missing of it; start again if the server cannot continue."""
    have = part.stat().st_size if part.exists() else 0
    # identity: a transparently compressed answer could not be continued at a byte position.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
        if answer.status_code == 416:
            part.unlink()
            raise OSError("the part fetched earlier does not fit the file")
        answer.raise_for_status()
        continued = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        with part.open("ab" if continued else "wb") as file:
            for data in answer.iter_content(_BLOCK):
                file.write(data)


def _downloader(part: Path) -> Any:  # noqa: ANN401 - pooch's own protocol has no type
    """A pooch downloader that receives into `part` and tries again as long as each try brings it further."""

    def download(url: str, output_file: str, _pooch: object) -> None:
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                _receive(url, part)
            except OSError:
                after = part.stat().st_size if part.exists() else 0
                if after > before or after == 0 < before:
                    continue
                raise
            part.replace(output_file)
            return

    return download


def fetch(url: str, path: Path) -> None:
    """Download `url` to `path`. A download that broke off goes on where it stopped, also in a later call.

    Raises:
        OSError: No network, no such file, or the server broke off without progress.
        ValueError: The address cannot be used.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Mirrors may compress differently, so a part belongs to its URL.
    part = path.with_name(f".{path.name}.{sha256(url.encode()).hexdigest()[:8]}.part")
    path.unlink(missing_ok=True)
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)  # pooch would advise on hashes, which are checked by content elsewhere
    try:
        pooch.retrieve(url, known_hash=None, fname=path.name, path=path.parent, downloader=_downloader(part))
    finally:
        logger.setLevel(level)
