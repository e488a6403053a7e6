from dataclasses import replace

import numpy as np
import pytest
import yaml

from lambda_vae.checked import checked
from lambda_vae.data import Dataset, Split, load
from lambda_vae.errors import InputError
from lambda_vae.methods import METHODS, LambdaVAE, PlainVAE
from lambda_vae.paper import Reproduction
from lambda_vae.paper.added import row_label
from lambda_vae.paper.figures import load_recipes
from lambda_vae.paper.recipe import Recipe, named, run_name_of, runs_of
from lambda_vae.paper.subset import subset_path, write_subset
from lambda_vae.paper.tables import SCALES, TABLES
from lambda_vae.runs.networks import NETWORKS
from lambda_vae.text.options import SequenceOptions

RECIPES = load_recipes("table1")


def by_name(name):
    return next(recipe for recipe in RECIPES if recipe.name == name)


def test_every_method_has_a_row():
    recipes = (*RECIPES, *load_recipes("sequences"))
    used = {part for recipe in recipes for part in recipe.method.partition(":")[0].split("+")}
    assert used == METHODS.keys()


def test_the_papers_own_rows_are_run_at_its_length_with_three_seeds():
    own = [recipe for recipe in RECIPES if recipe.paper]
    assert len(own) == 6
    assert {(recipe.epochs, recipe.seeds) for recipe in own} == {(200, 3)}
    others = [recipe for recipe in RECIPES if not recipe.paper]
    short = {recipe.name for recipe in others if recipe.epochs != 100}
    assert short == {"iwae-50", "vae-20"}  # fifty samples a step: 20 epochs, and the plain VAE beside them
    thrice = {recipe.name for recipe in others if recipe.seeds != 2}
    assert thrice == {"lambda-rising", "warm-up-83"}  # the one that was searched for, and what it must beat
    assert {recipe.seeds for recipe in others} == {2, 3}
    assert {"vae", "warm-up"} <= {recipe.method for recipe in others}


def test_no_two_runs_of_the_table_share_a_folder():
    names = [run_name_of(config) for recipe in RECIPES for config in runs_of(recipe, "digits", SCALES["paper"])]
    assert len(names) == len(set(names))


def test_scales_shorten_what_is_counted_in_epochs():
    released = by_name("lambda-1.01-released")
    whole, quick = (runs_of(released, "digits", SCALES[name])[0] for name in ("paper", "quick"))
    assert (quick.epochs, quick.method.values["release_epochs"]) == (
        whole.epochs // 10,
        whole.method.values["release_epochs"] // 10,
    )
    assert len(runs_of(released, "digits", SCALES["quick"])) == 1
    assert runs_of(released, "digits", SCALES["smoke"])[0].network.hidden == (16, 16)


def test_omniglot_is_run_with_one_seed_less():
    assert len(runs_of(by_name("vae-200"), "omniglot", SCALES["paper"], fewer_seeds=1)) == 2


def test_optional_rows_are_run_when_asked_for():
    optional = [recipe for recipe in RECIPES if recipe.optional]
    assert optional
    assert all("+" in recipe.method or "released" in recipe.name or "long" in recipe.name for recipe in optional)
    assert not any(recipe in optional for recipe in named(RECIPES, ()))
    asked = named(RECIPES, (), optional=True)
    assert all(recipe in asked for recipe in optional)
    assert named(RECIPES, (optional[0].name,)) == (optional[0],)


GOOD = {"name": "x", "method": "beta-vae:beta=2", "epochs": 3, "seeds": 1}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"epoch": 3}, r"unknown key 'epoch' \(did you mean 'epochs'\?\)"),
        ({"epochs": "many"}, "epochs is 'many'; it must be a whole number"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"method": "bta-vae"}, "did you mean 'beta-vae'"),
        ({"method": "vae:beta=2"}, "vae has no setting 'beta'"),
        ({"elsewhere": [{"data": "mnist"}]}, "it must have data, quantity, value"),
        ({"elsewhere": [dict.fromkeys(("data", "quantity", "value", "source"), "low")]}, "it must have data, quantity"),
        ({"paper": "δ=2"}, "the paper's tables have no line 'δ=2'; their lines are VAE"),
    ],
)
def test_a_bad_recipe_is_refused(change, what):
    assert checked(Recipe, GOOD, "here: ").method == GOOD["method"]
    with pytest.raises(InputError, match=what):
        checked(Recipe, {**GOOD, **change}, "here: ")


