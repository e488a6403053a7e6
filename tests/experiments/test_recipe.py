import pytest
import yaml

from lambda_vae.errors import InputError
from lambda_vae.experiments import METHODS
from lambda_vae.experiments.recipe import SCALES, load_recipes, named, recipe_from, run_name_of, runs_of

RECIPES = load_recipes("table1")


def by_name(name):
    return next(recipe for recipe in RECIPES if recipe.name == name)


def test_every_method_has_a_row():
    used = {part for recipe in RECIPES for part in recipe.method.partition(":")[0].split("+")}
    assert used == METHODS.keys()


def test_the_papers_own_rows_are_run_at_its_length_with_three_seeds():
    own = [recipe for recipe in RECIPES if recipe.paper]
    assert len(own) == 6
    assert {(recipe.epochs, recipe.seeds) for recipe in own} == {(200, 3)}
    others = [recipe for recipe in RECIPES if not recipe.paper]
    short = {recipe.name for recipe in others if recipe.epochs != 100}
    assert short == {"iwae-50", "vae-20"}  # fifty samples a step: 20 epochs, and the plain VAE beside them
    assert {recipe.seeds for recipe in others} == {2}
    assert {"vae", "warm-up"} <= {recipe.method for recipe in others}


def test_no_two_runs_of_the_table_share_a_folder():
    names = [run_name_of(config) for recipe in RECIPES for config in runs_of(recipe, "digits", SCALES["paper"])]
    assert len(names) == len(set(names))


def test_scales_shorten_what_is_counted_in_epochs():
    released = by_name("lambda-1.01-released")
    whole, quick = (runs_of(released, "digits", SCALES[name])[0] for name in ("paper", "quick"))
    assert (quick.epochs, quick.release_epochs) == (whole.epochs // 10, whole.release_epochs // 10)
    assert len(runs_of(released, "digits", SCALES["quick"])) == 1
    assert runs_of(released, "digits", SCALES["smoke"])[0].hidden == (16, 16)


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
    assert recipe_from(GOOD, "here").method == GOOD["method"]
    with pytest.raises(InputError, match=what):
        recipe_from({**GOOD, **change}, "here")


def test_a_missing_key_is_named():
    with pytest.raises(InputError, match="here: seeds is missing"):
        recipe_from({key: value for key, value in GOOD.items() if key != "seeds"}, "here")


def test_unknown_rows_and_tables_are_refused():
    with pytest.raises(InputError, match=r"unknown row 'vae-2000' \(did you mean 'vae-200'\?\)"):
        named(RECIPES, ("vae-2000",))
    with pytest.raises(InputError, match="unknown table 'table9'"):
        load_recipes("table9")


def test_recipes_are_plain_yaml():
    assert yaml.safe_load(yaml.safe_dump(GOOD)) == GOOD
