"""Every mistake that would give a plausible wrong report: one sentence with the cause and the line to change."""

import re

import pytest
import torch
from planted import Planted
from torch import nn
from torch.distributions import Independent, Laplace, Normal

from lambda_vae.any_vae import diagnose
from lambda_vae.equalizing import EqualizedNormal
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import bernoulli, density, gaussian

MODEL = Planted(["healthy", "dead"], examples=80)
X = MODEL.x


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def encode(self, x):
        mu, logvar = MODEL.encode(x)
        return self.drop(mu), logvar

    def log_likelihood(self, x, z):
        return MODEL.log_likelihood(x, self.drop(z))


class Plain:
    """A wrapper that is no module around one that is."""

    def __init__(self, net):
        self.net = net

    def encode(self, x):
        return self.net.encode(x)


def mu(x):
    return MODEL.encode(x)[0]


def logvar(x):
    return MODEL.encode(x)[1]


def log_p(x, z):
    return Normal(z @ MODEL.weights.T, 0.7).log_prob(x)


def noisy(x):
    return mu(x) + torch.randn_like(mu(x)), logvar(x)


ENCODERS = {
    "one tensor": (mu, r"one tensor \[80, 2\].*return mu, logvar"),
    "a number": (lambda x: (mu(x), 0.0), "2 things .*return mu, logvar"),
    "nothing": (lambda x: None, "a NoneType.*return mu, logvar"),
    "other shapes": (lambda x: (mu(x), logvar(x)[:, :1]), r"logvar \[80, 1\] for a batch of 80"),
    "batch lost": (lambda x: (mu(x).mean(0, keepdim=True), logvar(x)[:1]), r"must be \[80, \.\.\.\]"),
    "a standard deviation": (lambda x: (mu(x), (0.5 * logvar(x)).exp()), r"as a standard deviation.*2 \* std\.log\(\)"),
    "a variance": (lambda x: (mu(x), logvar(x).exp()), r"`var\.log\(\)` if it is a variance"),
    "a sample": (noisy, "two answers for the same batch.*return mu instead of a sample"),
    "NaN": (lambda x: (mu(x) * torch.nan, logvar(x)), "mu of encode is nan in 160 of 160 places"),
    "an infinite logvar": (lambda x: (mu(x), logvar(x) - torch.inf), "logvar of encode is -inf.*log of 0"),
    "normalised over the batch": (lambda x: (mu(x) - mu(x).mean(0), logvar(x)), "others are in its batch.*batch norm"),
    "left in train mode": (Dropping().encode, r"encode uses Dropping in train mode.*model\.eval\(\)"),
    "in train mode within an object": (Plain(Dropping()).encode, r"Dropping in train mode.*net\.eval\(\)"),
    "z before mu": (lambda x: (mu(x), mu(x), logvar(x)), r"if these are \(z, mu, logvar\), .*`return mu, logvar`"),
    "another law": (lambda x: Independent(Laplace(mu(x), 1.0), 1), r"a Laplace; only Gaussian posteriors are measured"),
}

