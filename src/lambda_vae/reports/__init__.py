"""Tables, figures and the HTML page, made from records on disk and never from models."""

from lambda_vae.reports.console import print_comparison, verdict_lines
from lambda_vae.reports.drawings import DRAWINGS, Drawing, find_drawing, write_drawing
from lambda_vae.reports.figures import (
    equalization_figure,
    exponent_figure,
    frontier_figure,
    image_figure,
    learning_curves,
    theory_figure,
)
from lambda_vae.reports.page import write_report
from lambda_vae.reports.records import ComparisonRecord, RunRecord, load_comparison, load_record, load_run
from lambda_vae.reports.style import save_figure
from lambda_vae.reports.tables import comparison_table

__all__ = [
    "DRAWINGS",
    "ComparisonRecord",
    "Drawing",
    "RunRecord",
    "comparison_table",
    "equalization_figure",
    "exponent_figure",
    "find_drawing",
    "frontier_figure",
    "image_figure",
    "learning_curves",
    "load_comparison",
    "load_record",
    "load_run",
    "print_comparison",
    "save_figure",
    "theory_figure",
    "verdict_lines",
    "write_drawing",
    "write_report",
]
