"""Data: a name or a path in, memory-mapped arrays out, batches cut by index, binarised on the device."""

from typing import TYPE_CHECKING

from lambda_vae.deprecated import renamed
from lambda_vae.lazy import on_first_use

if TYPE_CHECKING:
    from lambda_vae.data import old_batches as old_batches
    from lambda_vae.data._binarise import BINARISATIONS, Binarisation, binarise, binarise_fixed, view_test, view_train
    from lambda_vae.data.checks import check_batch, check_likelihood, check_no_sequences
    from lambda_vae.data.dataset import Dataset, Split
    from lambda_vae.data.listing import Check, Row, describe, shown, verify
    from lambda_vae.data.loading import load, prepare
    from lambda_vae.data.named import NAMED, NamedDataset
    from lambda_vae.data.order import epoch_order
    from lambda_vae.data.pictures import ImageOptions
    from lambda_vae.data.validation import check_validation, hold_out
    from lambda_vae.data.views import FixedView
    from lambda_vae.text import TOKENISERS, Tokeniser, tokeniser_named
    from lambda_vae.text.options import KnownTokens, SequenceOptions
    from lambda_vae.text.sequences import Sequences, sequence_lengths
    from lambda_vae.text.vocabulary import Vocabulary

__all__ = [
    "BINARISATIONS",
    "NAMED",
    "TOKENISERS",
    "Binarisation",
    "Check",
    "Dataset",
    "FixedView",
    "ImageOptions",
    "KnownTokens",
    "NamedDataset",
    "Row",
    "SequenceOptions",
    "Sequences",
    "Split",
    "Tokeniser",
    "Vocabulary",
    "binarise",
    "binarise_fixed",
    "check_batch",
    "check_likelihood",
    "check_no_sequences",
    "check_validation",
    "describe",
    "epoch_order",
    "hold_out",
    "load",
    "prepare",
    "sequence_lengths",
    "shown",
    "tokeniser_named",
    "verify",
    "view_test",
    "view_train",
]

__getattr__ = on_first_use(__name__, renamed)
