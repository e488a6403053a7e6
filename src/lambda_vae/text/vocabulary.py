"""The tokens that a model of sequences knows, and how text becomes their ids and back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lambda_vae.text import END, PADDING, UNKNOWN, tokeniser_named
from lambda_vae.text.base import Ids

__all__ = ["Vocabulary"]


@dataclass(frozen=True)
class Vocabulary:
    """Tokens by id: 0 is padding, 1 ends a sequence, 2 stands for what is unknown, the data's own follow.

    Args:
        tokeniser: Name of what cuts text into tokens, in `TOKENISERS`.
        tokens: By id, the first three among them.
        model: What else the tokeniser needs to know; empty for most.

    Example:
        >>> vocabulary = Vocabulary("smiles", ("<pad>", "<end>", "<unk>", "C", "Cl", "[nH]"))
        >>> vocabulary.encode("CClC"), vocabulary.decode([3, 4, 3, 1, 0, 0])
        ([3, 4, 3, 1], 'CClC')
    """

    tokeniser: str
    tokens: tuple[str, ...]
    model: str = ""

    @property
    def size(self) -> int:
        """Number of ids."""
        return len(self.tokens)

    @cached_property
    def ids_of(self) -> Callable[[Sequence[str]], Ids]:
        """From texts to ids in one row, int64, `END` after each text."""
        return tokeniser_named(self.tokeniser).encoder(self.tokens, self.model)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text, the end among them; unknown tokens are 2.

        Args:
            text: One sequence.
        """
        return [int(one) for one in self.ids_of([text])]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids up to the first end; padding is passed over.

        Args:
            ids: A row of a batch, or what a model has drawn.
        """
        tokeniser, tokens = tokeniser_named(self.tokeniser), list[str]()
        for one in map(int, ids):
            if one == END:
                break
            if one != PADDING:
                tokens.append(tokeniser.unknown if one == UNKNOWN else self.tokens[one])
        return tokeniser.join(tokens)

    def to_record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"tokeniser": self.tokeniser, "tokens": list(self.tokens), "model": self.model}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Vocabulary":
        """Return what `to_record` gave.

        Args:
            record: Read from a file.

        Raises:
            KeyError: Something is not there.
            TypeError: Something is of another kind.
        """
        return cls(str(record["tokeniser"]), tuple(map(str, record["tokens"])), str(record["model"]))
