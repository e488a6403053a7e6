"""Of two readings of sigma the exact one is taken, and what the caller says of it goes for draws made later as well."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lambda_vae.equalizing import equalize
from lambda_vae.errors import InputError


class Posterior:
    """A Gaussian whose sigma has a floor under what the network says."""

    def __init__(self, mean, scale):
        self.mean, self.scale = mean, scale
        self.std = F.softplus(scale) + 1e-4

    def sample(self):
        return self.mean + self.std * torch.randn_like(self.mean)


class Host(nn.Module):
    def encode(self, mean, scale):
        return Posterior(mean, scale)


class Both(nn.Module):
    def reparameterize(self, mean, scale, std):
        return mean + std * torch.randn_like(mean)


def drawn(host, scale):
    mean = torch.zeros(64, 3)
    torch.manual_seed(1)
    if isinstance(host, Both):
        return host.reparameterize(mean, scale, F.softplus(scale) + 1e-4)
    return host.encode(mean, scale).sample()


@pytest.mark.parametrize("kind", [Host, Both])
def test_a_reading_that_is_nearly_right_gives_way_to_the_one_that_is(kind):
    host = kind()
    (method,) = (name for name in ("encode", "reparameterize") if hasattr(host, name))
    equalizer = equalize(host, 3, 1.1, method=method)
    wide = torch.rand(64, 3, generator=torch.Generator().manual_seed(0))
    for _ in range(2):  # which are measured, and the third is not
        drawn(host, wide)
    assert str(equalizer.sites[0]).endswith("std")
    narrow = torch.full((64, 3), -7.0)
    equalizer.exponent.fill_(3.0)
    z = drawn(host, narrow)
    torch.manual_seed(1)
    expected = (F.softplus(narrow) + 1e-4) ** 3 * torch.randn(64, 3)
    torch.testing.assert_close(z, expected, rtol=1e-5, atol=0.0)


def test_what_the_caller_says_of_sigma_is_held_against_a_draw_that_is_made_later():
    host = Host()
    equalize(host, 3, 1.1, method="encode", takes="logvar")
    posterior = host.encode(torch.zeros(64, 3), torch.randn(64, 3, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(InputError, match=r"what Host\.encode returns draws with sigma = .*takes='logvar' says exp"):
        posterior.sample()