LIKELIHOODS = {
    "mean over the batch": (lambda x, z: log_p(x, z).sum(1).mean(), r"a single number for 64 examples.*\.mean\(\)"),
    "shared out over the batch": (lambda x, z: log_p(x, z).sum(1) / len(x), "others are in its batch"),
    "mean over the batch, spread": (
        lambda x, z: log_p(x, z).sum(1).mean().expand(len(x)),
        "others are in its batch|same number",
    ),
    "not summed": (log_p, r"\[64, 40\] for a batch of 64; sum over the features"),
    "mean over the features": (lambda x, z: log_p(x, z).mean(1), r"averaged over the 40 features.*sum\(1\)"),
    "mean squared error": (lambda x, z: -(z @ MODEL.weights.T - x).square().mean(1), "averaged over the 40 features"),
    "half of it": (lambda x, z: -0.5 * (z @ MODEL.weights.T - x).square().mean(1), "averaged over the 40 features"),
    "a loss": (lambda x, z: -log_p(x, z).sum(1), "as a loss does; return its negative"),
    "a loss of a decoder that knows nothing": (
        lambda x, z: -Normal(torch.zeros_like(x), 0.7).log_prob(x).sum(1),
        "as a loss does; return its negative",
    ),
    "noise of its own": (lambda x, z: log_p(x, z + torch.randn_like(z)).sum(1), "two answers for the same x and z"),
    "NaN": (lambda x, z: log_p(x, z).sum(1) * torch.nan, "log_likelihood is nan in 64 of 64 places"),
    "a number": (lambda x, z: 1.0, "returned a float"),
    "another batch": (lambda x, z: log_p(x, z).sum(1)[:3], r"\[3\] for a batch of 64; it must be \[64\]"),
    "left in train mode": (Dropping().log_likelihood, "log_likelihood uses Dropping in train mode"),
    "logits for probabilities": (bernoulli(lambda z: z @ MODEL.weights.T), "no probabilities; say logits=True"),
    "two things from the decoder": (gaussian(lambda z: (z, z)), r"decode gave a tuple; .*`lambda z: decode\(z\)\[0\]`"),
    "no law from the decoder": (density(lambda z: z), "decode gave a Tensor; `density` wants a torch distribution"),
    "bytes for a Bernoulli": (
        lambda x, z: bernoulli(lambda z: z @ MODEL.weights.T, logits=True)(255 * (x > 0), z),
        r"x lies between 0 and 255, .*`x / 255`",
    ),
    "another size": (gaussian(lambda z: z), r"decode gave \[64, 2\] for x of \[64, 40\]"),
}

DATA = {
    "a used iterator": (iter([X]), "gone through only once and may be used up"),
    "a generator": ((part for part in X.split(20)), "a generator, which can be gone through only once"),
    "nothing": ([], "gave no batch"),
    "no batches": (7, "data is a int; give a tensor, a DataLoader"),
    "dicts": ([{"one": X, "other": X}], r"a batch is a dict of 'one', 'other', .*say x_key='one'"),
    "one example": (X[:1], "the test set has 1 examples"),
}


