"""Where new z come from: the prior, or a law fitted to the codes of the training data after the model was trained."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lambda_vae.distributions import Density, FullGaussianMixture
from lambda_vae.errors import InputError
from lambda_vae.generation.flow import fit_scaled_flow

__all__ = [
    "FITTED",
    "MIXTURE_COMPONENTS",
    "SAMPLERS",
    "Sampler",
    "fit_flow",
    "fit_gaussian",
    "fit_mixture",
    "prior_sampler",
]

#: Components of the ex-post mixture, as in Ghosh et al. 2020.
MIXTURE_COMPONENTS = 10

#: Largest number of passes of expectation maximisation.
_EM_PASSES = 200

_Codes = Float[Tensor, "N D"]


@dataclass(frozen=True, eq=False)
class Sampler:
    """A law to draw new z from.

    Args:
        name: "prior", or the kind of fit.
        density: The law.
        note: How it came about, in words that are given with every number taken with it.

    Example:
        >>> from lambda_vae.distributions import standard_normal
        >>> sampler = prior_sampler(standard_normal(2))
        >>> z = sampler.sample(3, torch.Generator().manual_seed(0))
        >>> z.shape, sampler.log_prob(torch.zeros(1, 2))
        (torch.Size([3, 2]), tensor([-1.8379]))
    """

    name: str
    density: Density
    note: str

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Float[Tensor, "n D"]:
        """Return n draws.

        Args:
            n: How many.
            generator: The source of chance.
        """
        noise = torch.randn(n, self.density.noise_dim, generator=generator, device=generator.device)
        return self.density.rsample(noise)

    @torch.no_grad()
    def log_prob(self, z: Float[Tensor, "n D"]) -> Float[Tensor, " n"]:
        """Return the log density at z in nats.

        Args:
            z: Points.
        """
        return self.density.log_prob(z)


def prior_sampler(p_z: Density) -> Sampler:
    """Return the sampler that a VAE is trained for: its prior.

    Args:
        p_z: The prior.
    """
    return Sampler("prior", p_z, "the model's own prior")


def fit_gaussian(codes: _Codes, seed: int = 0) -> Sampler:
    """Return the Gaussian with the codes' own mean and full covariance.

    Args:
        codes: z ~ q_sampled(z|x), one of each training example.
        seed: Not used: nothing is left to chance.

    Raises:
        InputError: Too few codes, or codes that are not finite or lie in fewer than D dimensions.

    Source:
        Ghosh et al. 2020, arXiv:1903.12436, section 4.
    """
    _check(codes, 1)
    mean = codes.double().mean(0)
    factor, failed = torch.linalg.cholesky_ex(torch.cov(codes.double().T).reshape(len(mean), len(mean)))
    if int(failed):
        raise InputError("the codes lie in fewer dimensions than they have; a Gaussian of them has no density")
    law = FullGaussianMixture(torch.ones(1), mean[None], factor[None])
    return Sampler("gaussian", law, f"a Gaussian with full covariance, fitted to {len(codes)} training codes")


def fit_mixture(codes: _Codes, seed: int = 0, components: int = MIXTURE_COMPONENTS) -> Sampler:
    """Return a mixture of Gaussians with full covariances, fitted by expectation maximisation.

    Args:
        codes: z ~ q_sampled(z|x), one of each training example.
        seed: Of the start, which is a k-means clustering.
        components: M.

    Raises:
        InputError: Too few codes, or codes that are not finite or have no spread in some dimension.

    Source:
        Ghosh et al. 2020, arXiv:1903.12436, section 4, with 10 components as there.
    """
    if components < 1:
        raise InputError(f"{components} components were asked for; a mixture has at least 1")
    _check(codes, components)
    # Imported where it is used: scikit-learn takes seconds to load, and most commands never fit.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    fit = GaussianMixture(components, covariance_type="full", max_iter=_EM_PASSES, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is told by `converged_`, in the note
        fit.fit(codes.double().cpu().numpy())
    weights, means, covariances = (torch.from_numpy(part) for part in (fit.weights_, fit.means_, fit.covariances_))
    law = FullGaussianMixture(weights, means, torch.linalg.cholesky(covariances))
    end = "" if fit.converged_ else f", stopped after {_EM_PASSES} passes before it had settled"
    note = f"a mixture of {components} Gaussians with full covariances, fitted to {len(codes)} training codes{end}"
    return Sampler("mixture", law, note)


def fit_flow(codes: _Codes, seed: int = 0) -> Sampler:
    """Return an autoregressive spline flow, fitted by maximum likelihood with early stopping.

    Args:
        codes: z ~ q_sampled(z|x), one of each training example; a tenth of them is held out to say when to stop.
        seed: Of the first weights, the order and the choice of the tenth.

    Raises:
        InputError: Too few codes, or codes that are not finite or have no spread in some dimension.
    """
    _check(codes, 10)
    law, epochs = fit_scaled_flow(codes, seed)
    fitted = f"fitted to {len(codes)} training codes in {epochs} epochs"
    return Sampler("flow", law, f"an autoregressive spline flow of {len(law.flow.layers)} layers, {fitted}")


#: Every ex-post fit by its name on the command line.
FITTED: dict[str, Callable[[Tensor, int], Sampler]] = {
    "gaussian": fit_gaussian,
    "mixture": fit_mixture,
    "flow": fit_flow,
}

#: Every name that the command line takes.
SAMPLERS = ("prior", *FITTED)


def _check(codes: Tensor, parts: int) -> None:
    """Raise unless so many codes can carry a fit of so many parts, with D + 1 codes at least for each."""
    count, dim = codes.shape
    if count < parts * (dim + 1):
        raise InputError(f"there are {count} codes of {dim} dimensions; this fit needs at least {parts * (dim + 1)}")
    if not bool(torch.isfinite(codes).all()):
        raise InputError("some codes are not finite; the model has diverged, so train it again")
    flat = (codes.amax(0) == codes.amin(0)).nonzero()[:, 0].tolist()
    if flat:
        raise InputError(f"the codes have no spread in dimensions {flat}; a law fitted to them has no density")
