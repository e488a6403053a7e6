"""results/census.md and .csv, from the runs of results/census/NAME.json."""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from lambda_vae.files import write_atomic
from package import CHECK, DEFAULT, KINDS, Package
from paragraphs import PAGES, PARAGRAPHS
from recorded import HOUSE

__all__ = ["Chosen", "census", "write"]

Runs = Sequence[Mapping[str, Any]]

HEAD = (
    "# The census: what packages do with their latents, and what each cure costs\n\n"
    "`python census/run.py`, {hours:.1f} hours of one core for {runs} trainings; one package: `python "
    "census/run.py NAME`. Every package with its own defaults unless said. Means ± standard deviation over "
    "seeds; a change is paired with the default run of the same seed, and **bold** where it is larger than its "
    "spread over seeds. Active: Var(μ) > 0.01 on unseen data. Near the prior: σ above 0.9 on average. KL, "
    "`nll_bound` and `nll_iw` in nats an example, less is better. Of each kind of remedy the setting was "
    "chosen on a validation part, by the package's own metric; all numbers here are of a test part.\n"
)


class Chosen:
    """The runs of one remedy, at the setting that the validation part chose.

    Args:
        package: It.
        runs: All of the package.
        kind: Of the remedy.
    """

    def __init__(self, package: Package, runs: Runs, kind: str) -> None:
        self.package, self.kind = package, kind
        self.plain = {run["seed"]: run for run in runs if run["remedy"] == DEFAULT}
        by_setting: dict[str, list[Mapping[str, Any]]] = {}
        for run in runs:
            if run["remedy"] == kind:
                by_setting.setdefault(said(run["setting"]), []).append(run)
        complete = max(map(len, by_setting.values()), default=0)
        full = {name: of for name, of in by_setting.items() if len(of) == complete}
        sign = 1 if package.more else -1
        self.setting = max(full, key=lambda name: sign * self._validation(full[name]), default="")
        self.settings = by_setting
        self.runs = full.get(self.setting, [])
        self.validation = self._validation(self.runs)

    def _validation(self, runs: Runs) -> float:
        found = [run["validation"].get(self.package.metric) for run in runs]
        return math.nan if None in found or not found else fmean(found)

    def values(self, name: str, runs: Runs | None = None) -> list[float]:
        """Return a number of each run, of the test part or of the codes.

        Args:
            name: Its name.
            runs: Others than the chosen ones.
        """
        found = [_of(run, name) for run in (self.runs if runs is None else runs)]
        return [value for value in found if value is not None]

    def changes(self, name: str, runs: Runs | None = None) -> list[float]:
        """Return how much a number differs from the default run's of the same seed.

        Args:
            name: Its name.
            runs: Others than the chosen ones.
        """
        pairs = [(_of(run, name), _of(self.plain[run["seed"]], name)) for run in (self.runs if runs is None else runs)]
        return [one - plain for one, plain in pairs if one is not None and plain is not None]

    @property
    def mends(self) -> bool:
        """Whether the package's own metric is better by more than its spread over seeds."""
        sign, changes = 1 if self.package.more else -1, self.changes(self.package.metric)
        return len(changes) > 1 and sign * fmean(changes) > stdev(changes)

    @property
    def bound_worse(self) -> bool:
        """Whether the valid bound is worse by more than its spread over seeds."""
        changes = self.changes("bound")
        return len(changes) > 1 and fmean(changes) > stdev(changes)


def _of(run: Mapping[str, Any], name: str) -> float | None:
    found = run["test"].get(name, run.get(name))
    return None if found is None else float(found)


def said(setting: Mapping[str, Any]) -> str:
    """Return a setting in words.

    Args:
        setting: By name.
    """
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in setting.items())


def number(values: Iterable[float], sign: str = "") -> str:
    """Return mean and standard deviation, to the digits that the spread leaves.

    Args:
        values: Of the seeds.
        sign: "+" for a change, which is bold where it exceeds its spread.
    """
    values = list(values)
    if not values:
        return "–"
    mean, spread = fmean(values), stdev(values) if len(values) > 1 else 0.0
    if spread == 0 and mean.is_integer():
        return f"{mean:{sign if mean else ''}.0f}"
    size = spread if spread > 0 else abs(mean)
    digits = min(4, max(0, 1 - math.floor(math.log10(max(size, 1e-9)))))
    text = f"{mean:{sign}.{digits}f} ± {spread:.{digits}f}" if spread else f"{mean:{sign}.{digits}f}"
    return f"**{text}**" if sign and len(values) > 1 and abs(mean) > spread else text


def census(found: Mapping[str, tuple[Package, Runs]]) -> str:
    """Return the page.

    Args:
        found: Packages with their runs, by the name of the script.
    """
    runs = [run for _, of in found.values() for run in of]
    lines = [HEAD.format(hours=sum(run["seconds"] for run in runs) / 3600, runs=len(runs)), *_by_default(found)]
    lines += [*_why(found), *_cures(found), ""]
    for name, (package, of) in found.items():
        lines += _section(name, package, of)
    return "\n".join(lines)


