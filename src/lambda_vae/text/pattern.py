"""Tokenisers that are a regular expression: every character of a text belongs to one token, or to what lies between."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from lambda_vae.text.base import END, SPECIAL, UNKNOWN, Fit, Ids, Tokeniser

__all__ = ["PatternTokeniser"]


class _Known(dict[str, int]):
    def __missing__(self, token: str) -> int:
        return UNKNOWN


class _Growing(dict[str, int]):
    """Numbers new tokens as they come."""

    def __missing__(self, token: str) -> int:
        self[token] = number = len(self) + len(SPECIAL) - 1  # the line break is among them
        return number


@dataclass(frozen=True)
class PatternTokeniser(Tokeniser):
    r"""Cuts texts by a regular expression.

    Args:
        name: What users type.
        title: What it is, in a few words.
        pattern: Matches one token; the line break must be one.
        between: What stands between tokens when a text is put together.
        limit: How many tokens are kept where the user does not say; all if None.
        unknown: What stands in a text for a token that is not in the vocabulary.

    Example:
        >>> PatternTokeniser("words", "words", r"\n|\S+", " ").cut(["a b", "c"])
        ['a', 'b', '\n', 'c', '\n']
    """

    name: str
    title: str
    pattern: str
    between: str = ""
    limit: int | None = None
    unknown: str = "\N{REPLACEMENT CHARACTER}"

    def cut(self, texts: Sequence[str]) -> list[str]:
        """Return the tokens of several texts, a line break after each.

        Args:
            texts: None with a line break.
        """
        # All at once: a call and an array for each text would cost several times as much.
        return re.findall(self.pattern, "\n".join([*texts, ""]), re.DOTALL)

    def learn(
        self, texts: Iterable[Sequence[str]], limit: int | None, min_count: int, fit: Fit
    ) -> tuple[list[str], str]:
        numbers = _Growing({"\n": END})
        counts = np.zeros(0, dtype=np.int64)
        for some in texts:
            found = np.bincount(fit(_ids(self.cut(some), numbers)), minlength=len(counts))
            found[: len(counts)] += counts
            counts = found
        tokens = [token for token in numbers if token != "\n"]
        often = dict(zip(tokens, counts[len(SPECIAL) :].tolist(), strict=False))
        kept = sorted(
            (token for token in often if often[token] >= max(1, min_count)), key=lambda one: (-often[one], one)
        )
        return kept[:limit], ""

    def encoder(self, tokens: Sequence[str], model: str) -> Callable[[Sequence[str]], Ids]:
        del model
        known = _Known(
            {token: number for number, token in zip(count(len(SPECIAL)), tokens[len(SPECIAL) :], strict=False)}
        )
        known["\n"] = END
        return lambda texts: _ids(self.cut(texts), known)

    def join(self, tokens: Sequence[str]) -> str:
        return self.between.join(tokens)


def _ids(tokens: list[str], numbers: dict[str, int]) -> Ids:
    return np.fromiter(map(numbers.__getitem__, tokens), dtype=np.int64, count=len(tokens))
