"""The paper's tables and figures made anew, with what was published next to them. Nothing else imports this."""

from lambda_vae.paper._reproduce import Reproduction, reproduce
from lambda_vae.paper._reproduce_figure import FigureChoice, reproduce_figure
from lambda_vae.paper.figure import PaperFigure
from lambda_vae.paper.figures import FIGURES, find_figure, write_figure

__all__ = [
    "FIGURES", "FigureChoice", "PaperFigure", "Reproduction", "find_figure", "reproduce", "reproduce_figure",
    "write_figure",
]  # fmt: skip