def test_a_missing_key_is_named():
    with pytest.raises(InputError, match="here: seeds is missing"):
        checked(Recipe, {key: value for key, value in GOOD.items() if key != "seeds"}, "here: ")


def test_unknown_rows_and_tables_are_refused():
    with pytest.raises(InputError, match=r"unknown row 'vae-2000' \(did you mean 'vae-200'\?\)"):
        named(RECIPES, ("vae-2000",))
    with pytest.raises(InputError, match="unknown table or figure 'table9'"):
        load_recipes("table9")


def test_a_figure_of_theory_has_no_recipes_and_the_others_have():
    assert load_recipes("figure1") == ()
    assert [recipe.method for recipe in load_recipes("figure3")] == ["vae", "lambda-vae:delta=1.001"]


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"latent": 2}, "recipe 'x': settings: unknown key 'latent'"),
        ({"latent_dim": "two"}, "latent_dim is 'two'"),
        ({"data": "digits"}, "settings name 'data', which the recipe itself gives"),
    ],
)
def test_settings_that_are_no_fields_of_a_run_are_refused(settings, what):
    with pytest.raises(InputError, match=what):
        checked(Recipe, {**GOOD, "name": "x", "settings": settings}, "here: ")


def test_settings_hold_at_every_scale():
    recipe = checked(Recipe, {**GOOD, "settings": {"latent_dim": 2, "hidden": [7]}}, "here: ")
    for scale in SCALES.values():
        config = runs_of(recipe, "mnist", scale)[0]
        assert (config.latent_dim, config.network.hidden) == (2, (7,))


