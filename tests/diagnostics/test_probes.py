import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lambda_vae.diagnostics.representation import Codes, knn_accuracy, linear_probe_accuracy
from lambda_vae.errors import InputError


def clusters(n, spread, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    return Codes((centres[labels] + spread * rng.normal(size=(n, 2))).astype(np.float32), labels)


@pytest.mark.parametrize("measure", [linear_probe_accuracy, knn_accuracy])
def test_separated_classes_are_found_and_noise_is_not(measure):
    assert measure(clusters(300, 0.2, 0), clusters(200, 0.2, 1)).value == 1.0
    blind = Codes(np.random.default_rng(2).normal(size=(600, 2)), clusters(600, 1.0, 3).labels)
    chance = measure(blind, Codes(np.random.default_rng(4).normal(size=(600, 2)), clusters(600, 1.0, 5).labels))
    assert abs(chance.value - 1 / 3) < 4 * chance.stderr


def test_accuracies_equal_scikit_learn():
    digits = load_digits()
    x, y = digits.data.astype(np.float32), digits.target
    train, test = Codes(x[:1200], y[:1200]), Codes(x[1200:], y[1200:])
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(train.mu, train.labels)
    assert linear_probe_accuracy(train, test).value == pytest.approx(probe.score(test.mu, test.labels))
    neighbours = KNeighborsClassifier(5).fit(train.mu, train.labels)
    # ties between votes aside
    assert knn_accuracy(train, test).value == pytest.approx(neighbours.score(test.mu, test.labels), abs=0.005)


def test_standard_error_is_binomial():
    accuracy = knn_accuracy(clusters(300, 2.0, 0), clusters(200, 2.0, 1))
    assert 0.4 < accuracy.value < 0.95
    assert accuracy.stderr == pytest.approx((accuracy.value * (1 - accuracy.value) / 200) ** 0.5)


def test_a_fit_cut_short_says_so_and_warns_nobody(monkeypatch):
    monkeypatch.setattr("lambda_vae.diagnostics.representation._MAX_ITERATIONS", 1)
    accuracy = linear_probe_accuracy(clusters(300, 1.0, 0), clusters(200, 1.0, 1))
    assert not accuracy.converged
    assert 0.0 < accuracy.value <= 1.0


@pytest.mark.parametrize("measure", [linear_probe_accuracy, knn_accuracy])
def test_nan_codes_give_nan(measure):
    broken = clusters(50, 1.0, 0)
    broken.mu[3, 1] = np.nan
    assert np.isnan(measure(clusters(50, 1.0, 1), broken).value)
    assert np.isnan(measure(broken, clusters(50, 1.0, 1)).value)


@pytest.mark.parametrize("measure", [linear_probe_accuracy, knn_accuracy])
def test_one_class_tells_nothing(measure):
    codes = clusters(50, 1.0, 0)
    assert np.isnan(measure(Codes(codes.mu, np.zeros(50)), codes).value)


def test_a_limit_draws_the_same_random_part_every_time():
    codes = clusters(500, 1.0, 0)
    part = codes.subset(100)
    assert len(part.mu) == 100
    np.testing.assert_array_equal(part.mu, codes.subset(100).mu)
    assert not np.array_equal(part.labels, codes.labels[:100])
    assert linear_probe_accuracy(codes, clusters(100, 1.0, 1), examples=100).fitted_on == 100


def test_labels_must_match():
    with pytest.raises(InputError, match="50 codes and 49 labels"):
        Codes(np.zeros((50, 2)), np.zeros(49))
