"""Tables, figures and the HTML page, made from records on disk and never from models."""

import sys
from typing import Any

from lambda_vae.deprecated import renamed
from lambda_vae.reports.conclusions import verdict_lines
from lambda_vae.reports.console import print_comparison
from lambda_vae.reports.figures import (
    equalization_figure,
    exponent_figure,
    frontier_figure,
    image_figure,
    theory_figure,
)
from lambda_vae.reports.page import write_report
from lambda_vae.reports.style import save_figure
from lambda_vae.reports.tables import comparison_table

__all__ = [
    "comparison_table",
    "equalization_figure",
    "exponent_figure",
    "frontier_figure",
    "image_figure",
    "print_comparison",
    "save_figure",
    "theory_figure",
    "verdict_lines",
    "write_report",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any name of the last release
    return renamed(sys.modules[__name__], __name__, name)
