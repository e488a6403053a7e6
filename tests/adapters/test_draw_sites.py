"""Wherever a host draws z: narrowed as Eq. 9 has it, given back whole, and refused where it is no such draw."""

import copy
import math
import pickle

import pytest
import torch
from drawn_hosts import HOSTS, Base, D, Method, built
from torch import nn
from torch.distributions import Laplace, Normal
from torch.nn import functional as F

from lambda_vae.equalization import optimal_exponent
from lambda_vae.equalizing import equalize
from lambda_vae.errors import InputError

X = torch.randn(1000, 8, generator=torch.Generator().manual_seed(0))
EVERY = pytest.mark.parametrize("name", HOSTS)


def answered(model, x=X, seed=3):
    """What a model answers to a seed, its gradients, and the chance that is left."""
    torch.manual_seed(seed)
    model.zero_grad()
    y = model(x)
    y.square().sum().backward()
    return y.detach(), [p.grad.clone() for p in model.parameters()], torch.rand(1), [b.clone() for b in model.buffers()]


def same(a, b):
    return torch.equal(a[0], b[0]) and torch.equal(a[2], b[2]) and all(map(torch.equal, a[1] + a[3], b[1] + b[3]))


def narrowed(name, exponent=3.0):
    """A host whose draw was measured and whose lambda is not 1, and the same without."""
    model, told = built(name)
    plain = copy.deepcopy(model)
    equalizer = equalize(model, D, 1.05, **told)
    for _ in range(4):
        same_step(model, plain)
    equalizer.exponent.fill_(exponent)
    return model, plain, equalizer


def same_step(*models):
    """A forward pass each, so that batch norms stay alike."""
    for model in models:
        torch.manual_seed(1)
        model(X)


@EVERY
def test_at_lambda_1_all_numbers_and_the_chance_left_are_the_hosts(name):
    for delta in (float("inf"), 1.05):
        model, told = built(name)
        plain = copy.deepcopy(model)
        equalize(model, D, delta, **told)
        for seed in range(5):  # the first steps measure
            assert same(answered(model, seed=seed), answered(plain, seed=seed))


@EVERY
def test_above_1_the_noise_is_that_of_eq_9(name):
    model, plain, equalizer = narrowed(name)
    seen = {}
    for which, one in (("ours", model), ("theirs", plain)):
        one.d.register_forward_pre_hook(lambda _, args, which=which: seen.update({which: args[0].detach()}))
        torch.manual_seed(5)
        one(X)
    assert len(equalizer.sites) == 1
    if name == "output":
        with torch.no_grad():
            torch.manual_seed(5)
            q = plain.encoder(X)[0]
        mu, std = q.mean, q.stddev
        mean_std = None  # its dropout and batch norm make another sigma of each step
    else:
        mu, second = plain.encode(X)
        std = F.softplus(second) if name == "one argument" else torch.exp(0.5 * second)
        mean_std = std.mean(0)
    factor = torch.where(std < 1, std**2, 1.0)
    torch.testing.assert_close(seen["ours"], (mu + factor * (seen["theirs"] - mu)).detach(), rtol=1e-4, atol=1e-5)
    equalizer.end_epoch()
    equalizer.end_epoch()
    if mean_std is not None:
        torch.testing.assert_close(equalizer.running_std, mean_std.detach(), rtol=1e-4, atol=1e-4)


@EVERY
def test_eval_mode_is_the_hosts(name):
    model, plain, _ = narrowed(name)
    assert same(answered(model.eval()), answered(plain.eval()))


@EVERY
def test_a_removed_equalizer_leaves_the_host_as_it_was(name):
    model, plain, equalizer = narrowed(name)
    equalizer.remove()
    assert same(answered(model), answered(plain))
    assert vars(model).keys() == vars(plain).keys()
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert not any(
        part._forward_hooks or part._forward_pre_hooks or "equalizer" in part._modules for part in model.modules()
    )
    assert equalize(model, D, 1.2, **HOSTS[name][1]) is not equalizer


@EVERY
@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_an_equalizer_of_its_own(name, again):
    model, _, equalizer = narrowed(name)
    twin = again(model)
    assert same(answered(twin), answered(model))
    twin.equalizer.exponent.fill_(1.0)
    assert not same(answered(twin), answered(model))
    assert twin.equalizer.sites[0].equalizer is twin.equalizer
    twin.equalizer.remove()
    assert float(equalizer.exponent[0]) == 3.0
    assert not same(answered(twin), answered(model))


