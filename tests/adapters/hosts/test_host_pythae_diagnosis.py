"""Reports on pythae's models: every likelihood as pythae means it, every kind of data, every planted case."""

import math

import pytest
import torch
from torch.utils.data import DataLoader

from lambda_vae.errors import InputError

pytest.importorskip("pythae")

from adapters.hosts.pythae_digits import SAFE, SHAPE, built, dataset, planted_model
from pythae import models
from pythae.data.datasets import DatasetOutput, collate_dataset_output

from lambda_vae.any_vae import diagnose
from lambda_vae.integrations import host
from lambda_vae.integrations.pythae import diagnose_pythae, equalize_pythae

pytestmark = pytest.mark.usefixtures("quiet")


def test_planted_dimensions_are_found_and_mse_is_a_gaussian_of_variance_one():
    model, x, truth = planted_model(["healthy", "dead", "prior", "sharp"] * 4)
    report = diagnose_pythae(model.eval(), x, iw_samples=50)
    assert report.verdicts == truth
    assert report.causes == [None, "no signal", "gradient imbalance", None] * 4
    with torch.no_grad():
        loss = sum(model(DatasetOutput(data=x)).loss.item() for _ in range(50)) / 50
    constant = 0.5 * x.shape[1] * math.log(2 * math.pi)  # which pythae's loss leaves out, and its get_nll does not
    assert report.nll_bound == pytest.approx(loss + constant, rel=1e-3)
    few, n = diagnose_pythae(model, x[:50], iw_samples=200), 200
    assert few.best_importance.nll.value == pytest.approx(-model.get_nll(x[:50], n, n), rel=2e-2)


@pytest.mark.parametrize("kind", SAFE, ids=lambda kind: kind.__name__)
def test_every_safe_model_is_diagnosed_and_bce_is_a_bernoulli(kind, digits):
    model = built(kind).eval()
    report = diagnose_pythae(model, digits[:200], iw_samples=1)
    with torch.no_grad():
        q = model.encoder(digits[:200])
        std = torch.exp(0.5 * q.log_covariance)
        draws = [model.decoder(q.embedding + std * torch.randn(200, 4)) for _ in range(20)]
        law = [torch.distributions.Bernoulli(draw.reconstruction).log_prob(digits[:200]).sum() / 200 for draw in draws]
    assert report.reconstruction == pytest.approx(-float(sum(law)) / 20, rel=1e-3)
    trained_on_other = kind in (models.MSSSIM_VAE, models.VAEGAN)
    assert any("is no likelihood" in note for note in report.notes) == trained_on_other
    assert report.residual is not None


def test_data_are_a_tensor_a_dataset_or_a_loader(digits):
    model = built().eval()
    data = dataset(digits[:60])
    loader = DataLoader(data, batch_size=25, collate_fn=collate_dataset_output)
    bounds = [diagnose_pythae(model, d, iw_samples=1, batch_size=25).nll_bound for d in (digits[:60], data, loader)]
    assert bounds[0] == bounds[1] == bounds[2]
    with pytest.raises(InputError, match="gone through only once"):
        diagnose_pythae(model, iter(loader))
    in_train_mode = diagnose_pythae(model.train(), data, iw_samples=1, batch_size=25)
    assert in_train_mode.nll_bound == bounds[0]  # nothing in it asks for its mode
    model.encoder.layers.append(torch.nn.Sequential(torch.nn.Dropout(0.5)))
    model.encoder.depth += 1
    with pytest.raises(InputError, match=r"in train mode.*model\.eval\(\)"):
        diagnose_pythae(model.train(), data)


def test_of_an_equalized_model_the_noise_it_was_trained_with_is_measured(digits):
    model = built().eval()
    equalize_pythae(model, delta=1.1).exponent.fill_(3.0)
    report = diagnose_pythae(model, digits[:100], iw_samples=1)
    assert bool((report.exponent == 3).all())
    assert report.excess_kl > 0
    assert diagnose_pythae(model, digits[:100], iw_samples=1, equalizer=None).excess_kl == 0


WEIGHTS = {
    "VAE": ({}, 1.0),
    "BetaVAE": ({"beta": 0.25}, 0.25),
    "INFOVAE_MMD": ({"alpha": 0.4}, 0.6),
    "FactorVAE": ({}, 1.0),
    "BetaTCVAE": ({"alpha": 2.0, "beta": 2.0, "gamma": 2.0}, 2.0),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_causes_are_judged_by_the_kl_weight_of_the_models_config(name, digits, monkeypatch):
    config, weight = WEIGHTS[name]
    kind = getattr(models, name)
    model = kind(getattr(models, f"{name}_Config" if "INFO" in name else f"{name}Config")(SHAPE, 4, **config)).eval()
    told = []

    def spied(*given, **options):
        told.append(options.get("kl_weight"))
        return diagnose(*given, **options)

    monkeypatch.setattr(host, "diagnose", spied)
    diagnose_pythae(model, digits[:50], iw_samples=1)
    diagnose_pythae(model, digits[:50], iw_samples=1, kl_weight=0.7)
    diagnose_pythae(model, digits[:50], iw_samples=1, history={"kl_weight": [0.1]})
    assert told == [pytest.approx(weight), 0.7, None]


def test_the_noise_of_mse_on_pixels_is_the_cause_and_the_noise_that_would_do_is_named(digits):
    x = digits.flatten(1)
    model = built(reconstruction_loss="mse").eval()
    with torch.no_grad():
        model.encoder.embedding.weight.zero_(), model.encoder.embedding.bias.zero_()
        model.encoder.log_var.weight.zero_(), model.encoder.log_var.bias.zero_()
    report = diagnose_pythae(model, digits[:1000] * 0.5, iw_samples=1)
    assert report.causes == ["decoder noise"] * 4
    strongest = torch.linalg.eigvalsh(torch.cov(0.5 * x[:1000].T)).max()
    assert float(strongest) < 1.0  # the variance that half a squared error assumes
