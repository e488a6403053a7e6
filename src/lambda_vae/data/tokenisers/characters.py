"""Text as characters."""

from lambda_vae.data.tokenisers.pattern import PatternTokeniser

__all__ = ["CHARACTERS"]

CHARACTERS = PatternTokeniser("characters", "each character, blanks too", r".")
