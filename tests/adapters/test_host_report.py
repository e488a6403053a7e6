"""What the hosts share: the report with what a package knows of its model, and batches that are gone through again."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lambda_vae.equalizing import equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations import host
from lambda_vae.integrations.host import Batches, first_of, image_batch_size, loaded, report_on, require_unchanged
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


def test_a_dataset_and_its_loader_are_converted_and_other_data_stay_as_they_are():
    data = TensorDataset(X)
    for given in (data, DataLoader(data, 50)):
        assert torch.equal(torch.cat(list(loaded(given, lambda batch: batch[0], 50))), X)
    assert loaded(X, lambda batch: batch[0], 50) is X


def test_the_first_batch_is_read_without_a_draw_of_the_loaders_seed():
    before = torch.get_rng_state()
    assert torch.equal(first_of(DataLoader(TensorDataset(X), 50))[0], X[:50])
    assert torch.equal(torch.get_rng_state(), before)
    assert first_of([]) is None


class Overriding(Model):
    def reparameterize(self, mu, logvar):
        return mu


def test_a_subclass_that_overrides_what_is_known_of_its_class_is_refused():
    require_unchanged(Model(), Model, "ours", ("reparameterize",), "diagnose", loss=True)
    with pytest.raises(InputError, match=r"Overriding has another reparameterize than ours.*use diagnose"):
        require_unchanged(Overriding(), Model, "ours", ("reparameterize",), "diagnose")
    with pytest.raises(InputError, match="Model has another loss than ours"):
        require_unchanged(Model(), Model, "ours", ("reparameterize",), "diagnose", loss=False)


class Trained(Model):
    def update(self):
        return None


@pytest.mark.parametrize(("steps", "epochs"), [(None, 2), (1, 1)])
def test_epochs_end_with_a_method_of_the_model_unless_steps_end_them(steps, epochs):
    model = Trained()
    equalizer = equalize(model, 2, 1.1, steps_per_epoch=steps)
    equalizer.end_epochs_with(model, "update")
    for _ in range(2):
        equalizer.observe(torch.full((4, 2), 0.5))
        model.update()
    assert int(equalizer.epoch) == epochs  # of steps: the second ends the first
    assert not model.state_dict()
