"""What the code mu says about the labels: a linear probe and the nearest neighbours."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from lambda_vae.errors import InputError

__all__ = ["NEIGHBOURS", "PROBE_EXAMPLES", "Accuracy", "Codes", "knn_accuracy", "linear_probe_accuracy"]

#: Both classifiers are fitted on at most this many training examples, drawn with a fixed seed.
PROBE_EXAMPLES = 20_000

NEIGHBOURS = 5

_MAX_ITERATIONS = 300


@dataclass(frozen=True, eq=False)
class Codes:
    """Codes with their labels.

    Args:
        mu: Posterior means, [N, D].
        labels: One class an example, [N].

    Raises:
        InputError: Codes and labels differ in number.
    """

    mu: Float[np.ndarray, "N D"]
    labels: Shaped[np.ndarray, " M"]  # M = N, checked below with a message

    def __post_init__(self) -> None:
        if len(self.mu) != len(self.labels):
            raise InputError(f"there are {len(self.mu)} codes and {len(self.labels)} labels; give one label an example")

    def subset(self, size: int) -> "Codes":
        """Return at most `size` examples, drawn without replacement with seed 0."""
        if len(self.mu) <= size:
            return self
        chosen: Int[np.ndarray, " size"] = np.random.default_rng(0).permutation(len(self.mu))[:size]
        return Codes(self.mu[chosen], self.labels[chosen])


@dataclass(frozen=True)
class Accuracy:
    """Share of test examples classified correctly.

    Args:
        value: Between 0 and 1; NaN where the codes are not finite or there is one class only.
        stderr: Binomial standard error over the test examples.
        fitted_on: Training examples used.
        converged: Whether the fit reached its optimum; if not, the value is a lower estimate.
    """

    value: float
    stderr: float
    fitted_on: int
    converged: bool = True


def linear_probe_accuracy(train: Codes, test: Codes, examples: int = PROBE_EXAMPLES) -> Accuracy:
    """Return the test accuracy of a logistic regression on mu, standardised with the training codes' mean and scale."""
    fitted = train.subset(examples)
    if not _usable(fitted, test):
        return Accuracy(float("nan"), float("nan"), len(fitted.mu))
    # Imported where they are used: scikit-learn takes seconds to load, and most commands never probe.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(fitted.mu)
    probe = LogisticRegression(max_iter=_MAX_ITERATIONS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        probe.fit(scaler.transform(fitted.mu), fitted.labels)
    converged = not any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return _accuracy(probe.predict(scaler.transform(test.mu)), test, len(fitted.mu), converged)


def knn_accuracy(train: Codes, test: Codes, examples: int = PROBE_EXAMPLES, neighbours: int = NEIGHBOURS) -> Accuracy:
    """Return the test accuracy of the majority among the nearest training codes, Euclidean distance in mu as it is.

    mu is not rescaled: that would blow the noise of collapsed dimensions up to the size of the signal.
    """
    fitted = train.subset(examples)
    if not _usable(fitted, test):
        return Accuracy(float("nan"), float("nan"), len(fitted.mu))
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(min(neighbours, len(fitted.mu)), algorithm="brute")
    return _accuracy(classifier.fit(fitted.mu, fitted.labels).predict(test.mu), test, len(fitted.mu))


def _usable(train: Codes, test: Codes) -> bool:
    finite = bool(np.isfinite(train.mu).all() and np.isfinite(test.mu).all())
    return finite and len(test.mu) > 0 and len(np.unique(train.labels)) > 1


def _accuracy(predicted: np.ndarray, test: Codes, fitted_on: int, converged: bool = True) -> Accuracy:
    share = float(np.mean(predicted == test.labels))
    return Accuracy(share, float(np.sqrt(share * (1.0 - share) / len(test.labels))), fitted_on, converged)
