"""pyod's VAE: the KL that it charges, the noise that it stands for, and lambda within its `fit`."""

import pickle

import numpy as np
import pytest
import torch

pytest.importorskip("pyod", reason="pyod is not installed")

from pyod.models.vae import VAE

from lambda_vae import InputError
from lambda_vae.any_vae import diagnose
from lambda_vae.integrations import host
from lambda_vae.integrations.pyod import diagnose_pyod, equalize_pyod

pytestmark = pytest.mark.filterwarnings("default")

rng = np.random.default_rng(0)
#: 12 features of three factors, in other units and with another mean each.
X = (rng.normal(size=(160, 3)) @ rng.normal(size=(3, 12)) + 0.3 * rng.normal(size=(160, 12))) * rng.uniform(
    1, 50, 12
) + 7


def fitted(**options):
    model = VAE(**({"verbose": 0, "epoch_num": 5, "random_state": 0} | options))
    model.fit(X)
    return model


def test_the_default_says_that_its_kl_is_off_and_takes_the_noise_that_fits_the_training_data():
    report = diagnose_pyod(fitted(), X, iw_samples=2)
    fits = float(np.sqrt((fitted().decision_scores_ ** 2).mean() / 12))
    assert "The KL is off: it is clamped to a capacity of 0" in str(report)
    assert f"noise of {fits:.3g} standard deviations" in str(report)
    assert "collapsed" not in report.verdict


def test_beta_changes_nothing_at_the_default_capacity():
    one, hundred = fitted(), fitted(beta=100.0)
    assert all(torch.equal(a, b) for a, b in zip(one.model.parameters(), hundred.model.parameters(), strict=True))
    assert "The KL is off" in str(diagnose_pyod(hundred, X, iw_samples=2))


def test_the_kl_in_full_stands_for_a_noise_variance_of_half_the_features():
    model = fitted(capacity=float("inf"), epoch_num=40)
    report = diagnose_pyod(model, X, iw_samples=2)
    assert report.verdict.startswith("0 of 2 dimensions are in use; 2 collapsed (2 decoder noise)")
    assert f"assumes a noise of {6**0.5:.3g} standard deviations" in str(report)


@pytest.mark.parametrize("beta", [1.0, 0.05])
def test_the_bound_is_the_loss_of_pyod_up_to_factor_and_constant(beta):
    model = fitted(capacity=1e9, beta=beta, epoch_num=20, dropout_rate=0.0)
    x = torch.tensor((X - model.X_mean) / model.X_std).float()
    with torch.no_grad():
        losses = [
            model.criterion(x, *model.model(x), beta=beta, capacity=1e9, logvar_clip=model.logvar_clip_)
            for _ in range(200)
        ]
    variance = beta * 12 / 2
    constant = 12 / 2 * np.log(2 * np.pi * variance)
    expected = float(torch.stack(losses).mean()) / beta + constant
    assert diagnose_pyod(model, X, iw_samples=64).nll_bound == pytest.approx(expected, rel=2e-2)


def test_a_capacity_is_met_from_above_alone():
    free = diagnose_pyod(fitted(capacity=0.5, beta=0.01), X, iw_samples=2)
    held = diagnose_pyod(fitted(capacity=1e6, beta=0.01), X, iw_samples=2)
    assert ("The KL is off: it is clamped to a capacity of 0.5" in str(free)) == (free.rate > 0.5)
    assert "The KL is off" not in str(held)


def test_data_without_preprocessing_are_taken_as_they_are():
    model = VAE(verbose=0, epoch_num=2, preprocessing=False, capacity=1e9, beta=2 / 12)
    model.fit(X / 50)
    assert "assumes a noise of 1 units of x" in str(diagnose_pyod(model, X / 50, iw_samples=2))


def test_steps_are_those_of_whole_batches_and_epochs_those_of_the_model():
    model = VAE(verbose=0, epoch_num=9, capacity=1e9, beta=0.01, random_state=0)
    with equalize_pyod(model, 1.01, release_epochs=3) as equalizer:
        model.fit(X[:150])
    assert equalizer.steps_per_epoch == 4
    assert equalizer.total_epochs == 9
    assert bool((equalizer.exponent == 1.0).all())
    assert type(pickle.loads(pickle.dumps(model)).model).__name__ == "VAEModel"
    assert not hasattr(model.model, "equalizer")


def test_scores_are_drawn_with_the_encoders_own_sigma():
    model = VAE(verbose=0, epoch_num=4, capacity=1e9, beta=0.01, random_state=0)
    with equalize_pyod(model, 1.01) as equalizer:
        model.fit(X)
        torch.manual_seed(0)
        within = model.decision_function(X)
    assert bool((equalizer.exponent > 1.0).all())
    torch.manual_seed(0)
    assert np.array_equal(within, model.decision_function(X))


def test_a_feature_that_was_constant_in_training_is_refused_where_it_is_not_in_the_data():
    x = X.copy()
    x[:, 3] = 0.1
    model = VAE(verbose=0, epoch_num=2)
    model.fit(x)
    assert diagnose_pyod(model, x, iw_samples=2).rate > 0.0
    with pytest.raises(InputError, match="feature 3 was constant in the training data"):
        diagnose_pyod(model, X)


def test_lambda_without_a_kl_warns():
    with pytest.warns(UserWarning, match="no KL"):
        equalize_pyod(VAE(verbose=0), 1.1)


def test_a_capacity_of_none_is_no_clamp():
    report = diagnose_pyod(fitted(capacity=None, beta=0.01), X, iw_samples=2)
    assert "The KL is off" not in str(report)
    assert f"assumes a noise of {(0.01 * 6) ** 0.5:.3g} standard deviations" in str(report)


def test_a_beta_below_0_is_refused():
    with pytest.raises(InputError, match=r"beta is -0\.5"):
        diagnose_pyod(fitted(capacity=float("inf"), beta=-0.5, epoch_num=1), X)


def test_another_noise_is_another_weight_of_the_kl(monkeypatch):
    model = fitted(capacity=float("inf"), beta=0.01)
    own = (0.01 * 6) ** 0.5
    given = {}
    monkeypatch.setattr(host, "diagnose", lambda *args, **options: given.update(options) or diagnose(*args, **options))
    report = diagnose_pyod(model, X, std=2 * own, iw_samples=2)
    assert given["kl_weight"] == pytest.approx(0.25)
    assert f"assumes a noise of {own:.3g} standard deviations" in str(report)


def test_a_network_in_train_mode_is_measured_in_eval_mode_and_left_as_it_was():
    model = fitted(capacity=float("inf"), beta=0.01)
    before = float(diagnose_pyod(model, X, iw_samples=2).nll_bound)
    model.model.train()
    assert float(diagnose_pyod(model, X, iw_samples=2).nll_bound) == before
    assert model.model.training


def test_columns_of_objects_are_numbers_or_one_sentence():
    model = fitted(capacity=float("inf"), beta=0.01)
    same = diagnose_pyod(model, X.astype(object), iw_samples=2).nll_bound
    assert float(same) == pytest.approx(float(diagnose_pyod(model, X, iw_samples=2).nll_bound))
    words = X.astype(object)
    words[0, 0] = "seven"
    with pytest.raises(InputError, match="x is no array of numbers"):
        diagnose_pyod(model, words)


def test_fit_may_name_its_array():
    model = VAE(verbose=0, epoch_num=2, capacity=float("inf"))
    with equalize_pyod(model, 1.1) as equalizer:
        model.fit(X=X)
    assert equalizer.steps_per_epoch == 5
