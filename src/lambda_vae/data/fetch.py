"""One file from one URL: resumed where it broke off, in place only when whole."""

from hashlib import sha256
from pathlib import Path

import requests

__all__ = ["FETCH_ERRORS", "fetch"]

FETCH_ERRORS = (OSError, ValueError)
"""What `fetch` raises; every exception of requests is an OSError."""

_TIMEOUT = 30.0
_BLOCK = 1 << 14  # what is lost at most when a download breaks off


def _receive(url: str, part: Path) -> None:
    """Add to `part` what is missing of it; start again if the server cannot continue."""
    have = _size(part)
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
    while True:  # as long as each try brings it further
        before = _size(part)
        try:
            _receive(url, part)
        except OSError:
            after = _size(part)
            if after > before or after == 0 < before:
                continue
            raise
        part.replace(path)
        return


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
