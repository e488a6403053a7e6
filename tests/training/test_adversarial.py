"""The classifier in place of a KL: what it learns, what it tells the model, and what it does not go with."""

import math
from typing import Any

import pytest
import torch
from adversaries import MAKERS, aae, avb, implicit
from small import BATCH, FEATURES, LATENT, STEPS, binarised, differing, everything, trainer, watch
from torch import Tensor, nn

from lambda_vae.distributions import DiagGaussian, standard_normal
from lambda_vae.errors import InputError
from lambda_vae.methods import AAE, AVB, Context, method_named
from lambda_vae.model import Trace
from lambda_vae.objectives import BetaELBO, Terms
from lambda_vae.training import AdversarialAutoencoder, AdversarialBayes, Batch, Step, Trainer
from lambda_vae.training.adversary import Adversary


def made(adversary: Adversary, features: int) -> nn.Module:
    trained = trainer()
    adversary.make(trained.stepper, trained.draws, features)
    return adversary.network


def batch_of(trained: Trainer, samples: int = 1, kl_weight: float = 1.0) -> Batch:
    chance = torch.Generator().manual_seed(3)
    return Batch(
        binarised(trained.draws.x[:BATCH], torch.arange(BATCH), chance),
        torch.randn(samples, BATCH, LATENT, generator=chance),
        kl_weight,
        torch.randn(BATCH, 2, generator=chance),
        torch.randn(BATCH, LATENT, generator=chance),
    )


def judged(network: nn.Module, inputs: Tensor) -> Tensor:
    return network(inputs).squeeze(-1)


# What the classifier learns.


def test_its_logit_becomes_the_log_ratio_of_the_densities(generator) -> None:
    """N(1, 1) against N(0, 1): ln a/b = x - 1/2."""
    adversary = Adversary((16,), 1e-2, 0.0)
    made(adversary, 1)
    for step in range(400):
        reference = torch.randn(500, 1, generator=generator)
        adversary.learn(step % STEPS, 1.0 + torch.randn(500, 1, generator=generator), reference)
    x = torch.linspace(-1.5, 2.5, 9)[:, None]
    torch.testing.assert_close(adversary.logit(x), x.squeeze(-1) - 0.5, rtol=0, atol=0.25)


def test_its_loss_is_the_binary_cross_entropy(generator) -> None:
    adversary = Adversary((4,), 1e-2, 0.0)
    made(adversary, 2)
    drawn, reference = torch.randn(3, 5, 2, generator=generator), torch.randn(5, 2, generator=generator)
    entropy = nn.functional.binary_cross_entropy_with_logits
    logits = adversary.logit(drawn), adversary.logit(reference)
    expected = 0.5 * (entropy(logits[0], torch.ones(3, 5)) + entropy(logits[1], torch.zeros(5)))
    adversary.learn(2, drawn, reference)
    torch.testing.assert_close(adversary.losses[2], expected.detach())


def test_the_model_s_loss_does_not_move_it(generator) -> None:
    adversary = Adversary((4,), 1e-2, 0.0)
    network = made(adversary, 2)
    z = torch.randn(5, 2, generator=generator).requires_grad_()
    adversary.logit(z).sum().backward()
    assert [weight.grad for weight in network.parameters()] == [None] * 4
    other = z.detach().clone().requires_grad_()
    judged(network, other).sum().backward()
    assert z.grad is not None
    torch.testing.assert_close(z.grad, other.grad)


def test_begin_leaves_torch_s_own_generator_alone() -> None:
    state = torch.get_rng_state()
    aae()
    assert torch.equal(torch.get_rng_state(), state)


# What the model is told.


