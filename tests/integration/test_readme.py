"""What README and docs show: every Python block of the README runs, every command line is one that the parser knows."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from torch import nn

from lambda_vae.cli.commands import COMMANDS, command
from lambda_vae.data import load
from lambda_vae.integrations.tested import HOSTS

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
PAGES = {"README.md": README} | {
    str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8")
    for path in sorted((PROJECT / "docs").rglob("*.md"))
}

#: `lambda-vae COMMAND ...`, by itself or under a launcher.
_CALL = re.compile(r"(?:(?:^|(?<=\s)|(?<=!))lambda-vae|-m lambda_vae\.cli) +([a-z][^\n|>&#]*)", re.MULTILINE)
_FENCED = re.compile(r"^```(.*?)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"`([^`\n]+)`")
#: Options of launchers, and one that jsonargparse adds.
_OF_OTHERS = {"--nproc_per_node", "--nnodes", "--num_processes", "--multi_gpu", "--print_config"}


def blocks(page):
    """Every fenced block as (what stands behind the fence, its text), lines that go on in the next one joined."""
    return [(head.strip(), re.sub(r"\\\n\s*", "", text)) for head, text in _FENCED.findall(page)]


def shown():
    """(page, words) of every command line in a fenced block."""
    for name, page in PAGES.items():
        for head, text in blocks(page):
            if head in ("", "bash", "shell") or "%%bash" in text or "!lambda-vae" in text:
                yield from ((name, tuple(shlex.split(call))) for call in _CALL.findall(text))


def parser_of(words):
    """The command's own parser, and the words behind its name."""
    name = " ".join(words[:2]) if words[0] == "data" else words[0]
    assert name in COMMANDS, f"there is no command {name!r}"
    return command(name)[1], list(words[len(name.split()) :])


def options_of(parser):
    return {option for action in parser._actions for option in action.option_strings}


@pytest.mark.parametrize("number", range(len([head for head, _ in blocks(README) if head == "python"])))
def test_python_block_of_the_readme_runs(number, tmp_path, monkeypatch):
    code = [text for head, text in blocks(README) if head == "python"][number]
    monkeypatch.chdir(tmp_path)
    test_x = torch.bernoulli(load("digits").test.tensor() / 255, generator=torch.Generator().manual_seed(0))
    left_to_the_reader = {"test_x": test_x, "mu": torch.zeros(4, 30), "std": torch.ones(4, 30), "model": Model().eval()}
    exec(compile(code.replace("epochs=100", "epochs=2"), "README.md", "exec"), left_to_the_reader)


class Model(nn.Module):
    """The reader's own, on digits."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(64, 64), nn.Linear(32, 64)
        for layer in (self.encoder, self.decoder):
            layer.weight.data.mul_(0.1)

    def encode(self, x):
        return self.encoder(x).chunk(2, dim=-1)

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


def test_there_are_blocks_and_commands_to_look_at():
    assert sum(head == "python" for head, _ in blocks(README)) >= 2
    assert {words[0] for page, words in shown() if page == "README.md"} >= {"compare"}
    assert len(set(shown())) >= 15


@pytest.mark.parametrize(
    ("page", "words"), sorted(set(shown())), ids=lambda one: one if isinstance(one, str) else " ".join(one)[:60]
)
def test_command_line_is_one_that_the_parser_takes(page, words):
    parser, rest = parser_of(words)
    parser.parse_words(rest)  # ends the test with the parser's own sentence


def test_versions_of_the_hosts_are_the_tested_ones_and_their_extras_take_them():
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    stated = dict(re.findall(r"^\| \[[^]]+\]\(docs/hosts/(\w+)\.md\) ([\d.]+)[ ,]", README, re.MULTILINE))
    pages = {page for page in PAGES if page.startswith("docs/hosts/")}
    pages -= {"docs/hosts/index.md", "docs/hosts/any-package.md"}  # of all hosts, and of those without an adapter
    assert {f"docs/hosts/{host}.md" for host in stated} == pages
    assert stated == {host: HOSTS[host].versions[-1] for host in stated}
    for host in stated:
        wanted, *_ = map(Requirement, extras[host])
        assert all(wanted.specifier.contains(version) for version in HOSTS[host].versions), host


def test_commands_and_options_in_running_text_are_known():
    known = set().union(*(options_of(command(name)[1]) for name in COMMANDS)) | _OF_OTHERS
    wrong = []
    for name, page in PAGES.items():
        for text in _INLINE.findall(_FENCED.sub("", page)):
            if text.startswith("--") and (option := text.split()[0].split("=")[0]) not in known:
                wrong.append(f"{name}: {option}")
            if text.startswith("lambda-vae "):
                parser, rest = parser_of(text.split()[1:])
                wrong += [f"{name}: {text}" for word in rest if word[:2] == "--" and word not in options_of(parser)]
    assert not wrong
