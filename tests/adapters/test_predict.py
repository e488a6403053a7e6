"""What survives is said before training, and trained models keep that many."""

import json
import math
from importlib import import_module

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from lambda_vae import InputError, load, predict
from lambda_vae.diagnostics.prediction import learned_noise_var

VARIANCES = torch.tensor([4.0, 2.0, 1.0, 0.5, 0.25, 0.12, 0.06, 0.03], dtype=torch.float64)


def planted(variances=VARIANCES, examples=400, seed=0):
    """Rows whose covariance has exactly these eigenvalues, in directions that are no axes."""
    generator = torch.Generator().manual_seed(seed)
    features = len(variances)
    raw = torch.randn(examples, features, generator=generator, dtype=torch.float64)
    white = torch.linalg.qr(raw - raw.mean(0)).Q * examples**0.5
    basis = torch.linalg.qr(torch.randn(features, features, generator=generator, dtype=torch.float64)).Q
    return (white * variances.sqrt()) @ basis.T + 3.0


def trained(x, latent_dim, loss, steps=1500):
    """KL of each dimension of a linear VAE trained by Adam; loss(squared error, KL, F) is the user's own."""
    centred = x - x.mean(0)
    covariance, features = centred.T @ centred / len(x), x.shape[1]
    generator = torch.Generator().manual_seed(1)
    shape = (features, latent_dim)
    decoder, encoder = (0.3 * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    weights = [
        decoder,
        encoder.T.contiguous(),
        torch.zeros(latent_dim, dtype=torch.float64),
        torch.zeros((), dtype=torch.float64),
    ]
    weights = [weight.requires_grad_() for weight in weights]
    optimizer = torch.optim.Adam(weights, lr=0.02)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.02 * 0.5 * (1.0 + math.cos(math.pi * step / steps))
        decoder, encoder, logvar, noise_logvar = weights
        left = torch.eye(features, dtype=torch.float64) - decoder @ encoder
        error = (left @ covariance * left).sum() + (logvar.exp() * decoder.square().sum(0)).sum()
        kl = 0.5 * ((encoder @ covariance * encoder).sum(1) + logvar.exp() - 1.0 - logvar)
        optimizer.zero_grad()
        loss(error, kl.sum(), noise_logvar).backward()
        optimizer.step()
    return kl.detach(), float(noise_logvar.detach().exp())


LOSSES = {
    "Gaussian": (lambda e, kl, _: e / (2 * 0.8**2) + kl, {"noise_std": 0.8}, 3),
    "Gaussian, beta 4": (lambda e, kl, _: e / (2 * 0.4**2) + 4 * kl, {"noise_std": 0.4, "kl_weight": 4.0}, 3),
    "Gaussian, beta 0.25": (lambda e, kl, _: e / (2 * 0.8**2) + kl / 4, {"noise_std": 0.8, "kl_weight": 0.25}, 5),
    "half the squared error": (lambda e, kl, _: 0.5 * e + kl, {"noise_std": 1.01}, 2),
    "squared error, summed": (lambda e, kl, _: e + 3.0 * kl, {"kl_weight": 3.0}, 2),
    "squared error, mean": (lambda e, kl, _: e / 8 + 0.1 * kl, {"kl_weight": 0.1, "reduction": "mean"}, 4),
    "squared error, mean, KL weight 1": (lambda e, kl, _: e / 8 + 1.1 * kl, {"kl_weight": 1.1, "reduction": "mean"}, 0),
    "log-likelihood, mean": (
        lambda e, kl, _: e / (2 * 8 * 0.3**2) + 0.5 * kl, {"noise_std": 0.3, "kl_weight": 0.5, "reduction": "mean"}, 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_a_trained_linear_vae_keeps_as_many_as_were_predicted(name):
    loss, settings, expected = LOSSES[name]
    x = planted()
    found = predict(x, latent_dim=6, **settings)
    kl, _ = trained(x, 6, loss)
    # one at threshold by half of an eigenvalue: its KL is (e / (beta s^2) - 1 - ln(...)) / 2, well above this
    assert int((kl > 0.02).sum()) == found.survivors == expected
    assert found.counts["survive"] == expected
    assert sum(found.counts.values()) == 6


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.5, 2.0])
def test_a_learned_noise_comes_to_what_was_predicted(beta):
    x = planted()
    found = predict(x, noise_std="learned", kl_weight=beta, latent_dim=3)
    kl, noise_var = trained(x, 3, lambda e, kl, s: 0.5 * e * (-s).exp() + 4.0 * s + beta * kl)
    assert found.noise_var == pytest.approx(noise_var, rel=2e-3)
    assert int((kl > 0.02).sum()) == found.survivors


def test_learned_noise_without_a_weight_is_probabilistic_pca_s():
    assert learned_noise_var(VARIANCES, 8, 3) == pytest.approx(float(VARIANCES[3:].mean()))
    assert learned_noise_var(VARIANCES, 8, 8) == pytest.approx(0.03)  # from there down it makes no difference
    assert learned_noise_var(torch.cat((VARIANCES[:3], torch.zeros(5))), 8, 3) == 0.0  # the loss falls without end
    assert predict(planted(), latent_dim=3).noise_std_that_fits ** 2 == pytest.approx(float(VARIANCES[3:].mean()))


def correlated_bits(examples, seed):
    """0 and 1, eight features of different rates that share one cause."""
    generator = torch.Generator().manual_seed(seed)
    cause = torch.randn(examples, 1, generator=generator, dtype=torch.float64)
    rates = torch.linspace(-1.5, 1.0, 8, dtype=torch.float64)
    return (
        torch.rand(examples, 8, generator=generator, dtype=torch.float64) < (rates + 1.2 * cause).sigmoid()
    ).double()


def bernoulli_kl(x, beta, steps=1500):
    """KL of one latent dimension under binary cross-entropy, near the collapsed state and trained from there."""
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(20))
    weights = weights / weights.sum()
    rate = x.mean(0)
    decoder = torch.full((8,), 0.1, dtype=torch.float64, requires_grad=True)
    encoder = torch.full((8,), 0.1, dtype=torch.float64, requires_grad=True)
    bias = torch.logit(rate).clone().requires_grad_()
    logvar = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([decoder, encoder, bias, logvar], lr=0.02)
    for _ in range(steps):
        mu = (x - rate) @ encoder
        z = mu[:, None] + (0.5 * logvar).exp() * nodes
        logits = bias + z[..., None] * decoder
        nll = (torch.nn.functional.softplus(logits) - x[:, None] * logits).sum(-1) @ weights
        kl = 0.5 * (mu.square().mean() + logvar.exp() - 1.0 - logvar)
        optimizer.zero_grad()
        (nll.mean() + beta * kl).backward()
        optimizer.step()
    return float(kl.detach())


