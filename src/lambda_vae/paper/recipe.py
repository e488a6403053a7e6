"""Recipes: one YAML file a row of a published table or a line of a figure, and the runs that it stands for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lambda_vae.checked import check_known, checked, fits
from lambda_vae.errors import InputError
from lambda_vae.methods.spec import method_named, parse
from lambda_vae.paper.tables import Scale
from lambda_vae.reports.published import published_line
from lambda_vae.runs.config import RunConfig, read_yaml
from lambda_vae.runs.flat import from_flat

__all__ = ["Recipe", "named", "recipes_in", "run_name_of", "runs_of", "word_dropout_of"]

#: Fields of a run that a recipe gives itself, or the one who asks for it.
_OWN_KEYS = ("data", "method", "epochs", "seed")


@dataclass(frozen=True)
class Recipe:
    """One row of a table, or one run of a figure.

    Args:
        name: Of the row, for `Reproduction.only`.
        method: A method with its settings, such as "beta-vae:beta=0.5".
        epochs: Passes over the data.
        seeds: How many runs, with the seeds 0, 1, ...
        paper: The line of the paper's table that it is compared with, by its name in `published.json`; None if none.
        elsewhere: Figures that others published for this method: mappings of data, quantity, value and source.
        note: What the reader must know of this row.
        optional: Run only where it is named, or all optional rows are asked for.
        settings: Other fields of the run that differ from a run's defaults, at every scale.
        snapshots: At how many epoch ends the model is kept, close together at first; 0 for the last one alone.

    Raises:
        InputError: Numbers below 1, an unknown method or setting, or an unknown line of the paper.
    """

    name: str
    method: str
    epochs: int
    seeds: int
    paper: str | None = None
    elsewhere: tuple[Mapping[str, Any], ...] = ()
    note: str = ""
    optional: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    snapshots: int = 0

    def __post_init__(self) -> None:
        from_flat(self.settings, f"recipe {self.name!r}: settings: ")
        if own := [key for key in self.settings if key in _OWN_KEYS]:
            raise InputError(f"recipe {self.name!r}: settings name {own[0]!r}, which the recipe itself gives")
        for name in ("epochs", "seeds"):
            if getattr(self, name) < 1:
                raise InputError(f"recipe {self.name!r}: {name} is {getattr(self, name)}; it must be at least 1")
        method_named(self.method)
        if self.paper is not None:
            published_line(self.paper)
        for figure in self.elsewhere:
            if figure.keys() != {"data", "quantity", "value", "source"} or not fits(figure["value"], float):
                raise InputError(
                    f"recipe {self.name!r}: a figure published elsewhere is {dict(figure)!r}; it must have data, "
                    "quantity, value (a number) and source"
                )


@cache
def recipes_in(name: str) -> tuple[Recipe, ...]:
    """Return the recipes in a folder below `recipes`, in the order of their files; none where there is no folder.

    Raises:
        InputError: A recipe that cannot be read, or two of one name.
    """
    folder = Path(str(files("lambda_vae.paper"))) / "recipes" / name
    recipes = tuple(checked(Recipe, read_yaml(path), f"{path}: ") for path in sorted(folder.glob("*.yaml")))
    names = [recipe.name for recipe in recipes]
    if twice := next((one for one in names if names.count(one) > 1), None):
        raise InputError(f"two recipes of {name} are called {twice!r}; rename one")
    return recipes


def run_name_of(config: RunConfig) -> str:
    """Return the name of a run's folder, which tells apart runs of other lengths too.

    Args:
        config: The run.

    Example:
        >>> run_name_of(RunConfig(method="vae").with_seed(2))
        'vae-epochs100-seed2'
    """
    unseen = f"-word_dropout{share:g}" if (share := word_dropout_of(config)) else ""
    return f"{config.method.stem}{unseen}-epochs{config.epochs}-seed{config.seed}"


def word_dropout_of(config: RunConfig) -> float:
    """Return the share of tokens that the decoder of a run does not read, a remedy that is no method's but a network's.

    Args:
        config: The run.
    """
    return float(getattr(config.network, "word_dropout", 0.0))


def runs_of(
    recipe: Recipe, data: str, scale: Scale, fewer_seeds: int = 0, settings: Mapping[str, Any] | None = None
) -> list[RunConfig]:
    """Return the runs of a row.

    Args:
        recipe: The row.
        data: A named data set or a path.
        scale: How much of it.
        fewer_seeds: So many seeds less than the recipe says, but at least one.
        settings: Fields of a run that all rows of the table share.
    """
    seeds = max(1, min(recipe.seeds - fewer_seeds, scale.seeds or recipe.seeds))
    epochs = -(-recipe.epochs // scale.shorter)
    method, fixed = parse(recipe.method)
    values = {**(settings or {}), **{name: method.values[name] for name in fixed}}
    lengths = {name: _shorter(value, scale) for name, value in values.items() if name.endswith("_epochs")}
    values |= {**lengths, **(scale.settings or {}), **recipe.settings}
    own = {name: value for name, value in values.items() if method.uses(name)}
    given = {name: value for name, value in values.items() if name not in own}
    changed = {name: value for name, value in own.items() if name not in fixed or value != method.values[name]}
    config = replace(from_flat({**given, "data": data, "epochs": epochs}), method=method.with_settings(**changed))
    return [config.with_seed(seed) for seed in range(seeds)]


def _shorter(epochs: float, scale: Scale) -> float:
    """A length in epochs at another scale; what was there at all stays there."""
    if isinstance(epochs, int):
        return -(-epochs // scale.shorter)
    return epochs / scale.shorter


def named(recipes: Sequence[Recipe], names: Sequence[str], *, optional: bool = False) -> tuple[Recipe, ...]:
    """Return the recipes of these names, in the table's order; where no name is given all that are not optional.

    Args:
        recipes: Of a table.
        names: As typed.
        optional: Whether all optional ones are asked for too.

    Raises:
        InputError: A name that the table has not.
    """
    known = [recipe.name for recipe in recipes]
    for name in names:
        check_known("row", name, known, "the rows are")
    return tuple(
        recipe
        for recipe in recipes
        if recipe.name in names or (optional and recipe.optional) or not (names or recipe.optional)
    )
