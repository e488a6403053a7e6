"""The code of a host's page runs as it stands there, all its blocks in turn, where the host is installed."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from lambda_vae.integrations.tested import HOSTS

PAGES = Path(__file__).parents[2] / "docs" / "hosts"
#: Those whose blocks are run when the documentation is built are not run again here.
PLAIN = sorted(page.stem for page in PAGES.glob("*.md") if page.stem in HOSTS and "{code-cell}" not in page.read_text())


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("host", PLAIN)
def test_page_runs_as_it_stands(host, tmp_path, monkeypatch):
    try:
        version(HOSTS[host].package)
    except PackageNotFoundError:
        pytest.skip(f"{HOSTS[host].package} is not installed; nox -s hosts runs this")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", (PAGES / f"{host}.md").read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    exec(compile("\n".join(blocks), f"{host}.md", "exec"), {"__name__": "page"})


@pytest.mark.parametrize("host", PLAIN)
def test_page_names_the_tested_version(host):
    assert HOSTS[host].versions[-1] in (PAGES / f"{host}.md").read_text()