@pytest.mark.parametrize("soft", [False, True])
def test_a_bernoulli_decoder_stays_collapsed_from_the_predicted_weight_on(soft):
    x = correlated_bits(300, 0)
    x = 0.2 + 0.6 * x if soft else x
    largest = predict(x, likelihood="bernoulli").by_kl_weight(1)
    below, above = (predict(x, likelihood="bernoulli", kl_weight=share * largest) for share in (0.9, 1.1))
    assert below.survivors >= 1
    assert above.survivors == 0
    assert bernoulli_kl(x, 0.9 * largest) > 1e-2
    assert bernoulli_kl(x, 1.1 * largest) < 1e-4


def test_what_training_draws_from_grey_values_counts_as_their_variance():
    grey = 0.5 + 0.3 * (planted(seed=2) - 3.0).tanh()
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([(torch.rand(grey.shape, generator=generator) < grey).double() for _ in range(400)])
    expected = predict(drawn, likelihood="bernoulli").eigenvalues
    found = predict(grey, likelihood="bernoulli", binarised=True).eigenvalues
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0)
    assert bool((predict(grey, likelihood="bernoulli").eigenvalues < found).all())


def test_mean_and_bare_errors_are_the_gaussians_they_stand_for():
    x = planted()
    mean = predict(x, reduction="mean", kl_weight=0.2, latent_dim=6)
    assert mean.noise_var == pytest.approx(8 * 0.2 / 2)
    assert mean.survivors == predict(x, noise_std=math.sqrt(0.8), latent_dim=6).survivors
    assert "stands for noise variance 0.8" in str(mean)
    assert predict(x).noise_var == 0.5
    assert predict(x, kl_weight=2.0).threshold == 1.0


