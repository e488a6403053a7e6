"""Every cause against the linear theory, where the truth is known."""

from collections import Counter

import pytest
import torch
from planted_causes import LATENTS, LIVES, NO_SIGNAL, NOISE, SETTINGS, LinearData, apart, counted, fitted, theory

from lambda_vae.any_vae import diagnose
from lambda_vae.likelihoods import gaussian

SEEDS = 4


def report_on(data, beta, std, examples, seed=0, **options):
    encode, decode = data.optimum(beta, std)
    return diagnose(encode, gaussian(decode, std=std), data.draw(examples, seed), iw_samples=1, **options)


@pytest.mark.parametrize(("kl_weight", "std"), SETTINGS)
def test_each_count_of_the_best_linear_vae_is_within_one_of_the_theory(kl_weight, std):
    expected, right = theory(kl_weight, std), 0
    for seed in range(SEEDS):
        found = counted(report_on(LinearData(seed=seed), kl_weight, std, 5000))
        assert apart(found, expected) <= 1, (found, expected)
        right += sum((found & expected).values())
    assert right >= 0.95 * SEEDS * LATENTS


@pytest.mark.parametrize(("kl_weight", "std"), [setting for setting in SETTINGS if setting[0] != 1.0])
def test_the_weight_is_read_off_where_it_is_not_told(kl_weight, std):
    silent = report_on(LinearData(), kl_weight, std, 5000)
    assert f"KL weight of about {kl_weight:.2g} " in " ".join(silent.notes)
    told = report_on(LinearData(), kl_weight, std, 5000, kl_weight=kl_weight)
    assert not told.notes
    assert told.causes == silent.causes
    assert "kl_weight is 9, but" in report_on(LinearData(), kl_weight, std, 5000, kl_weight=9.0).notes[0]


def test_a_noise_that_is_not_the_losss_looks_like_a_weight():
    data = LinearData()
    encode, decode = data.optimum(1.0, 1.0)
    report = diagnose(encode, gaussian(decode, std=0.5), data.draw(5000), iw_samples=1)
    assert "balance at a KL weight of about 4 " in report.notes[0]


@pytest.fixture(scope="module")
def networks():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return dict(zip(SETTINGS, fitted(LinearData().draw(20_000), SETTINGS, steps=4000), strict=True))


@pytest.mark.parametrize(("kl_weight", "std"), SETTINGS)
def test_each_count_of_a_trained_network_is_within_two_of_the_theory(kl_weight, std, networks):
    data, network = LinearData(), networks[kl_weight, std]
    report = diagnose(network.encode, gaussian(network.decoder, std=std), data.draw(5000, 1), iw_samples=1)
    assert apart(counted(report), theory(kl_weight, std)) <= 2, counted(report)


@pytest.mark.parametrize("std", [0.5, 4.5, 1.2])
def test_four_thousand_features_and_three_strong_directions(std):
    strong = (25.0, 16.0, 9.0)
    data, expected = LinearData(4000, eigenvalues=strong), theory(1.0, std, strong, 5)
    encode, decode = data.optimum(1.0, std, latents=5)
    report = diagnose(encode, gaussian(decode, std=std), data.draw(2500), iw_samples=1)
    assert counted(report) == expected


def test_what_few_examples_of_many_features_could_hide_is_undetermined():
    data = LinearData(4000, eigenvalues=(25.0, 16.0, 9.0))
    encode, decode = data.optimum(1.0, 4.5, latents=5)
    report = diagnose(encode, gaussian(decode, std=4.5), data.draw(300), iw_samples=1)
    assert counted(report) == Counter({LIVES: 1, NOISE: 2, "undetermined": 2})
    assert "300 examples of 3999 features" in report.findings[-1].explanation


@pytest.mark.parametrize("wrong", ["half the directions", "none"])
def test_directions_that_training_missed_are_not_called_noise(wrong):
    data = LinearData()
    encode, decode = data.optimum(1.0, 0.5)
    silent = [0, 1, 2, 3, 4] if wrong == "half the directions" else []

    def half(x):
        mu, logvar = (part.clone() for part in encode(x))
        mu[:, silent], logvar[:, silent] = 0.0, 0.0
        return mu, logvar

    report = diagnose(half, gaussian(decode, std=0.5), data.draw(5000), iw_samples=1)
    assert [report.causes[i] for i in silent] == ["gradient imbalance"] * len(silent)
    assert report.causes[-6:] == [NO_SIGNAL] * 6