class Two(Base):
    """Content with sigma 0.9, style with sigma 0.2, by one method."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def forward(self, x):
        mu, logvar = self.encode(x)
        content = self.reparameterize(mu, 2 * math.log(0.9) + 1e-4 * logvar)
        style = self.reparameterize(mu, 2 * math.log(0.2) + 1e-4 * logvar)
        return content, style


class TwoInTheMiddle(Two):
    def reparameterize(self, mu, logvar):
        return Normal(mu, torch.exp(0.5 * logvar)).rsample()


def epochs(model, equalizers, times=2):
    for _ in range(times):
        for _ in range(3):
            model(X)
        for equalizer in equalizers:
            equalizer.end_epoch()


@pytest.mark.parametrize(("kind", "told"), [(Two, {}), (TwoInTheMiddle, {"at": "rsample"})])
def test_two_latents_of_one_place_are_refused_or_have_an_equalizer_each(kind, told):
    model = kind().train()
    equalize(model, D, 1.1, **told)
    with pytest.raises(
        InputError, match=r"two latents in one step: with sigma 0\.9 .*, with 0\.2 .* draw=0\), equalize"
    ):
        epochs(model, ())
    model = kind().train()
    both = [equalize(model, D, 1.1, draw=draw, **told) for draw in range(2)]
    assert both[0] is not both[1]
    assert equalize(model, D, 1.1, draw=1, **told) is both[1]
    epochs(model, both)
    for equalizer, std in zip(both, (0.9, 0.2), strict=True):
        torch.testing.assert_close(equalizer.running_std, torch.full((D,), std), rtol=1e-3, atol=0.0)
        assert float(equalizer.exponent[0]) == pytest.approx(optimal_exponent(std, 1.1), rel=0.01)
    assert sorted(key for key in model.state_dict() if key.endswith(".exponent")) == sorted(
        f"{name}.exponent" for name, part in model.named_children() if part in both
    )
    mu = model.encode(X)[0].detach()
    content, style = (z.detach() for z in model(X))
    assert float((content - mu).std()) == pytest.approx(0.9 ** float(both[0].exponent[0]), rel=0.05)
    assert float((style - mu).std()) == pytest.approx(0.2 ** float(both[1].exponent[0]), rel=0.05)
    third = equalize(model, D, 1.1, draw=2, **told)  # of which there is none, and which has a name of its own
    assert {part for part in model.children() if part in (*both, third)} == {*both, third}
    for equalizer in (*both, third):
        equalizer.remove()
    assert "reparameterize" not in vars(model)


def test_two_parts_that_draw_are_told_apart_by_name():
    model = nn.Module()
    model.a, model.b = Method(), Method()
    with pytest.raises(InputError, match=r"may draw z in 'a\.reparameterize', 'b\.reparameterize'; say which: "):
        equalize(model, D, 1.1)
    first, second = (equalize(model, D, 1.1, method=f"{part}.reparameterize") for part in "ab")
    model.a(X)
    assert {name for name, part in model.named_children() if part in (first, second)} == {
        "equalizer",
        "equalizer_b_reparameterize",
    }
    assert "to be measured" not in repr(first)
    assert int(first.get_extra_state()[3, 0]) == len(X)
    assert int(second.get_extra_state()[3, 0]) == 0


class Padded(Base):
    """A sequence of 5 positions, of which the mask says which are real; the others have the prior's sigma."""

    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

    def forward(self, x, attention_mask=None):
        mu, _ = self.encode(x)
        std = torch.where(attention_mask[..., None].bool(), 0.2, 1.0)
        return self.reparameterize(mu, 2 * std.log() + 0.0 * mu)


@pytest.mark.parametrize("by_name", [True, False])
def test_masked_positions_are_not_observed(by_name):
    model, mask = Padded().train(), torch.tensor([1, 1, 0, 0, 0]).expand(200, 5)
    equalizer = equalize(model, D, 1.1, mask="attention_mask" if by_name else lambda: mask.bool())
    for _ in range(2):
        model(X.view(200, 5, 8), attention_mask=mask)
        equalizer.end_epoch()
    torch.testing.assert_close(equalizer.running_std, torch.full((D,), 0.2))
    equalizer.remove()
    assert not model._forward_pre_hooks
    with pytest.raises(InputError, match=r"mask is 'padding'; Padded\.forward has the arguments x, attention_mask"):
        equalize(model, D, 1.1, mask="padding")