def test_every_row_of_what_it_takes_is_true_on_both_sides():
    x = planted()
    for settings in ({"noise_std": 0.7, "kl_weight": 2.0}, {"reduction": "mean", "kl_weight": 0.3}):
        found = predict(x, latent_dim=6, **settings)
        assert [row.survivors for row in found.by_noise] == [1, 2, 5, 6]
        for row in found.by_noise:
            assert found.survivors_at(0.999 * row.noise_std) == row.survivors
            assert found.survivors_at(1.001 * row.noise_std) == row.survivors - 1
            for share, expected in ((0.999, row.survivors), (1.001, row.survivors - 1)):
                again = predict(x, latent_dim=6, **{**settings, "kl_weight": share * row.kl_weight})
                assert again.survivors == expected
    with pytest.raises(InputError, match="7 dimensions cannot survive; give 1 to 6"):
        found.noise_std_for(7)


def test_causes_of_what_is_lost():
    generator = torch.Generator().manual_seed(0)
    strong = torch.tensor([9.0, 4.0, 1.0]).sqrt()
    x = torch.randn(2000, 3, generator=generator) * strong @ torch.eye(40)[:3]
    x = x + 0.3 * torch.randn(2000, 40, generator=generator)
    found = predict(x, noise_std=1.2, kl_weight=4.0, latent_dim=5)
    assert found.counts == {"survive": 1, "KL weight": 1, "decoder noise": 1, "no signal": 2}
    assert found.noise.directions == 3
    assert found.noise_std_that_fits == pytest.approx(0.3, rel=0.05)
    assert "1 lost to the decoder's noise, 1 lost to the KL weight, 2 with no direction left" in str(found)
    narrow = predict(x, noise_std=0.1, latent_dim=5)
    assert (narrow.survivors, narrow.encode_noise) == (5, 2)
    assert "2 of the survivors encode noise: only 3 directions stand out" in str(narrow)


def test_digits_under_pythae_s_squared_error():
    found = predict("digits", noise_std=1.0, latent_dim=10)
    assert found.survivors == 0
    assert float(found.eigenvalues[0]) == pytest.approx(0.70, abs=0.005)
    assert found.noise_std_for(10) == pytest.approx(0.3819, abs=1e-4)
    assert predict("digits", noise_std=0.38, latent_dim=10).survivors == 10
    assert predict(load("digits"), noise_std=0.384, latent_dim=10).survivors == 9
    x = load("digits").train.tensor().double() / 255
    torch.testing.assert_close(found.eigenvalues[:50], torch.linalg.eigvalsh(x.T.cov(correction=0)).flip(0)[:50])


def forms(x):
    labelled = TensorDataset(x, torch.zeros(len(x)))
    return {
        "float32": x.float(),
        "images": x.view(-1, 2, 2, 2),
        "numpy": x.numpy(),
        "float32 numpy": x.float().numpy(),
        "list of batches": list(x.split(70)),
        "loader of pairs": DataLoader(labelled, batch_size=64, shuffle=True),
    }


@pytest.mark.parametrize("form", list(forms(planted())))
def test_any_form_of_data_gives_the_same_and_chance_is_left_alone(form):
    x = planted()
    state = torch.get_rng_state()
    found = predict(forms(x)[form], noise_std=1.0)
    torch.testing.assert_close(found.eigenvalues, VARIANCES, rtol=1e-4, atol=0)
    assert found.examples == 400
    assert torch.equal(torch.get_rng_state(), state)


