"""Absolute errors that are a mean: their slope is one over the number of features, up or down."""

from lambda_vae.adapters.recovered.probe import Probe, Recovered

__all__ = ["mean_absolute"]

#: Means over fewer features are not told from a weight.
_FEW = 8


def mean_absolute(probe: Probe) -> Recovered | None:
    """Return what an absolute error was averaged over, or None: a sum of them may have its constant or not.

    Args:
        probe: Of a value that is not linear in x.
    """
    steep = probe.slope.abs()
    steep = steep[steep > 0.0]
    step = float(steep.mean())
    error, spread = -float(probe.value.mean()), float(probe.rows.max() - probe.rows.min())
    # A Laplace with that scale has a constant, by which its value is far below any error that the data can have.
    if float((steep - step).abs().max()) > 1e-3 * step or not 0.0 <= error <= 3.0 * spread:
        return None
    found = [count for count in probe.divisors if count >= _FEW and abs(step * count - 1.0) < 1e-3]
    return Recovered(None, None, found[0], "Laplace") if found else None
