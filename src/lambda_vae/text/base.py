"""What every tokeniser does: learn a vocabulary, turn texts into ids and ids into text."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["END", "PADDING", "SPECIAL", "UNKNOWN", "Fit", "Ids", "Tokeniser"]

PADDING, END, UNKNOWN = 0, 1, 2
"""The ids that are no part of any text; those of the vocabulary follow."""

SPECIAL = ("<pad>", "<end>", "<unk>")
"""What the first three ids are called. The same words in a text are tokens like others."""

#: Ids of several texts in one row, each text followed by `END`.
Ids = NDArray[np.int64]

#: What is done to ids before they are counted: texts that are too long are cut, or left out.
Fit = Callable[[Ids], Ids]


class Tokeniser(ABC):
    """A way to cut text into tokens.

    Attributes:
        name: What users type.
        title: What it is, in a few words.
        limit: How many tokens are kept where the user does not say; all if None.
        least: The fewest tokens that it needs.
        unknown: What stands in a text for a token that is not in the vocabulary.
    """

    name: str
    title: str
    limit: int | None = None
    least: int = 1
    unknown: str = "\N{REPLACEMENT CHARACTER}"

    @abstractmethod
    def learn(
        self, texts: Iterable[Sequence[str]], limit: int | None, min_count: int, fit: Fit
    ) -> tuple[list[str], str]:
        """Return the tokens of a vocabulary, the most frequent first, and what else must be kept to encode.

        Args:
            texts: Of the training part, some at a time, none with a line break.
            limit: At most so many tokens.
            min_count: A token must occur so often.
            fit: What is done to texts that are too long.
        """

    @abstractmethod
    def encoder(self, tokens: Sequence[str], model: str) -> Callable[[Sequence[str]], Ids]:
        """Return the function from texts to ids.

        Args:
            tokens: Of the vocabulary, by id, the first three among them.
            model: What else `learn` gave.
        """

    @abstractmethod
    def join(self, tokens: Sequence[str]) -> str:
        """Return the text that the tokens make.

        Args:
            tokens: In their order, none of the first three; `unknown` where one was not in the vocabulary.
        """
