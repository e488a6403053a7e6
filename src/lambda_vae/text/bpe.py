"""Text as byte pairs that often follow each other, of any language: nothing is unknown."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from lambda_vae.errors import InputError
from lambda_vae.text.base import END, SPECIAL, Fit, Ids, Tokeniser

__all__ = ["BPE"]

#: The bytes that are written as the characters they are; the others are written as characters from U+0100 on.
_SHOWN = (*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1))
_HIDDEN = [one for one in range(256) if one not in _SHOWN]
_BYTES = {chr(one): one for one in _SHOWN} | {chr(256 + place): one for place, one in enumerate(_HIDDEN)}


def _library() -> Any:  # noqa: ANN401 - a module of the extra
    try:
        import tokenizers
    except ImportError:
        raise InputError(
            "the tokeniser bpe needs the package tokenizers; pip install 'lambda-vae[text]', or use `tokeniser=words`"
        ) from None
    return tokenizers


class BytePairTokeniser(Tokeniser):
    """Byte-level BPE: learning and encoding are those of the package tokenizers, which no decoding needs.

    Source:
        Sennrich et al. 2016, arXiv:1508.07909, on bytes as in GPT-2 (Radford et al. 2019).
    """

    name = "bpe"
    title = "frequent byte pairs, 10,000"
    limit = 10_000
    least = len(_BYTES)

    def learn(
        self, texts: Iterable[Sequence[str]], limit: int | None, min_count: int, fit: Fit
    ) -> tuple[list[str], str]:
        del fit  # what is cut is cut in tokens, of which there are none before they are learnt
        library = _library()
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = library.trainers.BpeTrainer(
            vocab_size=limit,
            min_frequency=min_count,
            initial_alphabet=sorted(_BYTES),
            show_progress=False,
        )
        tokenizer.train_from_iterator(chain.from_iterable(texts), trainer)
        ids: dict[str, int] = tokenizer.get_vocab()
        return sorted(ids, key=ids.__getitem__), str(tokenizer.to_str())

    def encoder(self, tokens: Sequence[str], model: str) -> Callable[[Sequence[str]], Ids]:
        del tokens
        tokenizer = _library().Tokenizer.from_str(model)

        def ids_of(texts: Sequence[str]) -> Ids:
            found = tokenizer.encode_batch(list(texts), add_special_tokens=False)
            rows = chain.from_iterable((*one.ids, END - len(SPECIAL)) for one in found)
            return np.fromiter(rows, dtype=np.int64) + len(SPECIAL)

        return ids_of

    def join(self, tokens: Sequence[str]) -> str:
        # What a model draws may be no UTF-8, and an unknown token is no byte.
        return bytes(_BYTES.get(one, ord("?")) for one in "".join(tokens)).decode("utf-8", errors="replace")


BPE = BytePairTokeniser()