def _by_default(found: Mapping[str, tuple[Package, Runs]]) -> list[str]:
    lines = [
        "## By default",
        "",
        "| package · users | data | latents | active | directions | near prior | KL | cause |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for package, runs in found.values():
        plain = Chosen(package, runs, DEFAULT)
        numbers = (number(plain.values(name)) for name in ("active", "directions", "near_prior", "kl"))
        lines.append(
            f"| {package.title} {_version(package, runs)} · {package.users} | {_brief(package.data)} | "
            f"{package.latent_dim} | {' | '.join(numbers)} | {causes(plain.runs)} |"
        )
    return [*lines, ""]


def _brief(data: str) -> str:
    """The data's name alone; all of it stands in the package's section."""
    return re.split(r"[:;]|, (?:of|which|each)|\. ", data, maxsplit=1)[0]


def _why(found: Mapping[str, tuple[Package, Runs]]) -> list[str]:
    lines = ["## What happens, why, and the line to change", ""]
    for name, (package, _) in found.items():
        page = PAGES.get(name, name.split("_")[0])
        lines += [f"**[{package.title}](../docs/hosts/{page}.md).** {PARAGRAPHS.get(name, '')}", ""]
        lines += [f"*Its loss stands for:* {package.loss}.", ""]
    return lines


def causes(runs: Runs) -> str:
    """Return how many dimensions collapsed of each cause, of the seeds in turn.

    Args:
        runs: Of the default.
    """
    kinds = Counter({kind: 0 for run in runs for kind in run["causes"]})
    each = [f"{', '.join(str(run['causes'].get(kind, 0)) for run in runs)} {kind}" for kind in kinds]
    return "; ".join(each) or "none collapsed"


def _version(package: Package, runs: Runs) -> str:
    return " and ".join(sorted({run["versions"][package.package] for run in runs}))


def _cures(found: Mapping[str, tuple[Package, Runs]]) -> list[str]:
    kinds = KINDS[1:]
    lines = [
        "## What each cure does to the package's own metric",
        "",
        "Below it the change of the valid bound on unseen data, and the active units before and after.",
        "",
        f"| package | its metric | default | {' | '.join(kinds)} | better by more than the spread |",
        f"| --- | --- | ---: |{' --- |' * len(kinds)} --- |",
    ]
    for package, runs in found.values():
        plain, each = Chosen(package, runs, DEFAULT), [Chosen(package, runs, kind) for kind in kinds]
        better = [one.kind + (" (bound worse)" if one.bound_worse else "") for one in each if one.mends]
        metric = f"{package.metric} ({'more' if package.more else 'less'} is better)"
        default = f"{number(plain.values(package.metric))}; bound {number(plain.values('bound'))}"
        lines.append(
            f"| {package.title} | {metric} | {default} | {' | '.join(_cure(one) for one in each)} | "
            f"{', '.join(better) or package.none_mends or 'none'} |"
        )
    return lines


def _cure(one: Chosen) -> str:
    if not one.runs:
        return one.package.no_lambda if one.kind.startswith("lambda") and one.package.no_lambda else "–"
    setting = f"{one.setting}: " if one.setting else ""
    active = f"{number(one.values('active', list(one.plain.values())))} → {number(one.values('active'))}"
    bound = number(one.changes("bound"), "+") if one.changes("bound") else "none"
    return f"{setting}{number(one.changes(one.package.metric), '+')}<br>bound {bound}<br>active {active}"


def _section(name: str, package: Package, runs: Runs) -> list[str]:
    checks = [run for run in runs if run["remedy"] == CHECK]
    plain = Chosen(package, runs, DEFAULT).plain
    same = sum(run["weights"] == plain[run["seed"]]["weights"] for run in checks)
    stamps = sorted({f"{run['date']} at {run['commit']}" for run in runs})
    packages = ", ".join(f"{one} {number}" for one, number in runs[-1]["versions"].items())
    lines = [
        f"## {package.title}",
        "",
        f"`python census/run.py {name}`: {len(runs)} trainings, "
        f"{sum(run['seconds'] for run in runs) / 60:.1f} minutes of a core; {'; '.join(stamps)}. "
        f"{packages}, Python {runs[-1]['python']}."
        + (f" Weights at δ = ∞ the default run's, bit for bit: {same} of {len(checks)}." if checks else ""),
        "",
        f"Data: {package.data}." + (f" {package.no_bound}" if package.no_bound else ""),
        "",
        *["```python", package.diagnose.strip(), *([package.equalize.strip()] if package.equalize else []), "```", ""],
    ]
    names = list(dict.fromkeys(name for run in runs for name in run["test"]))
    shown = [*names, "active", "directions", "near_prior", "kl"]
    lines += [
        f"| remedy | seeds | {' | '.join(name.replace('_', ' ') for name in shown)} |",
        f"| --- | ---: |{' ---: |' * len(shown)}",
    ]
    for kind in KINDS:
        one = Chosen(package, runs, kind)
        for setting, of in one.settings.items():
            title = " ".join(
                filter(None, [kind, setting, "(chosen)" if kind != DEFAULT and setting == one.setting else ""])
            )
            lines.append(f"| {title} | {len(of)} | {' | '.join(number(one.values(name, of)) for name in shown)} |")
    return [*lines, ""]


def table(found: Mapping[str, tuple[Package, Runs]]) -> str:
    """Return every run as a row of CSV.

    Args:
        found: Packages with their runs.
    """
    columns = ["script", "title", "version", "seed", "remedy", "setting", "part", "measure", "value"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for name, (package, runs) in found.items():
        for run in runs:
            key = [
                name,
                package.title,
                run["versions"][package.package],
                run["seed"],
                run["remedy"],
                said(run["setting"]),
            ]
            codes = {of: run[of] for of in ("active", "directions", "near_prior", "kl")}
            for part, values in (("validation", run["validation"]), ("test", {**run["test"], **codes})):
                for measure, value in values.items():
                    writer.writerow([*key, part, measure, "" if value is None else f"{value:.6g}"])
    return text.getvalue()


def write(found: Mapping[str, tuple[Package, Runs]]) -> None:
    """Write results/census.md and .csv.

    Args:
        found: Packages with their runs.
    """
    write_atomic(HOUSE / "results" / "census.md", census(found))
    write_atomic(HOUSE / "results" / "census.csv", table(found))
