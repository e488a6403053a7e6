"""Reports on pythae's models: every likelihood as pythae means it, every kind of data, every planted case."""

import math

import pytest
import torch
from torch.utils.data import DataLoader

from lambda_vae.errors import InputError

pytest.importorskip("pythae")

from adapters.hosts.pythae_digits import SAFE, built, dataset, planted_model
from pythae import models
from pythae.data.datasets import DatasetOutput, collate_dataset_output

from lambda_vae.adapters.hosts.pythae import diagnose_pythae, equalize_pythae

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
    with pytest.raises(InputError, match=r"in train mode.*model\.eval\(\)"):
        diagnose_pythae(model.train(), data)


def test_of_an_equalized_model_the_noise_it_was_trained_with_is_measured(digits):
    model = built().eval()
    equalize_pythae(model, delta=1.1).exponent.fill_(3.0)
    report = diagnose_pythae(model, digits[:100], iw_samples=1)
    assert bool((report.exponent == 3).all())
    assert report.excess_kl > 0
    assert diagnose_pythae(model, digits[:100], iw_samples=1, equalizer=None).excess_kl == 0
