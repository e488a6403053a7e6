"""Text as tokens: one file for each way to cut it, their vocabulary, and sequences of their ids."""

from lambda_vae.text.base import END, PADDING, SPECIAL, UNKNOWN, Tokeniser
from lambda_vae.text.table import TOKENISERS, tokeniser_named

__all__ = ["END", "PADDING", "SPECIAL", "TOKENISERS", "UNKNOWN", "Tokeniser", "tokeniser_named"]