def test_recipes_are_plain_yaml():
    assert yaml.safe_load(yaml.safe_dump(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("table", "network", "data", "latent_dim"),
    [
        ("table2", "resnet", "cifar10", 512),
        ("table2", "resnet", "celeba64", 1024),
        ("table3", "pixelcnn", "cifar10", 512),
    ],
)
def test_tables_of_images_are_trained_by_the_papers_recipe(table, network, data, latent_dim):
    plain, ours = (
        runs_of(recipe, data, TABLES[table].scales["paper"], 0, TABLES[table].settings_for(data))[0]
        for recipe in load_recipes(table)
    )
    assert ours.method == LambdaVAE(delta=1.001, ramp_epochs=150, refresh_every=5)
    assert replace(ours, method=PlainVAE()) == plain
    assert (plain.network, plain.latent_dim, plain.epochs) == (NETWORKS[network](16, 1, 64, 2), latent_dim, 400)
    assert (plain.likelihood, plain.train.batch_size, plain.train.clip_norm) == ("logistic-mixture", 100, 1.0)
    rate = plain.train.learning_rates(8)
    assert (rate(5.0), rate(400.0)) == (pytest.approx(8e-4), 1e-5)


@pytest.mark.parametrize("data", ["cifar10", "celeba64"])
@pytest.mark.parametrize("scale", ["smoke", "steps", "cpu", "paper"])
@pytest.mark.parametrize("number", [6, 7, 8, 9])
def test_figures_of_images_have_the_very_runs_of_their_table(number, scale, data):
    table = "table3" if number == 9 else "table2"
    figure, whole = (Reproduction(name, data, scale) for name in (f"figure{number}", table))
    runs = [figure.runs(recipe, data) for recipe in load_recipes(f"figure{number}")]
    assert runs == [whole.runs(recipe, data)[:1] for recipe in load_recipes(table)]
    assert len(runs) == 2


@pytest.mark.parametrize("table", ["table2", "table3"])
@pytest.mark.parametrize("scale", ["smoke", "cpu"])
def test_tables_of_images_shrink_alike_for_both_methods(table, scale):
    plain, ours = (
        runs_of(recipe, "cifar10", TABLES[table].scales[scale], 0, TABLES[table].settings_for("cifar10"))[0]
        for recipe in load_recipes(table)
    )
    assert replace(ours, method=PlainVAE()) == plain
    assert 0 < ours.method.values["ramp_epochs"] < ours.epochs < 400
    assert ours.method.values["refresh_every"] == 1


@pytest.mark.parametrize("data", ["cifar10", "celeba64"])
@pytest.mark.parametrize("table", ["table2", "table3"])
def test_a_few_steps_have_the_networks_and_batch_of_the_paper(table, data):
    settings, scales = TABLES[table].settings_for(data), TABLES[table].scales
    for recipe in load_recipes(table):
        few, whole = (runs_of(recipe, data, scales[name], 0, settings)[0] for name in ("steps", "paper"))
        sizes = [(run.network, run.latent_dim, run.train.batch_size) for run in (few, whole)]
        assert sizes[0] == sizes[1]
        assert few.epochs * scales["steps"].rows[0] // few.train.batch_size == 3


def test_a_table_of_colours_refuses_grey_images():
    x = np.zeros((4, 64), np.uint8)
    grey = Dataset("mine", "image", (8, 8), Split(x, None), Split(x, None), "0", "grey", None)
    with pytest.raises(InputError, match=r"Table 2 is of RGB images and mine holds grey images of shape \(8, 8\)"):
        TABLES["table2"].check_data(grey)
    TABLES["table1"].check_data(grey)


def test_table_one_has_no_scale_cpu_and_the_others_no_quick():
    with pytest.raises(InputError, match="the scales of table1 are smoke, quick, paper"):
        Reproduction("table1", scale="cpu")
    with pytest.raises(InputError, match="the scales of table2 are smoke, steps, cpu, paper"):
        Reproduction("table2", scale="quick")
    assert (Reproduction("table3").data, Reproduction().data) == ("cifar10", "mnist")


def sequences(tmp_path):
    lines = [f"the {one} eats {food}" for one in ("cat", "dog") for food in ("fish", "bread", "corn")] * 3
    path = tmp_path / "lines.train.txt"
    path.write_text("\n".join(lines))
    path.with_name("lines.test.txt").write_text("\n".join(lines[:4]))
    return load(path, cache=tmp_path / "cache", sequences=SequenceOptions(tokeniser="words"))


def test_a_table_of_sequences_refuses_images_and_takes_text(tmp_path):
    x = np.zeros((4, 64), np.uint8)
    grey = Dataset("mine", "image", (8, 8), Split(x, None), Split(x, None), "0", "grey", None)
    with pytest.raises(InputError, match="Sequences is about sequences and mine holds images; choose other `data`"):
        TABLES["sequences"].check_data(grey)
    TABLES["sequences"].check_data(sequences(tmp_path))


@pytest.mark.parametrize("scale", ["smoke", "cpu", "paper"])
def test_rows_of_sequences_differ_in_method_or_word_dropout_alone(scale):
    for data in ("moses", "brown", "ewt"):
        choice = Reproduction("sequences", data, scale)
        runs = [choice.runs(recipe, data)[0] for recipe in load_recipes("sequences")]
        assert len({run_name_of(run) for run in runs}) == len({row_label(run) for run in runs}) == len(runs)
        plain = next(run for run in runs if run.method == PlainVAE())
        assert {replace(run.network, word_dropout=0.0) for run in runs} == {plain.network}
        assert {replace(run, method=PlainVAE(), network=plain.network) for run in runs} == {plain}


def test_the_first_sequences_become_data_of_their_own(tmp_path):
    whole = sequences(tmp_path)
    path = subset_path(tmp_path / "few", whole, "cpu")
    write_subset(path, whole, (6, 2))
    few = load(path, cache=tmp_path / "cache", sequences=SequenceOptions(tokeniser="words"))
    assert (len(few.train), len(few.test), few.vocabulary) == (6, 2, whole.vocabulary)
    for part, one in ((few.train, whole.train), (few.test, whole.test)):
        assert part.tensor()[part.index()].equal(one.tensor()[one.index()[: len(part)]])
