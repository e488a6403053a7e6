"""The paper's tables and figures made anew, with what was published next to them. Nothing else imports this."""

from lambda_vae.paper._reproduce import Reproduction, reproduce
from lambda_vae.paper.drawings import DRAWINGS, Drawing, find_drawing, write_drawing

__all__ = ["DRAWINGS", "Drawing", "Reproduction", "find_drawing", "reproduce", "write_drawing"]
