"""Text as characters."""

from lambda_vae.text.pattern import PatternTokeniser

__all__ = ["CHARACTERS"]

CHARACTERS = PatternTokeniser("characters", "each character, blanks too", r".")
