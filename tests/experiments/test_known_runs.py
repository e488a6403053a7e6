"""The runs of a table at each scale, and runs imported from an archive."""

import json
from pathlib import Path
from typing import Any

import pytest
from flat_runs import changed, run_of

from lambda_vae.comparisons.reuse import import_finished, read_finished
from lambda_vae.errors import InputError
from lambda_vae.paper import Reproduction
from lambda_vae.paper.figures import load_recipes
from lambda_vae.paper.recipe import run_name_of, runs_of
from lambda_vae.paper.tables import SCALES
from lambda_vae.runs import RunConfig
from lambda_vae.runs.config import to_yaml
from lambda_vae.runs.flat import flat, read_config
from lambda_vae.runs.results import identity

RECIPES = {recipe.name: recipe for recipe in load_recipes("table1")}


@pytest.mark.parametrize("scale", SCALES)
def test_no_two_runs_share_a_folder(scale: str) -> None:
    configs = [config for recipe in RECIPES.values() for config in runs_of(recipe, "mnist", SCALES[scale])]
    assert len({run_name_of(config) for config in configs}) == len(set(configs)) == len(configs)


def test_runs_of_a_recipe_at_paper_scale_are_those_of_a_comparison_with_the_defaults() -> None:
    runs = runs_of(RECIPES["lambda-1.19-200"], "mnist", SCALES["paper"])
    plain = run_of(data="mnist", method="lambda-vae", delta=1.19, epochs=200)
    assert runs == [plain.with_seed(seed) for seed in range(3)]
    assert run_name_of(runs[2]) == "lambda-vae-delta1.19-epochs200-seed2"


def test_lengths_in_epochs_shrink_with_the_scale_but_never_to_nothing() -> None:
    released = RECIPES["lambda-1.01-released"]
    for scale, epochs, release in (("paper", 100, 50), ("quick", 10, 5), ("smoke", 2, 1)):
        run = runs_of(released, "mnist", SCALES[scale])[0]
        assert (run.epochs, run.method.values["release_epochs"]) == (epochs, release)
    assert len(runs_of(released, "mnist", SCALES["quick"])) == 1


def test_omniglot_has_one_seed_less_and_the_folder_says_the_scale() -> None:
    choice = Reproduction(data="omniglot")
    assert len(choice.runs(RECIPES["vae-200"], "omniglot")) == 2
    assert len(choice.runs(RECIPES["vae"], "omniglot")) == 1
    assert choice.default_out == Path("runs/table1-omniglot")
    assert Reproduction(scale="quick").default_out == Path("runs/table1-mnist-quick")


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"table": "table9"}, "there are table1"),
        ({"scale": "papers"}, r"did you mean 'paper'"),
        ({"only": ("vea",)}, r"unknown row 'vea' \(did you mean 'vae'"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_unknown_tables_scales_and_rows_are_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        Reproduction(**settings)


# Runs that another machine has done.


def archived(config: RunConfig, sha256: str = "abc", status: str = "done") -> tuple[dict[str, Any], dict[str, Any]]:
    """The row and the record of a run, as an archive holds them; its name is that of another comparison."""
    row = {**identity(config), "run": f"theirs-{config.seed}", "status": status, "nll_bound": 100.0 + config.seed}
    row["path"] = "runs/theirs"
    values = flat(config)  # as archives of the last release have it
    provenance = {"commit": "c0ffee", "data": {"sha256": sha256}}
    dimensions = {"kl": [0.5] * config.latent_dim}
    test = [{"epoch": 10, "nll_bound": 110.0}]
    return row, {"run": row["run"], "config": values, "dimensions": dimensions, "test": test, "provenance": provenance}


def write_archive(path: Path, *pairs: tuple[dict[str, Any], dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"rows": [row for row, _ in pairs], "runs": [record for _, record in pairs]}))
    return path


PLAIN = run_of(data="mnist", method="vae", epochs=100, latent_dim=3)


