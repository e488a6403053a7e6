"""The settings of a method, with their words in tables and folders, and the run that it is used in."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

from lambda_vae.checked import plain_number

__all__ = ["Context", "Setting", "setting", "written"]

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """The numbers of a run that its method may depend on.

    Args:
        latent_dim: D, the number of latent dimensions.
        epochs: Passes over the data.
        batch_size: Examples a step on each process.
        features: F, the length of x.
        encoded: H, the length of what the encoder gives.
    """

    latent_dim: int
    epochs: int
    batch_size: int = 100
    features: int = 0
    encoded: int = 0


@dataclass(frozen=True)
class Setting:
    """One setting of a method, with its value.

    Args:
        name: The field of the method's class.
        record: Its name in records and as an option of the command line, the same for all methods that share it.
        value: As the method has it.
        default: What it is where nothing is said.
        words: How tables write it, with {} for the value.
        stem: What it is called in the names of folders.
        always: Whether tables and folders name it even where it has its default.
    """

    name: str
    record: str
    value: Any
    default: Any
    words: str
    stem: str
    always: bool

    @property
    def shown(self) -> bool:
        """Whether it tells a run of the method from another."""
        return self.always or bool(self.value != self.default)


def setting(default: T, words: str = "", *, record: str = "", stem: str = "", always: bool = False) -> T:
    """Return a field of a method's class that says how tables and folders write it.

    Args:
        default: Its value where nothing is said.
        words: In tables, such as "δ={}"; "name={}" if left out.
        record: Its name in records and on the command line; the field's own if left out.
        stem: In the names of folders; the record's name without underscores if left out.
        always: Whether it is written even where it has its default.
    """
    metadata = {"words": words, "record": record, "stem": stem, "always": always}
    made: T = field(default=default, metadata=metadata)
    return made


def written(value: Any) -> str:  # noqa: ANN401 - any setting's value
    """Return a value as tables and folders write it.

    Args:
        value: A setting's.

    Example:
        >>> written((300, 300)), written(1.0), written("imq")
        ('300x300', '1', 'imq')
    """
    if isinstance(value, tuple):
        return "x".join(map(written, value))
    return plain_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
