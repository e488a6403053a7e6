"""Text as tokens: one file for each way to cut it."""

from lambda_vae.data.tokenisers.base import END, PADDING, SPECIAL, UNKNOWN, Tokeniser
from lambda_vae.data.tokenisers.table import TOKENISERS, tokeniser_named

__all__ = ["END", "PADDING", "SPECIAL", "TOKENISERS", "UNKNOWN", "Tokeniser", "tokeniser_named"]
