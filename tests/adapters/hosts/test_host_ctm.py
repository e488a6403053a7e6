"""contextualized-topic-models: its own likelihood and learned prior, and lambda in units of that prior's std."""

from importlib.util import find_spec

import pytest
import torch

if find_spec("contextualized_topic_models") is None:
    pytest.skip("contextualized-topic-models is not installed", allow_module_level=True)

from contextualized_topic_models.models.ctm import CombinedTM, ZeroShotTM
from host_cases.ctm import TOPICS, built, documents, fitted

from lambda_vae.equalization.theory import narrowing
from lambda_vae.integrations.ctm import diagnose_ctm, equalize_ctm

pytestmark = pytest.mark.filterwarnings("default")


def own_loss(model, data, draws=400):
    """What the package's `_loss` gives in eval mode, a mean over draws and documents: KL and reconstruction."""
    x, embeddings = torch.tensor(data.X_bow), torch.tensor(data.X_contextual)
    with torch.no_grad():
        losses = [model._loss(x, out[5], *out[:5]) for out in (model.model(x, embeddings) for _ in range(draws))]
    return [float(torch.stack(part).mean()) for part in zip(*losses, strict=True)]


@pytest.mark.parametrize(
    ("kind", "model_type"), [(CombinedTM, "prodLDA"), (ZeroShotTM, "prodLDA"), (CombinedTM, "LDA")]
)
def test_the_bound_is_the_packages_own_loss_under_the_learned_prior(kind, model_type):
    model = fitted(built(kind, model_type=model_type, epochs=30, lr=0.02))
    assert model.model.prior_variance.sub(1 - 1 / TOPICS).abs().max() > 0.1
    report = diagnose_ctm(model, documents(64, seed=1), iw_samples=1)
    kl, reconstruction = own_loss(model, documents(64, seed=1))
    assert report.rate == pytest.approx(kl, rel=1e-4)
    assert report.nll_bound == pytest.approx(kl + reconstruction, abs=1.0)


def test_every_dimension_is_active_and_the_report_says_why_that_tells_nothing():
    report = diagnose_ctm(fitted(built()), documents(), iw_samples=1)
    assert report.active_units == TOPICS
    assert "BatchNorm" in report.notes[-1]


def test_a_model_in_train_mode_is_measured_as_its_get_thetas_would():
    model = built()
    model.fit(documents(), do_train_predictions=False)
    assert model.model.training
    diagnose_ctm(model, documents(), iw_samples=1)
    assert not model.model.training


def test_lambda_takes_sigma_in_units_of_the_priors_std():
    z = {}
    mu, logvar = torch.randn(64, TOPICS), torch.randn(64, TOPICS)
    for scale in (None, 1.0, 3.0):
        model = built()
        if scale is not None:
            equalizer = equalize_ctm(model, 1.1)
            model.model.prior_variance.data.fill_(scale**2)
            equalizer.exponent.fill_(4.0)
        torch.manual_seed(2)
        model.model.train()
        torch.manual_seed(2)
        z[scale] = model.model.reparameterize(mu, logvar)
    for scale in (1.0, 3.0):
        factor = narrowing((0.5 * logvar).exp() / scale, torch.full((TOPICS,), 4.0))
        assert torch.allclose(z[scale] - mu, factor * (z[None] - mu), atol=1e-5)


def test_the_gradient_of_a_narrowed_draw_is_that_of_sigma_in_units_of_the_prior():
    grads = []
    mu, noise = torch.zeros(8, TOPICS), torch.rand(8, TOPICS) - 2
    for ours in (True, False):
        model, logvar = built(), noise.clone().requires_grad_()
        equalizer = equalize_ctm(model, 1.1) if ours else None
        model.model.prior_variance.data.fill_(4.0)
        model.model.train()
        if equalizer is not None:
            equalizer.exponent.fill_(3.0)
        torch.manual_seed(2)
        if ours:
            z = model.model.reparameterize(mu, logvar)
        else:
            std = (0.5 * logvar).exp()
            z = narrowing(std / 2.0, torch.full((TOPICS,), 3.0)) * (model.model.reparameterize(mu, logvar) - mu)
        z.sum().backward()
        grads.append(logvar.grad)
    assert torch.allclose(*grads, atol=1e-5)


def test_validation_topics_and_thetas_are_never_narrowed():
    model = fitted(built())
    equalizer = equalize_ctm(model, 1.1)
    equalizer.exponent.fill_(20.0)
    for name in ("with", "without"):
        torch.manual_seed(3)
        theta = model.get_thetas(documents(), n_samples=3)
        if name == "with":
            first = theta
            equalizer.remove()
    assert (first == theta).all()


def test_a_release_ends_with_fit():
    model = built()
    equalizer = equalize_ctm(model, 1.1, refresh_every=1, release_epochs=2)
    fitted(model)
    assert equalizer.target_exponent.gt(1).all()
    assert equalizer.exponent.eq(1).all()