def drawing(draw, *, output=None):
    """A host whose method draws as told."""
    kind = type("Host", (Base,), {"draw": lambda self, mu, logvar: draw(mu, logvar)})
    return kind().train()


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda mu, v: mu, "draws nothing while it trains"),
        (lambda mu, v: Laplace(mu, v.exp()).rsample(), "not from normal noise of torch but of uniform_"),
        (lambda mu, v: mu + torch.rand_like(mu), "not from normal noise of torch but of rand_like"),
        (lambda mu, v: F.gumbel_softmax(mu), "not from normal noise"),
        (lambda mu, v: torch.tanh(mu + v.exp() * torch.randn_like(mu)), "transformed, cut or decoded already"),
        (lambda mu, v: mu + v.exp() * torch.randn_like(mu).clamp(-2, 2), "transformed, cut or decoded already"),
        (lambda mu, v: mu + torch.randn_like(mu), "a fixed sigma has no lambda"),
        (lambda mu, v: mu + 0.3 * torch.randn_like(mu), r"std 0\.3 .* a fixed sigma has no lambda"),
        (lambda mu, v: mu + 0.01 * torch.exp(0.5 * v) * torch.randn_like(mu), r"0\.01 times exp\(0\.5 \* the argument"),
        (lambda mu, v: mu + torch.exp(v) * torch.randn_like(mu), r"where its name says exp\(0\.5 .* takes='log_std'"),
        (lambda mu, v: mu + torch.sin(v) ** 2 * torch.randn_like(mu), "is sigma, exp, .* or softplus of none of"),
        (
            lambda mu, v: 2 * mu + torch.exp(v) * torch.randn_like(mu),
            r"around a mean \(.* that is none of its arguments",
        ),
        (
            lambda mu, v: ((z := mu + torch.exp(0.5 * v) * torch.randn_like(mu)), z.square()),
            "has used z already when it returns it",
        ),
    ],
)
def test_what_is_no_draw_of_a_gaussian_with_its_own_sigma_is_refused_with_what_was_seen(draw, said):
    model = drawing(draw)
    equalize(model, D, 1.1, method="draw")
    mu, logvar = model.encode(X)
    with pytest.raises(InputError, match=rf"^Host\.draw .*{said}"):
        model.draw(mu, logvar)


def test_sigma_that_is_drawn_as_said_is_taken_at_the_users_word():
    model = drawing(lambda mu, v: mu + torch.exp(v) * torch.randn_like(mu))
    equalizer = equalize(model, D, 1.1, method="draw", takes="log_std")
    model.draw(*model.encode(X))
    assert "exp(the argument logvar)" in repr(equalizer)
    other = drawing(lambda mu, v: mu + torch.exp(v) * torch.randn_like(mu))
    equalize(other, D, 1.1, method="draw", takes="std")
    mu, logvar = other.encode(X)
    with pytest.raises(InputError, match=r"where takes='std' says the argument logvar"):
        other.draw(mu, logvar)


def test_while_sigma_is_1_everywhere_its_formula_stays_open():
    """At a head that begins at 0, exp(v) and exp(v / 2) are the same, and so is mu."""
    model = drawing(lambda mu, v: mu + torch.exp(0.5 * v) * torch.randn_like(mu))
    equalizer = equalize(model, D, 1.1, method="draw")
    (site,) = equalizer.sites
    site.draws, site.foreseen = (), False
    for _ in range(3):
        model.draw(torch.zeros(9, D), torch.zeros(9, D))
        assert not site.settled
    model.draw(*model.encode(X))
    assert site.settled
    assert str(site.draws[0]) == "z is the output, mu is the argument mu, sigma is exp(0.5 * the argument logvar)"


def test_an_input_that_is_drawn_otherwise_is_refused():
    class Narrow(Base):
        def forward(self, x):
            mu, logvar = self.encode(x)
            return self.d(mu + 0.5 * torch.exp(0.5 * logvar) * torch.randn_like(mu))

    model = Narrow().train()
    equalize(model, D, 1.1, into="d", posterior="e")
    with pytest.raises(InputError, match=r"nearest is z .* has the size 0\.(49|50?)\d* where 1 is due"):
        model(X)


def test_draws_elsewhere_are_not_the_models():
    model, _, equalizer = narrowed("middle")
    torch.manual_seed(0)
    ours = Normal(torch.zeros(3, D), 0.5).rsample()
    torch.manual_seed(0)
    assert torch.equal(ours, torch.randn(3, D) * 0.5)
    seen = int(equalizer.get_extra_state()[3, 0])
    with pytest.raises(RuntimeError):
        model(torch.zeros(3, 7))
    Normal(torch.zeros(3, D), 0.5).rsample()
    assert int(equalizer.get_extra_state()[3, 0]) == seen


def test_a_draw_is_narrowed_once():
    model, _ = built("layer")
    equalize(model, D, 1.1)
    equalize(model.reparameterize, D, 1.1, method="forward")
    with pytest.raises(InputError, match=r"has narrowed already; remove one of both"):
        model(X)
