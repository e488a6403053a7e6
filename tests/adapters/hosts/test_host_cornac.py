"""cornac: what is counted as its loss counts it, and what an equalized fit leaves behind."""

import copy
import math
from collections import OrderedDict

import pytest
import torch

cornac = pytest.importorskip("cornac")

from cornac.data import Dataset  # noqa: E402
from cornac.models import VAECF, BiVAECF  # noqa: E402
from hosts.ratings import triples  # noqa: E402

from lambda_vae import InputError  # noqa: E402
from lambda_vae.integrations.cornac import diagnose_cornac, equalize_cornac  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")

TRAIN = Dataset.from_uir(triples())
X = (torch.tensor(TRAIN.matrix.toarray()) > 0).float()
SHORT = {"k": 4, "n_epochs": 4, "batch_size": 32, "seed": 0}


def averaged(loss):
    """A loss that draws, over many draws."""
    torch.manual_seed(0)
    with torch.no_grad():
        return float(torch.stack([loss() for _ in range(400)]).mean())


#: What the loss leaves out of -log p(x|z), nats an example.
LEFT_OUT = {
    "mult": -float(torch.lgamma(X.sum(1) + 1).mean()),
    "bern": 0.0,
    "gaus": 0.5 * X.shape[1] * math.log(math.pi),
    "pois": 0.0,
}


@pytest.mark.parametrize("likelihood", LEFT_OUT)
def test_the_bound_is_the_loss_and_its_constants(likelihood):
    model = VAECF(likelihood=likelihood, **SHORT).fit(TRAIN)
    report = diagnose_cornac(model, TRAIN, iw_samples=1)
    loss = averaged(lambda: model.vae.loss(X, *model.vae(X), 1.0))
    assert report.nll_bound == pytest.approx(loss + LEFT_OUT[likelihood], abs=0.15)
    assert any("leaves out the multinomial" in note for note in report.notes) == (likelihood == "mult")


@pytest.mark.parametrize("side", ["users", "items"])
def test_each_side_of_a_bivaecf_is_measured_given_the_means_of_the_other(side):
    model = BiVAECF(use_gpu=False, **SHORT).fit(TRAIN)
    vae, user = model.bivae, side == "users"
    rows, other = (X, {"beta": vae.mu_beta}) if user else (X.T, {"theta": vae.mu_theta})

    def loss():
        _, decoded, mu, std = vae(rows, user=user, **other)
        return vae.loss(rows, decoded, mu, 0.0, std, 1.0)

    report = diagnose_cornac(model, TRAIN, side=side, iw_samples=1)
    assert report.nll_bound == pytest.approx(averaged(loss), abs=0.4)  # of 60 items or 40 users, by two draws each


def test_stars_count_as_one_and_people_without_any_are_left_out():
    model = VAECF(**SHORT).fit(TRAIN)
    report = diagnose_cornac(model, TRAIN, iw_samples=1)
    nobody = torch.cat([X, torch.zeros(5, X.shape[1])])
    assert diagnose_cornac(model, nobody.numpy(), iw_samples=1).nll_bound == report.nll_bound
    assert model.vae.training  # as fit has left it


def test_the_kl_weight_is_the_models_own():
    weighed = VAECF(beta=0.2, **SHORT).fit(TRAIN)
    told = diagnose_cornac(weighed, TRAIN, iw_samples=1, kl_weight=0.2)
    assert diagnose_cornac(weighed, TRAIN, iw_samples=1).caveats == told.caveats


def test_people_that_the_model_has_not_seen_have_its_numbers():
    model = VAECF(**SHORT).fit(TRAIN)
    new = [(who, one, 1.0) for who, step in (("new", -3), ("other", -2)) for one in list(model.iid_map)[::step]]
    unseen = Dataset.build(new, global_uid_map=OrderedDict(), global_iid_map=OrderedDict(model.iid_map))
    assert diagnose_cornac(model, unseen, iw_samples=1).examples == 2
    with pytest.raises(InputError, match=r"is number 0 of the data, .* of the model"):
        diagnose_cornac(model, Dataset.from_uir(new))


def test_priors_of_features_are_refused():
    model = BiVAECF(use_gpu=False, **SHORT).fit(TRAIN)
    model.cap_priors = {"user": True, "item": False}
    with pytest.raises(InputError, match="cap_priors"):
        diagnose_cornac(model, TRAIN, side="users")


@pytest.mark.parametrize("kind", [VAECF, BiVAECF])
def test_every_latent_gets_a_lambda_of_its_own_and_the_model_nothing_of_ours(kind):
    model = kind(**SHORT, **({} if kind is VAECF else {"use_gpu": False}))
    with equalize_cornac(model, 1.01) as equalizers:
        model.fit(TRAIN)
    assert [int(one.epoch) for one in equalizers] == ([3] if kind is VAECF else [4, 4])  # the last has no step after it
    assert all(bool((one.exponent > 1.0).all()) for one in equalizers)
    assert len({tuple(one.exponent.tolist()) for one in equalizers}) == len(equalizers)
    vae = model.vae if kind is VAECF else model.bivae
    assert not any("equalizer" in name for name in vae.state_dict())
    assert "reparameterize" not in vars(vae)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in vae.modules())
    assert "fit" not in vars(model)
    copy.deepcopy(model.bivae if kind is BiVAECF else model.vae)


def test_a_released_fit_ends_at_one():
    model = BiVAECF(use_gpu=False, **SHORT)
    with equalize_cornac(model, 1.01, release_epochs=2) as equalizers:
        model.fit(TRAIN)
    assert all(bool((one.exponent == 1.0).all()) for one in equalizers)


@pytest.mark.parametrize("data", ["ratings", [("user", "item", 1.0)], None])
def test_what_is_no_matrix_is_one_sentence(data):
    with pytest.raises(InputError, match="give a cornac Dataset"):
        diagnose_cornac(VAECF(**SHORT).fit(TRAIN), data)


def test_nan_in_a_matrix_is_no_interaction_and_is_refused():
    matrix = TRAIN.matrix.toarray()
    matrix[0, :2] = math.nan
    with pytest.raises(InputError, match="the data hold 2 NaN"):
        diagnose_cornac(VAECF(**SHORT).fit(TRAIN), matrix)


def test_a_sparse_tensor_is_a_matrix():
    model = VAECF(**SHORT).fit(TRAIN)
    assert float(diagnose_cornac(model, X.to_sparse()).nll_bound) == float(diagnose_cornac(model, X).nll_bound)


def test_a_second_bivaecf_in_the_block_is_refused_and_so_is_another():
    first, second = (BiVAECF(**SHORT, use_gpu=False) for _ in range(2))
    with pytest.raises(InputError, match="another BiVAECF was fitted within this block before"):
        with equalize_cornac(first, 1.1):
            _ = first.fit(TRAIN), second.fit(TRAIN)
    with pytest.raises(InputError, match="this BiVAECF was not fitted within its block, another was"):
        with equalize_cornac(BiVAECF(**SHORT), 1.1):
            BiVAECF(**SHORT, use_gpu=False).fit(TRAIN)
    with pytest.raises(InputError, match="BiVAE is equalized by another block"):
        with equalize_cornac(BiVAECF(**SHORT), 1.1), equalize_cornac(BiVAECF(**SHORT), 1.2):
            pass
