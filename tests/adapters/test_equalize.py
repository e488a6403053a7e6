"""lambda switched on in a host: bit for bit the host at lambda = 1, less noise and the host's own KL above it."""

import copy

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, kl_divergence
from tutorial import TutorialVAE, trained

from lambda_vae.adapters import EqualizedNormal, equalize
from lambda_vae.equalization.theory import sampling_std
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


def test_a_method_that_draws_nothing_or_from_the_prior_is_not_taken():
    model = Laws()
    equalize(model, latent_dim=2, delta=1.5, method="law")
    with pytest.raises(
        InputError, match=r"Laws.law returns a Normal and draws nothing, so its KL would be narrowed too"
    ):
        model.law(torch.zeros(4, 2), torch.zeros(4, 2))
    with pytest.raises(InputError, match="has no method reparameterize"):
        equalize(type("Generator", (nn.Module,), {"sample": lambda self, number, device: number})(), 2, delta=1.5)


def test_what_cannot_be_equalized_is_refused():
    model = host()
    equalize(model, latent_dim=4, delta=1.1)
    with pytest.raises(InputError, match="equalized already"):
        equalize(model, latent_dim=4, delta=1.1)
    with pytest.raises(InputError, match=r"has no method reparameterize, .*method='NAME'.*z = equalizer\(mu, std\)"):
        equalize(nn.Linear(2, 2), latent_dim=2, delta=1.1)
    with pytest.raises(InputError, match="'other', which does not say what it is; say takes="):
        equalize(Other(), latent_dim=2, delta=1.1, method="unclear")
    with pytest.raises(InputError, match="takes is 'sigma'"):
        equalize(Other(), latent_dim=2, delta=1.1, method="unclear", takes="sigma")


def parameters():
    return torch.linspace(-1, 1, 12).view(3, 4), torch.linspace(0.1, 1.3, 12).view(3, 4)


@pytest.mark.parametrize("draw", ["rsample", "sample"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_with_exponent_one_it_is_torchs_normal_bit_for_bit(draw, wrapped):
    laws = [EqualizedNormal(*parameters()), Normal(*parameters())]
    if wrapped:
        laws = [Independent(law.expand((2, 3, 4)), 1) for law in laws]
    draws = []
    for law in laws:
        torch.manual_seed(0)
        draws.append(getattr(law, draw)((5,)))
    assert torch.equal(*draws)


def test_samples_are_narrow_and_all_else_is_of_scale():
    loc, scale = parameters()
    exponent = torch.tensor([1.0, 2.0, 3.0, 20.0])
    q, plain, prior = EqualizedNormal(loc, scale, exponent), Normal(loc, scale), Normal(torch.zeros(3, 4), 1.0)
    z = q.rsample((40000,))
    narrow = torch.where(scale < 1, scale**exponent, scale)
    assert torch.allclose(z.std(0), narrow, rtol=0.02)
    assert torch.allclose(z.mean(0), loc, atol=0.03)
    assert torch.equal(kl_divergence(q, prior), kl_divergence(plain, prior))
    assert torch.equal(kl_divergence(Independent(q, 1), Independent(prior, 1)), kl_divergence(plain, prior).sum(1))
    assert torch.equal(q.entropy(), plain.entropy())
    assert torch.equal(q.log_prob(loc + 1), plain.log_prob(loc + 1))
    assert torch.equal(q.sampled.scale, q.sampling_std)
    assert float(kl_divergence(q.sampled, prior).sum()) > float(kl_divergence(q, prior).sum())


def test_the_gradient_goes_through_sigma_to_the_lambda():
    scale = torch.tensor([0.5], requires_grad=True)
    torch.manual_seed(0)
    z = EqualizedNormal(torch.zeros(1), scale, 3.0).rsample()
    (slope,) = torch.autograd.grad(z.sum(), scale)
    torch.manual_seed(0)
    assert float(slope) == pytest.approx(3 * 0.5**2 * float(torch.randn(1)), rel=1e-5)


def test_an_exponent_below_one_is_refused():
    with pytest.raises(InputError, match=r"exponent is 0.5; it must be at least 1"):
        EqualizedNormal(torch.zeros(2), torch.ones(2), 0.5)
