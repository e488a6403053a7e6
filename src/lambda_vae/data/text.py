"""From lines of text to sequences of ids: the vocabulary from the training part, then both parts in its ids."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from lambda_vae.data.lines import Lines
from lambda_vae.data.source import SPLIT_SEED, Part, Source
from lambda_vae.errors import InputError
from lambda_vae.text import END, SPECIAL, UNKNOWN, tokeniser_named
from lambda_vae.text.base import Ids
from lambda_vae.text.options import KnownTokens, SequenceOptions
from lambda_vae.text.vocabulary import Vocabulary

__all__ = ["sequence_source"]

#: More unknown tokens in the test part than this share mean that the vocabulary does not fit the data.
_UNKNOWN = 0.2


@dataclass(frozen=True)
class _Texts:
    """The texts of one part: lines that are not blank, of which `keep` says which belong to it."""

    lines: Lines
    keep: NDArray[np.bool_] | None = None

    def __iter__(self) -> Iterator[list[str]]:
        start = 0
        for block in self.lines.blocks():
            some = [line for line in block if line and not line.isspace()]
            if self.keep is not None:
                start, chosen = start + len(some), self.keep[start : start + len(some)]
                some = list(compress(some, chosen))
            if some:
                yield some


def _counted(lines: Lines) -> tuple[int, str]:
    """The number of texts, and in words how many lines are blank.

    Raises:
        InputError: There is one text or none.
    """
    texts = blank = 0
    for block in lines.blocks():
        here = sum(1 for line in block if line and not line.isspace())
        texts, blank = texts + here, blank + len(block) - here
    if texts < 2:
        raise InputError(
            f"{lines.where} has {'one line' if texts else 'no line'} of text; it takes three at least, "
            "one a sequence, of which one is the test part"
        )
    return texts, f"; {blank} empty line{'s' * (blank > 1)} left out" if blank else ""


def _lengths(ids: Ids) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each text begins, and how many ids it has."""
    ends = np.flatnonzero(ids == END) + 1
    starts = np.concatenate(([0], ends[:-1]))
    return starts, ends - starts


def _fitted(ids: Ids, options: SequenceOptions) -> Ids:
    """The ids without what is too long."""
    starts, lengths = _lengths(ids)
    fits = lengths <= options.longest
    if fits.all() or options.longer == "refuse":
        return ids
    if options.longer == "drop":
        whole: Ids = ids[np.repeat(fits, lengths)]
        return whole
    position = np.arange(len(ids)) - np.repeat(starts, lengths)
    kept: Ids = ids[(position < options.longest - 1) | (ids == END)]
    return kept


@dataclass(frozen=True)
class _Encoded:
    """One part as ids; how many texts were too long, and the length of the longest as it was."""

    part: Part
    too_long: int
    longest: int
    unknown: float


def _encoded(texts: _Texts, ids_of: Callable[[Sequence[str]], Ids], size: int, options: SequenceOptions) -> _Encoded:
    dtype = next(one for one in (np.uint8, np.int16, np.int32) if size - 1 <= np.iinfo(one).max)
    pieces, all_lengths, longest, too_long = [np.zeros(0, dtype)], [np.zeros(0, np.int64)], 0, 0
    for some in texts:
        ids = ids_of(some)
        lengths = _lengths(ids)[1]
        longest, too_long = max(longest, int(lengths.max())), too_long + int((lengths > options.longest).sum())
        ids = _fitted(ids, options)
        pieces.append(ids.astype(dtype))
        all_lengths.append(_lengths(ids)[1])
    flat = np.concatenate(pieces)
    offsets = np.concatenate(([0], *all_lengths)).cumsum()
    part = Part(len(offsets) - 1, lambda: iter([flat]), None, offsets)
    unknown = int((flat == UNKNOWN).sum()) / max(1, len(flat) - part.count)
    return _Encoded(part, too_long, longest, unknown)


