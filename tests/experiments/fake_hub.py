"""A hub on this machine: repositories of small files, spoken to as huggingface_hub speaks to the real one."""

import base64
import json
import re
from hashlib import sha256

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

__all__ = ["FakeHub", "fake_hub"]


class FakeHub:
    """Keeps what is pushed; answers what it is asked for.

    Args:
        server: Of pytest-httpserver.
    """

    def __init__(self, server: HTTPServer) -> None:
        self.server, self.files, self.seen = server, dict[str, dict[str, bytes]](), list[str]()
        self.private: dict[str, bool] = {}
        server.expect_request(re.compile(".*")).respond_with_handler(self.answer)

    def answer(self, request: Request) -> Response:
        words = request.path.strip("/").split("/")
        self.seen.append(f"{request.method} {request.path}")
        if words == ["api", "validate-yaml"]:
            return _json({"errors": [], "warnings": []})
        if words == ["api", "repos", "create"]:
            asked = json.loads(request.data)
            repo = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.files.setdefault(repo, {})
            self.private[repo] = bool(asked.get("private")) or asked.get("visibility") == "private"
            return _json({"url": f"{self.server.url_for('')}/{repo}", "id": repo})
        if words[:2] == ["api", "models"]:
            return self._api("/".join(words[2:4]), words[4:], request)
        if words[2:3] == ["resolve"]:
            return self._file("/".join(words[:2]), "/".join(words[4:]))
        return _json({}, 404)

    def commit(self, repo: str) -> str:
        return sha256(repr(sorted(self.files[repo].items())).encode()).hexdigest()[:40]

    def _api(self, repo: str, what: list[str], request: Request) -> Response:
        if repo not in self.files:
            return _json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        files = self.files[repo]
        if what[:1] == ["preupload"]:
            asked = json.loads(request.data)["files"]
            modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False, "oid": None} for f in asked]
            return _json({"files": modes})
        if what[:1] == ["commit"]:
            for line in map(json.loads, request.data.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self.server.url_for('')}/{repo}/commit/{self.commit(repo)}"
            return _json({"commitUrl": url, "commitOid": self.commit(repo), "success": True})
        if what[:1] == ["revision"] and what[1] not in ("main", self.commit(repo)):
            return _json({"error": "Revision not found"}, 404, {"X-Error-Code": "RevisionNotFound"})
        if what[:1] == ["tree"]:
            return _json([{"type": "file", "path": p, "size": len(c), "oid": _oid(c)} for p, c in files.items()])
        siblings = [{"rfilename": path} for path in files]
        return _json({"id": repo, "sha": self.commit(repo), "siblings": siblings, "private": False, "tags": []})

    def _file(self, repo: str, path: str) -> Response:
        if repo not in self.files or path not in self.files[repo]:
            return _json({}, 404, {"X-Error-Code": "EntryNotFound"})
        content = self.files[repo][path]
        return Response(content, headers={"ETag": f'"{_oid(content)}"', "X-Repo-Commit": self.commit(repo)})


def _oid(content: bytes) -> str:
    return sha256(content).hexdigest()[:40]


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(value), status, headers, content_type="application/json")


@pytest.fixture
def fake_hub(httpserver: HTTPServer, tmp_path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """huggingface_hub speaks to this server, with a cache and a token of the test's own."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="the extra lambda-vae[hub] is not installed")
    url = httpserver.url_for("").rstrip("/")
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    return FakeHub(httpserver)
