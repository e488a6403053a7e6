"""Rows that a user adds to a table: methods of their own, trained and measured as the table's plain VAE is."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from lambda_vae.checked import fits
from lambda_vae.errors import InputError
from lambda_vae.methods import Method, method_named
from lambda_vae.methods.spec import check_importable, text_of
from lambda_vae.paper.recipe import Recipe, run_name_of, word_dropout_of
from lambda_vae.runs.config import RunConfig, read_yaml
from lambda_vae.runs.results import training_length

__all__ = ["added_recipes", "check_names", "kept_methods", "row_label", "title_of"]

#: The row whose length, seeds and settings an added one has; every table has it.
_LIKE = "vae"
_NOTE = "An added row: neither the paper nor this package has a recipe for it."


def added_recipes(recipes: Sequence[Recipe], methods: Iterable[str | Method]) -> tuple[Recipe, ...]:
    """Return the rows of methods that a table has no recipe for, one each.

    Args:
        recipes: Of the table.
        methods: As text or as objects; the same one twice counts once.

    Raises:
        InputError: An unknown method or setting, or a class that other processes would not find.
    """
    rows = {}
    for asked in methods:
        method = method_named(asked) if isinstance(asked, str) else asked
        check_importable(method)
        text = text_of(method)
        like = next(recipe for recipe in recipes if recipe.name == _LIKE)
        rows[text] = replace(like, name=text, method=text, paper=None, elsewhere=(), note=_NOTE, optional=False)
    return tuple(rows.values())


def kept_methods(folder: Path) -> tuple[str, ...]:
    """Return the methods whose rows a table in a folder has besides its recipes.

    Args:
        folder: Need not exist.

    Raises:
        InputError: Its config.yaml is damaged.
    """
    path = folder / "config.yaml"
    there = read_yaml(path) if path.exists() else {}
    methods = there.get("method", ()) if "table" in there else ()
    if not fits(methods, tuple[str, ...]):
        raise InputError(f"{path} is damaged: method is {methods!r}; it must be a list of methods")
    return tuple(methods)


def row_label(config: RunConfig) -> str:
    """Return what a row of a table is called, which tells apart runs of other lengths too.

    Args:
        config: One of its runs.
    """
    return f"{title_of(config)}, {training_length(config.epochs)}"


def title_of(config: RunConfig) -> str:
    """Return what a row of a table is called within a block of runs of one length.

    Args:
        config: One of its runs.
    """
    unseen = f" + word dropout {share:g}" if (share := word_dropout_of(config)) else ""
    return f"{config.method.label}{unseen}"


def check_names(
    table: str, rows: Iterable[tuple[Recipe, RunConfig]], added: Iterable[tuple[Recipe, RunConfig]]
) -> None:
    """Raise unless every added row is told from all others by its folder and by its title.

    Args:
        table: Which.
        rows: Those of its recipes, each with its first run.
        added: The added ones.

    Raises:
        InputError: An added method has no name or title, or those of another row.
    """
    taken = {name: recipe.name for recipe, config in rows for name in (run_name_of(config), row_label(config))}
    for recipe, config in added:
        if not (config.method.name and config.method.title):
            raise InputError(f"the method {recipe.name!r} has no name or no title; give its class both")
        for name in (run_name_of(config), row_label(config)):
            if name in taken:
                raise InputError(
                    f"the method {recipe.name!r} would stand in {table} as {name!r}, and so does the row "
                    f"{taken[name]!r}; name that row with `only`, or give the method a name and a title of its own"
                )
            taken[name] = recipe.name