@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
def test_loss_of_the_autoencoder_is_the_non_saturating_one(kl_weight: float) -> None:
    trained = aae(weight=2.0)
    network = trained.strategy.network
    batch = batch_of(trained, samples=3, kl_weight=kl_weight)
    with torch.no_grad():
        trace = trained.stepper.trace(batch)
        belief = torch.sigmoid(judged(network, trace.z))
        expected = -trace.p_x.log_prob(trace.x) - 2.0 * kl_weight * torch.log(1.0 - belief)
        rate = trace.q.kl(standard_normal(LATENT))
    step = trained.strategy.step(trained.stepper, trained.draws, batch)
    torch.testing.assert_close(step.terms.loss, expected)
    torch.testing.assert_close(step.terms.rate_q, rate)


def test_autoencoder_at_weight_0_is_the_reconstruction_alone_bit_for_bit() -> None:
    plain = trainer(objective=BetaELBO(0.0))
    plain.fit()
    weightless = aae(weight=0.0)
    weightless.fit()
    names = ("model.", "optimizer.", "generator", "trail", "moments.", "history.loss", "history.rate_q")
    first, second = (
        {name: value for name, value in everything(t).items() if name.startswith(names)} for t in (plain, weightless)
    )
    assert differing(first, second) == []
    heavy = aae(weight=10.0)
    heavy.fit()
    assert "model.decoder.0.weight" in differing(first, everything(heavy))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_recorded_gradient_is_the_reconstruction_s_alone(make: Any) -> None:
    trained = make()
    batch = batch_of(trained, samples=2)
    trace = trained.stepper.trace(batch)
    (expected,) = torch.autograd.grad(trace.p_x.log_prob(trace.x).sum(), trace.z)
    step = trained.strategy.step(trained.stepper, trained.draws, batch)
    torch.testing.assert_close(step.dlogp_dz, expected)


def test_loss_of_bayes_with_plain_contrast_is_the_logit() -> None:
    trained = avb(adaptive=False)
    network, batch = trained.strategy.network, batch_of(trained, samples=3, kl_weight=0.3)
    with torch.no_grad():
        trace = trained.stepper.trace(batch)
        x = batch.x.expand(3, BATCH, FEATURES)
        expected = 0.3 * judged(network, torch.cat((x, trace.z), -1)) - trace.p_x.log_prob(trace.x)
    step = trained.strategy.step(trained.stepper, trained.draws, batch)
    torch.testing.assert_close(step.terms.loss, expected)


def test_loss_of_bayes_with_adaptive_contrast_is_the_logit_beside_the_known_part() -> None:
    trained = avb()
    network, batch = trained.strategy.network, batch_of(trained, samples=3)
    with torch.no_grad():
        trace = trained.stepper.trace(batch)
        r = trained.vae.encode(batch.x).marginals()
        x = batch.x.expand(3, BATCH, FEATURES)
        logit = judged(network, torch.cat((x, (trace.z - r.mu) / r.std), -1))
        log_r, log_p = (
            torch.distributions.Normal(mu, std).log_prob(trace.z).sum(-1)
            for mu, std in ((r.mu, r.std), (torch.zeros(LATENT), torch.ones(LATENT)))
        )
        expected = logit + log_r - log_p - trace.p_x.log_prob(trace.x)
    step = trained.strategy.step(trained.stepper, trained.draws, batch)
    torch.testing.assert_close(step.terms.loss, expected)


