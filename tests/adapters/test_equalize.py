"""lambda switched on in a host: bit for bit the host at lambda = 1, less noise and the host's own KL above it."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from tutorial import TutorialVAE, trained

from lambda_vae.equalization.theory import sampling_std
from lambda_vae.equalizing import equalize
from lambda_vae.errors import InputError


def host(seed=0):
    torch.manual_seed(seed)
    return TutorialVAE()


def test_with_delta_infinite_a_training_is_the_hosts_bit_for_bit():
    plain, model = host(), host()
    equalizer = equalize(model, latent_dim=4, delta=float("inf"))
    assert trained(model, equalizer) == trained(plain)
    for name, weight in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight)
    assert not torch.equal(plain.out.weight, host().out.weight)


def test_with_lambda_z_is_narrower_and_the_kl_the_hosts_own():
    model = host()
    equalizer = equalize(model, latent_dim=4, delta=1.01)
    losses = trained(model, equalizer)
    assert losses != trained(host())
    assert bool((equalizer.exponent > 1).all())
    mu, logvar = torch.zeros(20000, 4), torch.full((20000, 4), 0.5).log() * 2
    z = model.reparameterize(mu, logvar)
    expected = sampling_std(torch.full((4,), 0.5), equalizer.exponent)
    assert torch.allclose(z.std(0), expected, rtol=0.03)
    _, _, logvar = model(torch.zeros(2, 8))
    assert torch.equal(logvar, model.encode(torch.zeros(2, 8))[1])


@pytest.mark.parametrize("exponent", [1.0, 4.0])
def test_under_a_prior_of_another_std_sigma_counts_in_units_of_it(exponent):
    model, scale = host(), torch.tensor([0.5, 1.0, 2.0, 4.0])
    mu, std = torch.randn(20000, 4), torch.full((20000, 4), 0.25)
    equalizer = equalize(model, latent_dim=4, delta=1.01, refresh_every=1)
    equalizer.sites[0].unit = lambda: scale
    equalizer.exponent.fill_(exponent)
    z = model.reparameterize(mu, 2 * std.log())
    expected = sampling_std(std[0] / scale, torch.full((4,), exponent)) * scale
    assert torch.allclose((z - mu).std(0), expected, rtol=0.03)
    equalizer.end_epoch()
    assert torch.allclose(equalizer.running_std, std[0] / scale)


def test_eval_mode_and_the_checkpoint_are_left_to_the_host():
    model = host()
    equalizer = equalize(model, latent_dim=4, delta=1.01)
    trained(model, equalizer)
    model.eval()
    mu, logvar = torch.zeros(3, 4), torch.zeros(3, 4) - 1
    plain = host()
    torch.manual_seed(1)
    ours = model.reparameterize(mu, logvar)
    torch.manual_seed(1)
    assert torch.equal(ours, plain.reparameterize(mu, logvar))
    assert torch.equal(model.state_dict()["equalizer.exponent"], equalizer.exponent)


def test_a_copy_of_the_model_has_an_equalizer_of_its_own():
    model = host()
    equalize(model, latent_dim=4, delta=1.01)
    twin = copy.deepcopy(model)
    twin.reparameterize(torch.zeros(2, 4), torch.zeros(2, 4))
    twin.equalizer.end_epoch()
    twin.equalizer.end_epoch()
    assert int(model.equalizer.epoch) == 0
    assert float(model.equalizer._seen.abs().sum()) == 0.0
    assert float(twin.equalizer.exponent.max()) > 1.0


class Other(nn.Module):
    def _sample_gauss(self, mu, std):
        eps = torch.randn_like(std)
        return mu + eps * std, eps

    def draw(self, mu, log_sigma):
        return mu + log_sigma.exp() * torch.randn_like(mu)

    def unclear(self, mu, other):
        return mu


@pytest.mark.parametrize(("method", "of_half"), [("_sample_gauss", 0.5), ("draw", -0.6931472)])
def test_hosts_that_take_a_std_or_its_logarithm(method, of_half):
    model, plain = Other(), Other()
    equalizer = equalize(model, latent_dim=2, delta=1.5, method=method)
    mu, scale = torch.zeros(4, 2), torch.full((4, 2), of_half)
    for exponent, expected in ((1.0, 0.5), (3.0, 0.125)):
        equalizer.exponent.fill_(exponent)
        torch.manual_seed(0)
        ours = getattr(model, method)(mu, scale)
        torch.manual_seed(0)
        theirs = getattr(plain, method)(mu, scale)
        ours, theirs = (z[0] if isinstance(z, tuple) else z for z in (ours, theirs))
        assert torch.allclose(ours, theirs * expected / 0.5)
        assert exponent > 1 or torch.equal(ours, theirs)
    assert float(equalizer._seen[0, 0] / equalizer._seen[3, 0]) == pytest.approx(0.5)


class Laws(nn.Module):
    """As lightning-bolts has it: what is returned beside z is for the KL."""

    def sample(self, mu, log_var):
        q = Normal(mu, torch.exp(log_var / 2))
        return Normal(torch.zeros_like(mu), 1.0), q, q.rsample()

    def law(self, mu, log_var):
        return Normal(mu, torch.exp(log_var / 2))


def test_laws_returned_beside_z_stay_those_of_sigma():
    model, plain = Laws(), Laws()
    equalizer = equalize(model, latent_dim=2, delta=1.5)
    equalizer.exponent.fill_(3.0)
    mu, logvar = torch.zeros(4, 2), torch.full((4, 2), 0.25).log()
    torch.manual_seed(0)
    _, q, z = model.sample(mu, logvar)
    after = torch.rand(1)
    torch.manual_seed(0)
    _, theirs, drawn = plain.sample(mu, logvar)
    assert torch.allclose(q.scale, theirs.scale)
    assert torch.allclose(z, drawn * 0.25)
    assert torch.equal(after, torch.rand(1))  # no more chance is used than the host uses


def test_a_distribution_that_is_drawn_from_later_is_narrowed_and_its_kl_is_not():
    model, plain = Laws(), Laws()
    equalizer = equalize(model, latent_dim=2, delta=1.5, method="law")
    equalizer.exponent.fill_(3.0)
    mu, logvar = torch.rand(4, 2), torch.rand(4, 2) - 1.5
    q, theirs = model.law(mu, logvar), plain.law(mu, logvar)
    assert type(q) is Normal
    assert torch.equal(kl_divergence(q, Normal(0.0, 1.0)), kl_divergence(theirs, Normal(0.0, 1.0)))
    torch.manual_seed(0)
    ours = q.rsample()
    torch.manual_seed(0)
    assert torch.allclose(ours, mu + theirs.scale**2 * (theirs.rsample() - mu))


def test_a_sample_from_the_prior_is_not_taken_for_the_posteriors():
    generator = type("Generator", (nn.Module,), {"sample": lambda self, number, device: number, "forward": abs})()
    equalize(generator, 2, delta=1.5)
    with pytest.raises(InputError, match=r"Normal.rsample in Generator drew no z of 2 dimensions; name the method"):
        generator(torch.ones(2, 2))


def test_what_cannot_be_equalized_is_refused():
    model = host()
    first = equalize(model, latent_dim=4, delta=1.1)
    assert equalize(model, latent_dim=4, delta=1.1) is first
    with pytest.raises(InputError, match=r"equalized already, with delta=1.1, where now delta=1.2 is asked for"):
        equalize(model, latent_dim=4, delta=1.2)
    with pytest.raises(InputError, match="takes is 'sigma'"):
        equalize(Other(), latent_dim=2, delta=1.1, method="unclear", takes="sigma")
    unclear = Other()
    equalize(unclear, latent_dim=2, delta=1.1, method="unclear")
    with pytest.raises(InputError, match=r"Other\.unclear draws nothing while it trains"):
        unclear.unclear(torch.rand(4, 2), torch.rand(4, 2))
