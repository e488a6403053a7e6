"""The table of tokenisers."""

from lambda_vae.checked import check_known
from lambda_vae.text.base import Tokeniser
from lambda_vae.text.bpe import BPE
from lambda_vae.text.characters import CHARACTERS
from lambda_vae.text.smiles import SMILES
from lambda_vae.text.words import WORDS

__all__ = ["TOKENISERS", "tokeniser_named"]

TOKENISERS: dict[str, Tokeniser] = {one.name: one for one in (CHARACTERS, SMILES, WORDS, BPE)}
"""All tokenisers, by name."""


def tokeniser_named(name: str) -> Tokeniser:
    """Return the tokeniser called `name`.

    Raises:
        InputError: There is none.
    """
    check_known("tokeniser", name, TOKENISERS, "it is one of")
    return TOKENISERS[name]