def said(encode=MODEL.encode, log_likelihood=MODEL.log_likelihood, data=X, **options):
    with pytest.raises(InputError) as caught:
        diagnose(encode, log_likelihood, data, iw_samples=1, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("case", ENCODERS)
def test_encoder(case):
    encode, pattern = ENCODERS[case]
    text = said(encode=encode)
    assert re.search(pattern, text), text


@pytest.mark.parametrize("case", LIKELIHOODS)
def test_likelihood(case):
    log_likelihood, pattern = LIKELIHOODS[case]
    text = said(log_likelihood=log_likelihood)
    assert re.search(pattern, text), text


@pytest.mark.parametrize("case", DATA)
def test_data(case):
    data, pattern = DATA[case]
    text = said(data=data)
    assert re.search(pattern, text), text


def of_the_last(x, answer, spoiled):
    """What is answered for every batch but the one that ends the data."""
    return spoiled if torch.equal(x[-1], X[-1]) else answer


LATER = {
    "NaN in the data": ({"data": [X[:40], X[40:] * torch.nan]}, "mu of encode is nan in 80 of 80 places.*in the data"),
    "an infinite log p": (
        {"log_likelihood": lambda x, z: of_the_last(x, log_p(x, z).sum(1), torch.full((len(x),), -torch.inf))},
        "log_likelihood is -inf in .*log of 0",
    ),
    "fewer dimensions": (
        {"encode": lambda x: of_the_last(x, (mu(x), logvar(x)), (mu(x)[:, :1], logvar(x)[:, :1]))},
        r"mu \[40, 1\] for a later batch, where the first had \[B, 2\]",
    ),
}


@pytest.mark.parametrize("case", LATER)
def test_what_only_a_later_batch_shows(case):
    given, pattern = LATER[case]
    text = said(**{"data": X.split(40)} | given)
    assert re.search(pattern, text), text


def test_an_equalized_normal_must_say_its_exponent():
    def encode(x):
        return Independent(EqualizedNormal(mu(x), (0.5 * logvar(x)).exp(), 3.0), 1)

    assert "say exponent=equalizer.exponent" in said(encode=encode)
    assert diagnose(encode, MODEL.log_likelihood, X, iw_samples=1, exponent=torch.full((2,), 3.0)).excess_kl > 0
    diagnose(lambda x: EqualizedNormal(mu(x), (0.5 * logvar(x)).exp()), MODEL.log_likelihood, X, iw_samples=1)


def test_a_mean_over_a_batch_whose_halves_are_alike():
    twice = torch.cat((X[:20], X[:20]))
    text = said(log_likelihood=lambda x, z: log_p(x, z).sum(1).mean().expand(len(x)), data=twice)
    assert "gives the same number" in text


def test_other_arguments():
    with pytest.raises(InputError, match=r"takes diagnose\(encode, log_likelihood, data\)"):
        diagnose(X, X, X)
    with pytest.raises(InputError, match="std is 0"):
        gaussian(mu, std=0)
    assert "exponent has shape [3]; the latents have 2" in said(exponent=torch.ones(3))
    assert "exponent has shape [3]; the latents have 2" in said(exponent=[1.0, 1.0, 1.0])
    assert "exponent lies between 0.5 and 2; lambda is finite and at least 1" in said(exponent=[0.5, 2.0])
    assert "dim is 2" in said(dim=2)
    assert "dim is 'pixel'" in said(dim="pixel")
    assert "batch_size is 0" in said(batch_size=0)


def test_averaged_bernoulli_is_told_from_a_summed_one():
    decode = nn.Linear(2, 40).eval()
    summed = bernoulli(decode, logits=True)
    x = (X > 0).float()
    assert "averaged over the 40 features" in said(log_likelihood=lambda x, z: summed(x, z) / 40, data=x)
    diagnose(MODEL.encode, summed, x, iw_samples=1)
    diagnose(MODEL.encode, summed, x * 0.3, iw_samples=1)  # grey values: a cross-entropy, but summed


@pytest.mark.parametrize("std", [0.05, 0.7, 1.0, 5.0])
def test_summed_gaussians_of_any_noise_pass(std):
    report = diagnose(MODEL.encode, gaussian(lambda z: z @ MODEL.weights.T, std=std), X, iw_samples=1)
    assert report.residual is not None
    for constant in (0.5, 1.0):  # without constants, as losses often are
        diagnose(MODEL.encode, lambda x, z, c=constant: -c * (z @ MODEL.weights.T - x).square().sum(1), X, iw_samples=1)


def test_a_model_that_prefers_the_codes_of_others_is_no_mistake():
    """An untrained one may do so; that its value is a log density is known better."""
    assert diagnose(MODEL.encode, gaussian(lambda z: -z @ MODEL.weights.T), X, iw_samples=1).nll_bound > 0


def test_a_collapsed_model_is_no_mistake():
    # logvar within rounding of 0, some of it above
    def encode(x):
        return torch.zeros(len(x), 1), torch.full((len(x), 1), 1e-3)

    assert diagnose(encode, density(lambda z: Independent(Normal(z @ torch.zeros(1, 40), 1.0), 1)), X).verdicts == [
        "collapsed"
    ]


@pytest.mark.parametrize(
    ("given", "options", "complaint"),
    [
        ((MODEL.encode, log_p), {}, r"^diagnose\(\) missing a required argument: 'data'; it takes"),
        ((MODEL.encode, log_p, X, X), {}, r"^diagnose\(\) too many positional arguments; it takes"),
        ((MODEL.encode, log_p, X), {"samples": 3}, r"^diagnose\(\) got an unexpected keyword argument 'samples'"),
    ],
)
def test_wrong_arguments_are_told_by_the_name_that_was_called(given, options, complaint):
    with pytest.raises(TypeError, match=complaint):
        diagnose(*given, **options)


def test_x_in_a_shape_that_encode_does_not_take_is_told_the_call_that_works():
    rows, images = nn.Linear(16, 4), nn.Conv2d(1, 4, 4)
    x = torch.randn(30, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    of_rows = said(encode=lambda x: rows(x).chunk(2, 1), data=x)
    assert "fails for x of shape [30, 1, 4, 4]" in of_rows
    assert "`lambda x: encode(x.flatten(1))`" in of_rows
    of_images = said(encode=lambda x: images(x).flatten(1).chunk(2, 1), data=x.flatten(1))
    assert "`lambda x: encode(x.view(-1, 1, 4, 4))`" in of_images
    with pytest.raises(ZeroDivisionError):
        diagnose(lambda x: 1 / 0, None, x)
