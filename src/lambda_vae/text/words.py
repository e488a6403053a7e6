"""Text as words, as blanks separate them."""

from lambda_vae.text.pattern import PatternTokeniser

__all__ = ["WORDS"]

WORDS = PatternTokeniser(
    "words", "what blanks separate, the 10,000 most frequent", r"\n|\S+", between=" ", limit=10_000, unknown="<unk>"
)
