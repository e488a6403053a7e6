"""What the hosts share: the report with what a package knows of its model, and batches that are gone through again."""

import pytest
import torch
from torch import nn

from lambda_vae.equalizing import equalize
from lambda_vae.integrations import host
from lambda_vae.integrations.host import Batches, image_batch_size, report_on
from lambda_vae.likelihoods import gaussian

X = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))


class Model(nn.Module):
    def reparameterize(self, mu, logvar):
        return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


def encode(x):
    return x[:, :2] / 2, torch.full((len(x), 2), 0.5).log()


LIKELIHOOD = gaussian(lambda z: nn.functional.pad(z, (0, 1)), std=1.0)


@pytest.fixture
def asked(monkeypatch):
    given, own = {}, host.diagnose
    monkeypatch.setattr(host, "diagnose", lambda *args, **options: given.update(options) or own(*args, **options))
    return given


def test_what_the_package_knows_is_told_where_the_caller_says_nothing(asked):
    model = Model()
    equalizer = equalize(model, 2, 1.1)
    report = report_on(encode, LIKELIHOOD, X, {}, model=model, kl_weight=0.5, notes=["A note."], iw_samples=4)
    assert asked["equalizer"] is equalizer
    assert (asked["kl_weight"], asked["iw_samples"]) == (0.5, 4)
    assert report.notes[-1] == "A note."


@pytest.mark.parametrize("options", [{"equalizer": None}, {"exponent": torch.tensor([1.0, 2.0])}, {"exponent": None}])
def test_the_callers_lambda_counts_more_than_the_models(asked, options):
    model = Model()
    equalize(model, 2, 1.1)
    report_on(encode, LIKELIHOOD, X, options, model=model)
    assert asked.get("equalizer") is None


@pytest.mark.parametrize("options", [{"kl_weight": 0.1}, {"history": {"kl_weight": [0.1]}}])
def test_the_callers_kl_weight_and_history_count_more_than_the_packages(asked, options):
    report_on(encode, LIKELIHOOD, X, options, kl_weight=0.5)
    assert asked.get("kl_weight") in (None, 0.1)


def test_batches_are_changed_and_gone_through_again():
    batches = Batches([{"image": X[:50]}, {"image": X[50:]}], lambda batch: batch["image"])
    assert [len(x) for _ in range(2) for x in batches] == [50, 150, 50, 150]
    assert report_on(encode, LIKELIHOOD, batches, {}).nll_bound == pytest.approx(
        report_on(encode, LIKELIHOOD, X, {}).nll_bound, rel=0.05
    )


@pytest.mark.parametrize(
    ("images", "size"),
    [(torch.zeros(4, 1, 8, 8), 500), (torch.empty(4, 1, 1024, 1024, device="meta"), 1), (X[:0], 500), ([X], 500)],
)
def test_large_images_go_through_a_network_a_few_at_once(images, size):
    assert image_batch_size(images) == size
