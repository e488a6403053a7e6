"""What every likelihood in the table keeps to."""

import pytest
import torch
from torch import Tensor

from lambda_vae.distributions import LIKELIHOODS, Likelihood

F, K, B = 5, 3, 4


def theta(likelihood: Likelihood, dtype: torch.dtype = torch.float32) -> Tensor:
    """Rows, or the maps of grey images of F pixels in a row."""
    shape = (K, B, likelihood.maps(1), 1, F) if likelihood.as_maps else (K, B, F)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def binary(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.bernoulli(torch.full((B, F), 0.4), generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.fixture(params=LIKELIHOODS)
def likelihood(request: pytest.FixtureRequest) -> Likelihood:
    return LIKELIHOODS[request.param](F)


def test_is_a_likelihood_of_so_many_features(likelihood: Likelihood) -> None:
    assert isinstance(likelihood, Likelihood)
    assert likelihood.features == F


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_dtypes(likelihood: Likelihood, dtype: torch.dtype) -> None:
    p_x = likelihood.to(dtype)(theta(likelihood, dtype))
    assert p_x.mean.shape == (K, B, F)
    assert p_x.log_prob(binary(dtype)).shape == (K, B)
    assert p_x.mean.dtype == p_x.log_prob(binary(dtype)).dtype == dtype


def test_reduced_precision_becomes_float32(likelihood: Likelihood) -> None:
    p_x = likelihood(theta(likelihood, torch.bfloat16))
    assert p_x.log_prob(binary()).dtype == p_x.mean.dtype == torch.float32


def test_examples_and_samples_do_not_meet(likelihood: Likelihood) -> None:
    whole = likelihood(theta(likelihood)).log_prob(binary())
    alone = likelihood(theta(likelihood)[1:2, 2:3]).log_prob(binary()[2:3])
    torch.testing.assert_close(whole[1, 2], alone[0, 0])


def test_mean_is_where_the_density_says(likelihood: Likelihood) -> None:
    """x near the mean is likelier than x far from it."""
    parameters = 4 * theta(likelihood)
    if likelihood.as_maps:  # one hill for all components: far from it is on a tail, not on another hill
        parameters = torch.tensor([0.0, 0.9, -2.0]).repeat_interleave(10).view(30, 1, 1).expand(K, B, 30, 1, F)
    p_x = likelihood(parameters)
    near = p_x.mean[0].detach().round() if p_x.mean.max() <= 1 else p_x.mean[0].detach()
    far = 1 - near if p_x.mean.max() <= 1 else near + 5
    assert (p_x.log_prob(near)[0] > p_x.log_prob(far)[0]).all()


def test_gradients_are_finite_and_reach_everything(likelihood: Likelihood) -> None:
    parameters = theta(likelihood).requires_grad_()
    likelihood(parameters).log_prob(binary()).sum().backward()
    for gradient in (parameters.grad, *(parameter.grad for parameter in likelihood.parameters())):
        assert gradient is not None
        assert gradient.isfinite().all()
        assert (gradient != 0).all()


def test_state_comes_back(likelihood: Likelihood) -> None:
    with torch.no_grad():
        for parameter in likelihood.parameters():
            parameter.add_(1.0)
    other = type(likelihood)(F)
    other.load_state_dict(likelihood.state_dict())
    assert torch.equal(other(theta(likelihood)).log_prob(binary()), likelihood(theta(likelihood)).log_prob(binary()))


def test_nan_in_gives_nan_out(likelihood: Likelihood) -> None:
    broken = theta(likelihood)
    broken[0, 0, 0, ...] = torch.nan
    bad = likelihood(broken).log_prob(binary()).isnan()
    assert bad[0, 0]
    assert bad.sum() == 1
