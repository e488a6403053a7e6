r"""Which distribution p(x|z) is, read off its own gradient: for log-likelihoods that somebody wrote by hand.

A Bernoulli's, a Poisson's and a multinomial's log p are linear in x, with the logits or log rates for slope; a
Gaussian's is quadratic, with slope (m - x)/s^2 and curvature -1/s^2. So the gradients at two points give the
parameters, and the distribution's own normaliser says whether what the callable returned is its log density or a
multiple of it:

.. math:: \log p(x) = \sum_j x_j l_j - \mathrm{softplus}(l_j), \qquad
          \log p(x) = \sum_j x_j l_j, \ \mathrm{logsumexp}(l) = 0, \qquad
          \log p(x) = -\tfrac12 \sum_j \bigl(g_j^2 / h_j - \ln h_j + \ln 2\pi\bigr)

With the parameters in hand, what the used dimensions leave in the data can be measured as for our own models. A
distribution that is none of these is left alone, and so is one that cannot be asked at other x of the same batch.

Source:
    Ours.
"""

import warnings
from collections.abc import Callable

from jaxtyping import Shaped
from torch import Tensor

from lambda_vae.any_vae.recovered.absolute import absolute
from lambda_vae.any_vae.recovered.factorials import counts
from lambda_vae.any_vae.recovered.linear import linear
from lambda_vae.any_vae.recovered.probe import Probe, Recovered
from lambda_vae.any_vae.recovered.quadratic import quadratic

__all__ = ["Recovered", "recovered_law"]


def recovered_law(
    log_likelihood: Callable[[Tensor, Tensor], Tensor],
    x: Shaped[Tensor, "B ..."],
    z: Tensor,
    as_latent: Callable[[Tensor], Tensor],
) -> Recovered | None:
    """Return the distribution behind a log-likelihood, or None if it is none of these or not differentiable in x."""
    if not x.is_floating_point() or len(x) < 2:
        return None
    try:
        with warnings.catch_warnings():  # of an x with a gradient, which it never has otherwise
            warnings.simplefilter("ignore")
            return _recovered(log_likelihood, x, z, as_latent)
    except Exception:
        return None


def _recovered(
    log_likelihood: Callable[[Tensor, Tensor], Tensor], x: Tensor, z: Tensor, as_latent: Callable[[Tensor], Tensor]
) -> Recovered | None:
    probe = Probe.of(log_likelihood, x, z, as_latent)
    if probe is None:
        return None
    if probe.linear:
        return linear(probe)
    return counts(probe) or quadratic(probe) or absolute(probe) if probe.finite else None
