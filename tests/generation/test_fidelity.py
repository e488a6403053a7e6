"""Precision, recall, density and coverage: counted by hand, against published code, and with honest errors."""

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from lambda_vae.errors import InputError
from lambda_vae.generation import fidelity, neighbours
from lambda_vae.generation.neighbours import neighbour_shares, squared_radii

NAMES = ("precision", "recall", "density", "coverage")


def values(result):
    return {name: float(result.readings[name].value) for name in NAMES}


def by_hand(real, fake, k):
    """The definitions, with scikit-learn's neighbours and every distance as a difference."""
    real, fake = real.numpy(), fake.numpy()

    def radii(points):
        return NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(points).kneighbors(points)[0][:, k]

    distances = np.sqrt(np.square(fake[:, None] - real[None]).sum(-1))
    inside = distances <= radii(real)
    recalled = (distances <= radii(fake)[:, None]).any(0)
    return [inside.any(1).mean(), recalled.mean(), inside.sum() / (k * len(fake)), inside.any(0).mean()]


def first_four(shares):
    return [getattr(shares, name) for name in NAMES]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_shares_are_what_one_counts_by_hand(normal64, k):
    real, fake = normal64(60, 4), 0.7 * normal64(45, 4) + 0.4
    assert first_four(neighbour_shares(real, fake, k)) == pytest.approx(by_hand(real, fake, k))


def test_shares_are_those_of_prdc(generator):
    real = torch.randn(400, 3, generator=generator, dtype=torch.float64)
    fake = 0.8 * torch.randn(300, 3, generator=generator, dtype=torch.float64) + 0.5
    # compute_prdc of the package prdc 0.2, of the authors of density and coverage, on the same numbers
    known = [0.9966666666666667, 0.8975, 1.0246666666666666, 0.745]
    assert first_four(neighbour_shares(real, fake, 5)) == pytest.approx(known, abs=1e-12)


def test_shares_are_the_same_in_small_parts(normal64, monkeypatch):
    real, fake = normal64(60, 4), normal64(45, 4)
    whole = neighbour_shares(real, fake, 3)
    monkeypatch.setattr(neighbours, "_PAIRS_PER_PASS", 7 * 60)
    assert neighbour_shares(real, fake, 3) == whole


def test_a_far_origin_costs_no_digits(normal64):
    real, fake = normal64(60, 4), normal64(45, 4)
    assert neighbour_shares(real + 1e6, fake + 1e6, 3) == neighbour_shares(real, fake, 3)


def test_binary_pictures_tie_exactly(generator):
    real, fake = torch.randint(0, 2, (2, 80, 30), generator=generator).double()
    assert first_four(neighbour_shares(real, fake, 3)) == pytest.approx(by_hand(real, fake, 3))
    assert (squared_radii(real, 3) % 1.0 == 0.0).all()


def test_identical_sets_are_perfect(normal64, generator):
    points = normal64(1200, 5)
    result = values(fidelity(points, points.clone(), "here", generator))
    assert (result["precision"], result["recall"], result["coverage"]) == (1.0, 1.0, 1.0)
    assert result["density"] == pytest.approx(6 / 5, abs=0.01)  # each ball holds its centre and its k neighbours


def test_disjoint_sets_share_nothing(normal64, generator):
    points = normal64(1200, 5)
    result = fidelity(points, points + 100.0, "here", generator)
    assert values(result) == dict.fromkeys(NAMES, 0.0)
    assert all(math.isnan(result.readings[name].stderr) for name in NAMES)
    assert "the same in every subset, so that no error can be given" in " ".join(result.remarks)


def modes(count, which, generator):
    """Points around two far centres, or one."""
    return (
        torch.randn(count, 2, generator=generator, dtype=torch.float64)
        + 50.0 * torch.tensor(which)[torch.arange(count) % len(which), None]
    )


def test_a_dropped_mode_costs_recall_and_coverage_alone(generator):
    real, fake = modes(1000, [0.0, 1.0], generator), modes(1000, [1.0], generator)
    result = values(fidelity(real, fake, "here", generator))
    assert result["precision"] > 0.95
    assert 0.45 < result["recall"] <= 0.5
    assert 0.45 < result["coverage"] <= 0.5
    assert 0.9 < result["density"] < 1.1


