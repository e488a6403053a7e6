"""From sites to dimensions: where a latent dimension is a channel of many sites, its sites are put together.

S, noise, gradient and ratio of a channel are those of a typical site, so that a verdict means the same whatever the
size of a map. What adds up over independent parts of the code, KL and capacity, is added up.
"""

from dataclasses import replace

from lambda_vae.diagnostics.report import DimensionReadings
from lambda_vae.estimation.moments import Moments, Reading

__all__ = ["pooled", "with_sums"]


def pooled(moments: Moments, sites: int) -> Moments:
    """Return the moments of a typical site of each dimension, [P, C].

    The mean of `mu` becomes the root mean square over the sites of E_x[mu], so that S stays the spread over x alone.
    Covariances are averaged, as if the sites of one example moved together: errors are upper bounds.

    Args:
        moments: Of all sites, those of one dimension in a row, [P, C * sites].
        sites: Of each dimension.
    """
    n, features = moments.count, len(moments.names)
    means = moments.total.reshape(features, -1, sites) / n
    covariance = (moments.products.reshape(features, features, -1, sites) / n - means[:, None] * means[None]).mean(-1)
    index = {name: i for i, name in enumerate(moments.names)}
    mean = means.mean(-1)
    mean[index["mu"]] = means[index["mu"]].square().mean(-1).sqrt()
    # sigma's spread is over x too: what the sites differ by among themselves is taken out of its second moment
    spread = means[index["shrink"]].var(-1, correction=0)
    mean[index["shrink_sq"]] -= spread
    return Moments(moments.names, n, n * mean, n * (covariance + mean[:, None] * mean[None]))


def with_sums(typical: DimensionReadings, each: DimensionReadings, sites: int) -> DimensionReadings:
    """Return the readings of a typical site, with KL and capacities summed over the sites."""
    predicted = each.snr_capacity_predicted
    return replace(
        typical,
        kl=_sum(each.kl, sites),
        snr_capacity=_sum(each.snr_capacity, sites),
        snr_capacity_predicted=None if predicted is None else _sum(predicted, sites),
        capacity_lost=_sum(each.capacity_lost, sites),
    )


def _sum(reading: Reading, sites: int) -> Reading:
    value, stderr = (part.reshape(-1, sites).sum(-1) for part in (reading.value, reading.stderr))
    return Reading(value, stderr, reading.unit)
