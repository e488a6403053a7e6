"""What is done to text before it is stored as sequences."""

from dataclasses import dataclass, replace
from typing import Literal

from lambda_vae.errors import InputError
from lambda_vae.text import tokeniser_named
from lambda_vae.text.vocabulary import Vocabulary

__all__ = ["KnownTokens", "Longer", "SequenceOptions"]

Longer = Literal["refuse", "cut", "drop"]


@dataclass(frozen=True)
class SequenceOptions:
    """What is done to text before it is stored.

    Args:
        tokeniser: How text is cut: characters, smiles, words, bpe.
        vocabulary: Known tokens at most; 10,000 of words and bpe.
        min_count: Known tokens occur so often in training.
        longest: Tokens of a sequence at most, with its end.
        longer: Of longer ones: refuse, cut or drop them.
        column: Of a .csv or .parquet, with the sequences.

    Raises:
        InputError: A number is too small, or there is no such tokeniser.
    """

    tokeniser: str | None = None
    vocabulary: int | None = None
    min_count: int = 1
    longest: int = 1024
    longer: Longer = "refuse"
    column: str | None = None

    def __post_init__(self) -> None:
        if self.tokeniser is not None:
            tokeniser_named(self.tokeniser)
        for name, least in (("vocabulary", 1), ("min_count", 1), ("longest", 2)):
            if (value := getattr(self, name)) is not None and value < least:
                raise InputError(f"{name} is {value}; it must be at least {least}")

    def settled(self, tokeniser: str) -> "SequenceOptions":
        """Return them with every choice made.

        Args:
            tokeniser: What suits the data.

        Raises:
            InputError: The tokeniser needs a larger vocabulary.
        """
        chosen = tokeniser_named(self.tokeniser or tokeniser)
        vocabulary = chosen.limit if self.vocabulary is None else self.vocabulary
        if vocabulary is not None and vocabulary < chosen.least:
            raise InputError(f"vocabulary is {vocabulary}; the tokeniser {chosen.name} needs at least {chosen.least}")
        return replace(self, tokeniser=chosen.name, vocabulary=vocabulary)


@dataclass(frozen=True)
class KnownTokens(SequenceOptions):
    """The same with a vocabulary that is there already, such as that of a model to be measured on other data.

    Args:
        known: In place of one learnt from the training part.
    """

    known: Vocabulary | None = None