def test_only_runs_with_exactly_the_config_and_the_data_are_taken_up(tmp_path: Path) -> None:
    others = [changed(PLAIN, learning_rate=2e-3), changed(PLAIN, seed=1), changed(PLAIN, seed=2), PLAIN]
    pairs = [archived(others[0]), archived(others[1], sha256="other"), archived(others[2], status="failed")]
    known = read_finished(write_archive(tmp_path / "known.json", *pairs, archived(PLAIN)))
    assert [run.config for run in known] == others
    wanted = {run_name_of(config): config for config in (PLAIN, *others[1:3], changed(PLAIN, seed=3))}
    assert import_finished(known, wanted, tmp_path, "abc") == ["vae-epochs100-seed0"]
    folder = tmp_path / "runs" / "vae-epochs100-seed0"
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [folder.name]
    assert read_config(folder / "config.yaml") == PLAIN
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["status"], metrics["nll_bound"], metrics["dimensions"]["kl"]) == ("done", 100.0, [0.5] * 3)
    assert json.loads((folder / "history.json").read_text())["test"] == [{"epoch": 10, "nll_bound": 110.0}]
    assert json.loads((folder / "provenance.json").read_text())["commit"] == "c0ffee"


def test_a_number_of_samples_that_is_the_methods_own_changes_nothing(tmp_path: Path) -> None:
    known = read_finished(write_archive(tmp_path / "known.json", archived(changed(PLAIN, samples=1))))
    assert import_finished(known, {"two": changed(PLAIN, samples=2)}, tmp_path, "abc") == []
    assert import_finished(known, {"one": PLAIN}, tmp_path, "abc") == ["one"]
    assert read_config(tmp_path / "runs" / "one" / "config.yaml") == PLAIN


@pytest.mark.parametrize("method", ["theirs_alone:Capped", {"vae": {}, "theirs_alone:Capped": {}}])
def test_a_module_that_an_archive_names_is_not_imported(
    method: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs_alone.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    row, record = archived(changed(PLAIN, seed=1))
    record["config"] = {**record["config"], "method": method}
    known = read_finished(write_archive(tmp_path / "known.json", (row, record), archived(PLAIN)))
    assert [run.config for run in known] == [PLAIN]


def test_a_run_that_is_here_is_left_as_it_is(tmp_path: Path) -> None:
    known = read_finished(write_archive(tmp_path / "known.json", archived(PLAIN)))
    folder = tmp_path / "runs" / run_name_of(PLAIN)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml({"data": "mnist"}))
    assert import_finished(known, {run_name_of(PLAIN): PLAIN}, tmp_path, "abc") == []
    assert [path.name for path in folder.iterdir()] == ["config.yaml"]


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text('{"rows": []}')
    with pytest.raises(InputError, match="is no archive of runs"):
        read_finished(path)
    row, record = archived(PLAIN)
    write_archive(path, ({**row, "run": "another"}, record))
    with pytest.raises(InputError, match="a run in it has no row or no config"):
        read_finished(path)
    write_archive(path, (row, {**record, "dimensions": {"kl": [1.0]}}))
    with pytest.raises(InputError, match="must have 3 entries"):
        read_finished(path)
    write_archive(path, (row, {**record, "config": {"epoch": 3}}))
    with pytest.raises(InputError, match="unknown key 'epoch'"):
        read_finished(path)


PUBLISHED = {
    "table1-mnist": Reproduction("table1", "mnist"),
    "table1-omniglot": Reproduction("table1", "omniglot"),
    "table2-cpu": Reproduction("table2", "cifar10", "cpu"),
    "table2-steps": Reproduction("table2", "cifar10", "steps"),
    "table3-cpu": Reproduction("table3", "cifar10", "cpu"),
    "table3-steps": Reproduction("table3", "cifar10", "steps"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_table_is_made_again_without_training_anything(name: str, tmp_path: Path) -> None:
    path, choice = Path(__file__).parents[2] / "results" / f"{name}.json", PUBLISHED[name]
    runs = json.loads(path.read_text())["runs"]
    (sha256,) = {run["provenance"]["data"]["sha256"] for run in runs}
    (data,) = {run["config"]["data"] for run in runs}  # at the smaller scales the first rows of it, in a file
    wanted = {run_name_of(config): config for recipe in choice.asked for config in choice.runs(recipe, data)}
    assert import_finished(read_finished(path), wanted, tmp_path, sha256) == list(wanted)
    optional = [recipe for recipe in load_recipes(choice.table) if recipe.optional]
    wanted |= {run_name_of(config): config for recipe in optional for config in choice.runs(recipe, data)}
    assert len(runs) == len(import_finished(read_finished(path), wanted, tmp_path / "optional", sha256))


def test_titles_of_the_rows_of_a_block_are_different() -> None:
    labels = [
        (recipe.epochs, config.method.label)
        for recipe in RECIPES.values()
        for config in runs_of(recipe, "mnist", SCALES["paper"])[:1]
    ]
    assert len(set(labels)) == len(labels)