@pytest.mark.parametrize("adaptive", [True, False])
def test_with_xi_ignored_and_the_best_classifier_it_is_the_plain_vae(
    adaptive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loss and gradients of the encoder are those of the ELBO with its KL in closed form, but for the noise of z."""
    trained = avb(adaptive=adaptive)
    with torch.no_grad():
        trained.vae.posterior.from_xi.weight.zero_()
        q = trained.vae.encode(batch_of(trained).x).marginals()

    def best(pairs: Tensor) -> Tensor:
        """0 where q is the reference; else ln q/p of the z beside each x."""
        z = pairs[..., FEATURES:]
        return 0.0 * z.sum(-1) if adaptive else q.log_prob(z) - standard_normal(LATENT).log_prob(z)

    monkeypatch.setattr(trained.strategy, "logit", best)
    monkeypatch.setattr(trained.strategy, "learn", lambda *_: None)
    taken: list[Any] = []

    def optimizer_step(trace: Trace, terms: Terms) -> Step:
        taken.append((trace, terms))
        return Step(trace, terms, None)

    monkeypatch.setattr(trained.stepper, "optimizer_step", optimizer_step)
    trained.strategy.step(trained.stepper, trained.draws, batch_of(trained, samples=4000))
    (trace, terms) = taken[0]
    rate = terms.loss - terms.reconstruction
    exact = trace.q.kl(standard_normal(LATENT))
    assert ((rate.mean(0) - exact).abs() < 5 * rate.std(0) / 4000**0.5 + 1e-5).all()
    weights = list(trained.vae.posterior.head.parameters())
    by_draws = torch.autograd.grad(rate.mean(), weights, retain_graph=True)
    in_closed_form = torch.autograd.grad(exact.mean(), weights)
    for mine, theirs in zip(by_draws, in_closed_form, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=0.02)


def test_moments_are_taken_as_given() -> None:
    """The reference follows q, but no gradient goes that way: what it would add cancels."""
    trained = avb()
    batch = batch_of(trained)
    r = trained.stepper.marginals(batch.x)
    assert isinstance(r, DiagGaussian)
    assert not r.mu.requires_grad
    assert not r.logvar.requires_grad


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_main_data_and_noise_are_those_of_every_method(make: Any) -> None:
    plain, other = trainer(), make()
    seen: dict[str, list[Tensor]] = {"plain": [], "other": []}
    for name, trained in (("plain", plain), ("other", other)):
        watch(trained, lambda step, name=name: seen[name].extend((step.trace.x, step.trace.eps)))
        trained.fit()
    assert all(map(torch.equal, seen["plain"], seen["other"]))


# Refusals.


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: AdversarialAutoencoder(-1.0), "adversary_weight is -1.0; it must be a finite number, 0 or greater"),
        (lambda: AdversarialAutoencoder(math.nan), "adversary_weight is nan"),
        (lambda: AdversarialAutoencoder(1.0, ()), r"adversary_hidden is \[\]; it needs at least one layer"),
        (lambda: AdversarialBayes((0,)), r"adversary_hidden is \[0\]"),
        (lambda: AdversarialBayes((8,), 0.0), "adversary_rate is 0.0; it must be a positive number"),
    ],
)
def test_bad_numbers_are_refused(make: Any, what: str) -> None:
    with pytest.raises(InputError, match=what):
        make()


@pytest.mark.parametrize("name", ["lambda-vae", "lambda-detached", "lambda-elbo", "noise-clamp", "fixed-noise"])
def test_lambda_on_an_implicit_posterior_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"no sigma of its own for lambda to act on; use lambda-vae\+iaf"):
        method_named(f"{name}+avb")


@pytest.mark.parametrize("name", ["beta-vae+aae", "avb+aae", "lagging+avb"])
def test_methods_that_want_the_same_part_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"do not fit together: both set the (objective|strategy)"):
        method_named(name)


def test_only_draws_of_a_learned_prior_are_refused() -> None:
    model = implicit()
    model.prior.shift = nn.Parameter(torch.zeros(LATENT))
    with pytest.raises(InputError, match="adaptive_contrast is False and the prior is learned"):
        trainer(model=model, strategy=AdversarialBayes(adaptive_contrast=False))
    trainer(model=model, strategy=AdversarialBayes())


def test_settings_reach_the_parts() -> None:
    context = Context(latent_dim=30, epochs=100, encoded=4)
    strategy = AAE(adversary_weight=3.0, adversary_hidden=(7,), adversary_rate=0.5).strategy(context)
    assert (strategy.weight, strategy.hidden, strategy.learning_rate) == (3.0, (7,), 0.5)
    assert AVB(mixing_dim=5).posterior(context).mixing_dim == 5
    assert AVB(adaptive_contrast=False).strategy(context).adaptive_contrast is False