def _parts(train: Lines, test: Lines | None) -> tuple[_Texts, _Texts, str]:
    """Training and test texts, and in words what was left out and split off."""
    count, blank = _counted(train)
    if test is not None:
        return _Texts(train), _Texts(test), blank
    keep = np.ones(count, dtype=np.bool_)
    # The same choice as of rows: see `split_off_test`.
    keep[np.random.RandomState(SPLIT_SEED).permutation(count)[: max(1, count // 10)]] = False
    return _Texts(train, keep), _Texts(train, ~keep), f"{blank}; a tenth split off as the test part"


def _learnt(texts: _Texts, options: SequenceOptions) -> Vocabulary:
    if isinstance(options, KnownTokens) and options.known is not None:
        return options.known
    name = str(options.tokeniser)
    tokens, model = tokeniser_named(name).learn(
        texts, options.vocabulary, options.min_count, lambda ids: _fitted(ids, options)
    )
    if not tokens and options.min_count > 1:
        raise InputError(
            f"{texts.lines.where} has no token that occurs {options.min_count} times; use a smaller `min_count`"
        )
    return Vocabulary(name, (*SPECIAL, *tokens), model)


def _sequences(count: int) -> str:
    return f"{count} sequence{'s' * (count > 1)}"


def _more_known(options: SequenceOptions) -> str:
    """What to do about unknown tokens, of what is not done yet."""
    ways = ["a larger `vocabulary`"] if options.vocabulary is not None else []
    ways += ["a smaller `min_count`"] if options.min_count > 1 else []
    ways += ["`tokeniser=characters`"] if options.tokeniser != "characters" else []
    return f"use {', '.join([*ways, 'more training text, or a test part of its kind'])}"


def sequence_source(train: Lines, test: Lines | None, options: SequenceOptions, title: str) -> Source:
    """Lines of text as sequences; the vocabulary is that of the training part alone, or one that is there already.

    Args:
        train: Of which a test part is split off if there is none.
        test: Of its own.
        options: Settled.
        title: Where it comes from, in words.

    Raises:
        InputError: It is no text, or too little, or sequences are too long, or too much of the test part is unknown.
    """
    train_texts, test_texts, note = _parts(train, test)
    vocabulary = _learnt(train_texts, options)
    parts = [_encoded(texts, vocabulary.ids_of, vocabulary.size, options) for texts in (train_texts, test_texts)]
    unknown, too_long = parts[1].unknown, sum(part.too_long for part in parts)
    longest = max(part.longest for part in parts)
    if too_long and options.longer == "refuse":
        raise InputError(
            f"{train.where} has {_sequences(too_long)} of more than {options.longest} tokens, up to {longest}; use "
            f"`longest={longest}` to keep them whole, `longer=cut` or `longer=drop`"
        )
    for part, which in zip(parts, ("training", "test"), strict=True):
        if not part.part.count:
            raise InputError(
                f"every sequence of the {which} part of {train.where} has more than {options.longest} tokens, up to "
                f"{longest}, and is left out; use a larger `longest`, or `longer=cut`"
            )
    if unknown > _UNKNOWN:
        raise InputError(
            f"{unknown:.1%} of the test tokens of {test_texts.lines.where} are unknown to a vocabulary of "
            f"{vocabulary.size - len(SPECIAL)} tokens (tokeniser {vocabulary.tokeniser}), more than {_UNKNOWN:.0%}; "
            f"{_more_known(options)}"
        )
    if too_long:
        note += f"; {_sequences(too_long)} {'cut to' if options.longer == 'cut' else 'left out that exceed'} "
        note += f"{options.longest} tokens"
    note += f"; tokens: {vocabulary.tokeniser}, {vocabulary.size - len(SPECIAL)} known"
    note += f", {unknown:.2%} of the test part unknown" if unknown else ""
    longest = max(int(part.part.lengths.max(initial=0)) for part in parts)
    return Source("sequence", (longest,), parts[0].part, parts[1].part, f"{title}{note}", None, vocabulary)
