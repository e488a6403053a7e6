"""What the data may be: every container gives the report of the dense float32 tensor, or one sentence."""

import pytest
import torch
from torch.distributions import Normal

from lambda_vae.adapters import diagnose, gaussian


def test_series_padded_to_their_own_length_in_each_batch_are_measured():
    chance = torch.Generator().manual_seed(0)
    weights, noise = torch.randn(2, 4, generator=chance), 0.5

    def series(count, length):
        codes = torch.randn(count, 2, generator=chance) @ weights
        return codes[:, None] + noise * torch.randn(count, length, 4, generator=chance)

    def encode(x):
        covariance = torch.linalg.inv(x.shape[1] * weights @ weights.T / noise**2 + torch.eye(2))
        return x.sum(1) @ weights.T @ covariance / noise**2, covariance.diagonal().log().expand(len(x), 2)

    def log_likelihood(x, z):
        return Normal((z @ weights)[:, None], noise).log_prob(x).sum((1, 2))

    batches = [series(50, length) for length in (5, 8, 3, 9)]
    together = diagnose(encode, log_likelihood, batches, iw_samples=400)
    apart = [diagnose(encode, log_likelihood, [batch], iw_samples=400) for batch in batches]
    assert together.nll_bound == pytest.approx(sum(one.nll_bound for one in apart) / 4, abs=0.05)
    assert together.active_units == 2
    assert together.residual is None


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_models_of_another_precision(kind):
    """z comes in the precision that the encoder answers in; every KL is computed in float32 or better."""
    chance = torch.Generator().manual_seed(0)
    encoder, decoder = (torch.nn.Linear(*size).to(kind).eval() for size in ((6, 4), (2, 6)))
    x = torch.randn(200, 6, generator=chance).to(kind)
    expected = diagnose(
        lambda x: encoder(x.to(kind)).double().chunk(2, 1),
        gaussian(lambda z: decoder(z.to(kind)).double()),
        x.double(),
        iw_samples=4,
    )
    report = diagnose(lambda x: encoder(x).chunk(2, 1), gaussian(decoder), x, iw_samples=4)
    assert report.rate == pytest.approx(expected.rate, rel=1e-5)
    assert report.nll_bound == pytest.approx(expected.nll_bound, rel=2e-3)
