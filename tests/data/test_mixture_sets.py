"""The mixtures: what is drawn has the moments, the density and the components that the table states."""

import numpy as np
import pytest
from scipy.stats import chi2, chisquare, kstest
from sklearn.mixture import GaussianMixture

from lambda_vae.data import describe, load
from lambda_vae.data.mixtures import MIXTURES, Mixture, mixture_source


@pytest.fixture(params=MIXTURES)
def name(request):
    return request.param


def test_moments_are_those_of_the_closed_form(name, cache):
    data, mixture = load(name, cache=cache), MIXTURES[name]
    x, means = np.asarray(data.train.x, np.float64), np.asarray(mixture.means)
    covariance = means.T @ means / len(means) - np.outer(means.mean(0), means.mean(0)) + mixture.std**2 * np.eye(2)
    n = len(x)
    assert np.all(np.abs(x.mean(0) - means.mean(0)) < 4 * np.sqrt(np.diag(covariance) / n))
    # the std of a product of two such coordinates is below 2 variances
    assert np.all(np.abs(np.cov(x.T) - covariance) < 4 * 2 * covariance.max() / np.sqrt(n))


def test_each_component_is_an_isotropic_gaussian_at_its_mean(name, cache):
    data, mixture = load(name, cache=cache), MIXTURES[name]
    assert chisquare(np.bincount(data.train.y)).pvalue > 0.001
    squared = []
    for k, mean in enumerate(mixture.means):
        members = np.asarray(data.train.x, np.float64)[data.train.y == k]
        standard = (members - mean) / mixture.std
        squared.append((standard**2).sum(1))
        for axis in standard.T:
            assert kstest(axis, "norm").pvalue > 0.001
    assert kstest(np.concatenate(squared), chi2(2).cdf).pvalue > 0.001


def test_scikit_learn_finds_the_components(name, cache):
    data, mixture = load(name, cache=cache), MIXTURES[name]
    found = GaussianMixture(len(mixture.means), covariance_type="spherical", random_state=0).fit(data.train.x)
    order = [int(np.linalg.norm(found.means_ - mean, axis=1).argmin()) for mean in mixture.means]
    assert sorted(order) == list(range(len(mixture.means)))
    assert np.allclose(found.means_[order], mixture.means, atol=0.1)
    assert np.allclose(np.sqrt(found.covariances_), mixture.std, rtol=0.05)
    assert np.allclose(found.weights_, 1 / len(mixture.means), atol=0.04)


def test_the_same_points_come_every_time_and_train_and_test_differ(name, cache):
    first, second = mixture_source(name), mixture_source(name)
    assert np.array_equal(next(first.train.chunks()), next(second.train.chunks()))
    data = load(name, cache=cache)
    assert (len(data.train), len(data.test), data.kind, data.shape) == (2000, 1000, "vector", (2,))
    assert not np.array_equal(data.train.x[:1000], data.test.x)
    assert len(data.classes) == len(MIXTURES[name].means)


def test_the_stream_is_the_one_that_was_promised(cache):
    assert load("gaussian-mixture-2", cache=cache).sha256.startswith("d434cad5")
    assert load("gaussian-mixture-4", cache=cache).sha256.startswith("abbcfa64")


def test_the_list_has_them_without_a_download(name, cache):
    row = {row.name: row for row in describe(cache)}[name]
    assert (row.where, row.prepared, row.shape) == ("embedded", False, (2,))


def test_a_mixture_of_one_is_its_gaussian():
    points, labels = Mixture(((3.0, -1.0),), 0.1).draw(500, np.random.RandomState(1))
    assert np.allclose(points.mean(0), (3, -1), atol=4 * 0.1 / np.sqrt(500))
    assert not labels.any()
