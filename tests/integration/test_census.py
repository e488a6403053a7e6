"""The census: its scripts say what the page needs, and the page is what its runs say."""

import ast
import importlib
import json
import math
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[2]
sys.path.insert(0, str(HOUSE / "census"))

import page  # noqa: E402
import run as driver  # noqa: E402
from package import CHECK, DEFAULT, KINDS  # noqa: E402

FOUND = {name: (importlib.import_module(f"packages.{name}").PACKAGE, driver.read(name)) for name in driver.NAMES}


@pytest.mark.parametrize("name", driver.NAMES)
def test_a_script_imports_without_its_package_and_asks_at_most_three_lines(name):
    package, _ = FOUND[name]
    assert set(package.remedies) <= set(KINDS)
    assert package.remedies[DEFAULT] == ({},)
    assert package.equalize or package.no_lambda
    for lines in (package.diagnose, package.equalize):
        statements = [node for node in ast.walk(ast.parse(lines)) if isinstance(node, ast.stmt)]
        own = [one for one in statements if not isinstance(one, ast.Import | ast.ImportFrom)]
        assert sum("fit(" not in ast.unparse(one) or isinstance(one, ast.With) for one in own) <= 3
    assert any(one.startswith(package.package) and "==" in one for one in (*package.requires, *package.no_deps))


@pytest.mark.parametrize("name", driver.NAMES)
def test_every_run_is_there_and_delta_infinite_is_the_default_bit_for_bit(name):
    package, runs = FOUND[name]
    made = {(run["seed"], run["remedy"], json.dumps(run["setting"])) for run in runs}
    wanted = {(s, kind, json.dumps({k: str(v) for k, v in of.items()})) for s, kind, of in package.jobs()}
    assert made == wanted
    assert len(package.seeds) >= 3
    plain = {run["seed"]: run["weights"] for run in runs if run["remedy"] == DEFAULT}
    checks = [run for run in runs if run["remedy"] == CHECK]
    assert all(run["weights"] == plain[run["seed"]] for run in checks)
    assert len(checks) == (0 if package.no_lambda else 1)


@pytest.mark.parametrize("name", driver.NAMES)
def test_a_default_collapse_is_mended_or_it_says_why_not_and_the_bound_stands_beside(name):
    package, runs = FOUND[name]
    for run in runs:
        assert package.metric in run["validation"]
        assert package.metric in run["test"]
        assert package.no_bound or run["test"]["bound"] is not None
    plain = page.Chosen(package, runs, DEFAULT)
    collapsed = any(sum(run["causes"].values()) for run in plain.runs)
    mends = any(page.Chosen(package, runs, kind).mends for kind in KINDS[1:])
    assert mends or package.none_mends or not collapsed


def test_the_pages_are_what_the_runs_say():
    assert (HOUSE / "results" / "census.md").read_text() == page.census(FOUND)
    assert (HOUSE / "results" / "census.csv").read_text() == page.table(FOUND)
    assert len({package.package for package, _ in FOUND.values()}) >= 14


def test_a_setting_is_chosen_by_the_validation_part_alone():
    package, _ = FOUND[driver.NAMES[0]]
    sign = 1 if package.more else -1

    def run(seed, remedy, setting, validation, test):
        base = {"seed": seed, "remedy": remedy, "setting": setting, "active": 1}
        return {**base, "validation": {package.metric: validation}, "test": {package.metric: test}}

    runs = [
        *(run(seed, DEFAULT, {}, 0.0, 0.0) for seed in (0, 1)),
        *(run(seed, "lambda", {"delta": "1.1"}, sign * 1.0, sign * (1.0 + seed / 10)) for seed in (0, 1)),
        *(run(seed, "lambda", {"delta": "1.2"}, sign * 0.5, sign * 9.0) for seed in (0, 1)),
        run(0, "lambda", {"delta": "1.3"}, sign * 7.0, sign * 7.0),  # not every seed yet
    ]
    chosen = page.Chosen(package, runs, "lambda")
    assert chosen.setting == "delta 1.1"
    assert chosen.mends
    assert chosen.changes(package.metric) == pytest.approx([sign * 1.0, sign * 1.1])
    assert not page.Chosen(package, runs, "KL warm-up").mends
    assert math.isnan(page.Chosen(package, runs, "KL warm-up").validation)


@pytest.mark.parametrize(
    ("values", "sign", "text"),
    [
        ([1.0, 1.2], "+", "**+1.10 ± 0.14**"),
        ([-0.1, 0.1], "+", "+0.00 ± 0.14"),
        ([10.0, 10.0], "", "10"),
        ([0.0, 0.0], "", "0"),
        ([], "", "–"),
    ],
)
def test_numbers_show_the_digits_that_their_spread_leaves(values, sign, text):
    assert page.number(values, sign) == text