def test_far_from_zero_nothing_is_lost_to_rounding():
    x = (planted() + 1e5).double()
    torch.testing.assert_close(predict(x).eigenvalues, VARIANCES, rtol=1e-6, atol=0)


def test_many_features_take_the_examples_or_evenly_spaced_ones(monkeypatch):
    monkeypatch.setattr(import_module("lambda_vae.any_vae._predict"), "_COVARIANCE_FEATURES", 4)
    found = predict(planted(), noise_std=1.0)
    torch.testing.assert_close(found.eigenvalues, VARIANCES, rtol=1e-4, atol=0)
    monkeypatch.setattr("lambda_vae.diagnostics.spectrum._KEPT_NUMBERS", 8 * 300)
    some = predict(planted(), noise_std=1.0, batch_size=7)
    assert some.examples == 300
    assert "300 of 400 examples were used, evenly spaced" in str(some)
    torch.testing.assert_close(some.eigenvalues, VARIANCES, rtol=0.3, atol=0)
    with pytest.raises(InputError, match="too many to keep their covariance"):
        predict(planted().sigmoid(), likelihood="bernoulli", binarised=True)


BITS = correlated_bits(50, 1)
REFUSED = {
    "whole numbers of a byte": (torch.full((9, 4), 200, dtype=torch.uint8), {}, "give them as the network sees them"),
    "NaN": (torch.full((9, 4), math.nan), {}, "data hold NaN or infinite values"),
    "the same": (torch.ones(9, 4), {}, "all examples are the same"),
    "one example": (torch.rand(1, 4), {}, "data hold one example"),
    "nothing": ([], {}, "data gave no batch"),
    "once": (iter([BITS]), {}, "can be gone through only once"),
    "other features": ([torch.rand(4, 3), torch.rand(4, 5)], {}, "a batch has 5 features, where the first had 3"),
    "not in [0, 1]": (torch.randn(9, 4), {"likelihood": "bernoulli"}, "a Bernoulli likelihood is of values in"),
    "likelihood": (BITS, {"likelihood": "laplace"}, "the likelihood is 'laplace'"),
    "reduction": (BITS, {"reduction": "none"}, "the reduction is 'none'"),
    "noise": (BITS, {"noise_std": -1.0}, "the noise std is -1.0; it must be a number greater than 0 or learned"),
    "noise of a Bernoulli": (BITS, {"likelihood": "bernoulli", "noise_std": 1.0}, "has no noise to set"),
    "learned without a number": (BITS, {"noise_std": "learned"}, "say how many there are, latent_dim"),
    "no KL": (BITS, {"kl_weight": 0}, "the KL weight is 0; it must be a number greater than 0"),
    "latent_dim": (BITS, {"latent_dim": 0}, "latent_dim is 0"),
    "binarised": (BITS, {"binarised": True}, "binarised data have a Bernoulli likelihood"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_gets_one_sentence(name):
    data, settings, sentence = REFUSED[name]
    with pytest.raises(InputError, match=sentence.replace("[", r"\[")):
        predict(data, **settings)


def test_binary_data_under_a_squared_error_are_remarked_on():
    assert "The data are 0 and 1 throughout" in str(predict(BITS, noise_std=1.0))
    assert "0 and 1 throughout" not in str(predict(BITS, likelihood="bernoulli"))


@pytest.mark.parametrize(
    "settings",
    [
        {"noise_std": 0.5, "kl_weight": 2.0, "latent_dim": 6},
        {"noise_std": 30.0},
        {"noise_std": "learned", "latent_dim": 8},
        {"likelihood": "bernoulli"},
    ],
)
def test_the_plot_is_the_same_each_time_and_the_record_is_plain(settings, tmp_path):
    found = predict(BITS, **settings)
    assert json.loads(json.dumps(found.to_dict()))["survivors"] == found.survivors
    first, again = (found.plot(tmp_path / name).read_bytes() for name in ("a.svg", "b.svg"))
    assert first == again
    with pytest.raises(InputError, match="cannot write a figure as"):
        found.plot(tmp_path / "a.txt")
