"""The census as a picture: sigma of every latent dimension, by default and under the remedy that did best."""

import io
from collections.abc import Mapping

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lambda_vae.files import write_atomic
from package import DEFAULT, KINDS, Package
from page import Chosen, Runs
from recorded import HOUSE

__all__ = ["best", "gallery", "write"]

COLUMNS = 4
GREY, GREEN = "#8a8f98", "#1b7f5c"


def best(package: Package, runs: Runs) -> Chosen:
    """Return the remedy whose package's own metric, on the validation part, is best.

    Args:
        package: It.
        runs: Of the package.
    """
    each = [Chosen(package, runs, kind) for kind in KINDS[1:]]
    sign = 1 if package.more else -1
    return max((one for one in each if one.runs), key=lambda one: sign * one.validation, default=each[0])


def gallery(found: Mapping[str, tuple[Package, Runs]]) -> Figure:
    """Return the figure, a panel a package.

    Args:
        found: Packages with their runs, by the name of the script.
    """
    rows = -(-len(found) // COLUMNS)
    figure = Figure(figsize=(13, 2.5 * rows), layout="constrained")
    panels = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for panel in panels[len(found) :]:
        panel.set_axis_off()
    for panel, (package, runs) in zip(panels, found.values(), strict=False):
        plain, cured = Chosen(package, runs, DEFAULT), best(package, runs)
        for one, colour in ((plain, GREY), (cured, GREEN)):
            for run in one.runs:
                sigma = sorted(value for value in run["sigma"] if value is not None)
                marker = "." if len(sigma) <= 20 else None
                panel.plot(range(1, len(sigma) + 1), sigma, color=colour, lw=1.2, alpha=0.8, marker=marker, ms=3)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_ylim(0, 1.15)
        panel.axhline(1, color="black", lw=0.6, ls=":")
        panel.set_title(package.title, fontsize=9, loc="left", fontweight="bold")
        numbers = [[run["active"] for run in one.runs if run["active"] is not None] for one in (plain, cured)]
        means = [f"{sum(of) / len(of):.3g}" if of else "?" for of in numbers]
        remedy = " ".join(filter(None, [cured.kind, cured.setting]))
        panel.set_xlabel(f"active {' → '.join(means)} of {package.latent_dim}: {remedy}", fontsize=7)
        panel.tick_params(labelsize=7)
    figure.supylabel("σ of each dimension, sorted; 1 is the prior", fontsize=9)
    return figure


def write(found: Mapping[str, tuple[Package, Runs]]) -> None:
    """Write docs/images/census.svg.

    Args:
        found: Packages with their runs.
    """
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "census", "svg.fonttype": "none"}):
        gallery(found).savefig(text, format="svg", metadata={"Date": None})
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    write_atomic(HOUSE / "docs" / "images" / "census.svg", "\n".join(lines) + "\n")