def test_an_invented_mode_costs_precision_and_density_alone(generator):
    real, fake = modes(1000, [1.0], generator), modes(1000, [0.0, 1.0], generator)
    result = values(fidelity(real, fake, "here", generator))
    assert 0.45 < result["precision"] <= 0.5
    assert result["recall"] > 0.95
    assert result["coverage"] > 0.8
    assert 0.4 < result["density"] < 0.6


def test_samples_of_the_truth_have_the_density_and_coverage_that_theory_gives(generator):
    n, m, k, rounds = 200, 300, 5, 40
    drawn = [
        neighbour_shares(*(torch.randn(size, 3, generator=generator, dtype=torch.float64) for size in (n, m)), k)
        for _ in range(rounds)
    ]
    # Naeem et al. 2020, section 3.2: whatever the law and the space, E[density] = 1, and coverage as below.
    missed = math.prod((n - i) / (m + n - i) for i in range(1, k + 1))
    for name, known in (("density", 1.0), ("coverage", 1.0 - missed)):
        found = torch.tensor([getattr(one, name) for one in drawn])
        assert (found.mean() - known).abs() < 4.5 * found.std() / rounds**0.5


def test_standard_errors_are_those_of_repeated_draws(generator):
    def draw():
        real = torch.randn(500, 4, generator=generator, dtype=torch.float64)
        return real, 1.3 * torch.randn(500, 4, generator=generator, dtype=torch.float64) + 0.5

    many = torch.tensor([first_four(neighbour_shares(*draw(), 5)) for _ in range(60)])
    result = fidelity(*draw(), "here", generator)
    claimed = torch.tensor([float(result.readings[name].stderr) for name in NAMES])
    ratio = claimed / many.std(0)  # either side scatters by about a tenth
    assert ((ratio > 0.6) & (ratio < 1.7)).all(), ratio


def test_few_points_are_named(normal64, generator):
    result = fidelity(normal64(100, 3), normal64(100, 3), "here", generator)
    assert result.remarks == ("100 points are few; below 1000 the values depend on their number",)
    assert all(math.isfinite(value) for value in values(result).values())
    assert (result.space, result.neighbours, result.real, result.fake) == ("here", 5, 100, 100)


def test_too_few_points_for_an_error_give_none(normal64, generator):
    result = fidelity(normal64(20, 3), normal64(20, 3), "here", generator)
    assert all(math.isnan(result.readings[name].stderr) for name in NAMES)
    assert "a 5th of 20 points is too few for an error" in result.remarks


def test_too_few_points_give_nothing(normal64, generator):
    result = fidelity(normal64(5, 3), normal64(100, 3), "here", generator)
    assert all(math.isnan(value) for value in values(result).values())
    assert result.remarks == ("there are 5 real points and 100 samples; 5 neighbours need more than 5 of each",)


def test_copies_take_away_what_stands_on_them(normal64, generator):
    real, fake = normal64(1000, 3), normal64(1, 3).expand(1000, 3)
    result = fidelity(real, fake, "here", generator)
    assert math.isnan(values(result)["recall"])
    assert math.isfinite(values(result)["precision"])
    assert "100.0% of the samples have 5 exact copies or more; recall cannot be read from them" in result.remarks
    turned = values(fidelity(fake, real, "here", generator))
    assert all(math.isnan(turned[name]) for name in ("precision", "density", "coverage"))


def test_a_few_copies_are_only_named(normal64, generator):
    real = normal64(1000, 3)
    real[:6] = real[0]
    result = fidelity(real, normal64(1000, 3), "here", generator)
    assert "0.6% of the real points have 5 exact copies or more" in result.remarks
    assert all(math.isfinite(value) for value in values(result).values())


def test_what_is_not_finite_gives_nothing(normal64, generator):
    fake = normal64(100, 3)
    fake[3, 1] = torch.nan
    result = fidelity(normal64(100, 3), fake, "here", generator)
    assert all(math.isnan(value) for value in values(result).values())
    assert result.remarks == ("some features of the samples are not finite",)


def test_two_spaces_are_refused(normal64, generator):
    with pytest.raises(InputError, match="real data has 3 features and the samples have 4; use one space"):
        fidelity(normal64(9, 3), normal64(9, 4), "here", generator)
    with pytest.raises(InputError, match="neighbours is 0; it must be at least 1"):
        fidelity(normal64(9, 3), normal64(9, 3), "here", generator, neighbours=0)
