"""What a decoder's answers on the data say of a mistake, and that they say nothing of a right one."""

import re

import pytest
import torch
from torch import distributions as td
from torch import nn

from lambda_vae.any_vae import diagnose
from lambda_vae.any_vae.validation import validated
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import bernoulli, categorical, gaussian, laplace, mixed, multinomial, poisson

DRAW = torch.Generator().manual_seed(5)
CODES = torch.randn(200, 3, generator=DRAW)


def pictures(*shape):
    """Examples and the decoder that made them."""
    weights = torch.randn(3, *shape, generator=DRAW)

    def decode(z):
        return torch.tensordot(z, weights.to(z.dtype), 1)

    return decode, decode(CODES) + 0.3 * torch.randn(200, *shape, generator=DRAW)


def said(log_likelihood, x, codes=CODES):
    """The sentence that refuses it, or its notes."""
    where = torch.arange(len(x))

    def encode(batch):
        index = where[: len(batch)]
        return codes[index], torch.full((len(batch), codes.shape[1]), -3.0)

    try:
        vae = validated(encode, log_likelihood, x[:64], "channel")
    except InputError as error:
        return str(error)
    return "NOTES " + " ".join(note for note in vae.notes if not note.startswith("Sigma"))  # of the encoder


IMAGE, IMAGES = pictures(2, 4, 5)
SQUARE, SQUARES = pictures(1, 6, 6)
SERIES, SEQUENCES = pictures(7, 3)
GREY = lambda z: IMAGE(z).sigmoid()  # noqa: E731
UNIT = (GREY(CODES) + 0.05 * torch.randn(200, 2, 4, 5, generator=DRAW)).clamp(0, 1)
SIGNED = 2 * UNIT - 1


def channels_last(z):
    return IMAGE(z).permute(0, 2, 3, 1)


def by_hand(decode):
    return lambda x, z: td.Normal(decode(z).flatten(1), 0.3).log_prob(x.flatten(1)).sum(1)


BITS = torch.bernoulli(SQUARE(CODES).mul(3).sigmoid(), generator=DRAW)
FAINT = torch.bernoulli(SQUARE(CODES).sigmoid(), generator=DRAW)
ITEMS = nn.Linear(3, 50).eval().requires_grad_(False)
CLICKS = (torch.rand(200, 50, generator=DRAW) < 0.1).float()
HOT = nn.functional.one_hot(torch.randint(0, 50, (200,), generator=DRAW), 50).float()

REFUSED = {
    "channels last": (
        gaussian(channels_last),
        IMAGES,
        r"gave \[B, 4, 5, 2\] for x of \[B, 2, 4, 5\].*permute\(0, 3, 1, 2\)",
    ),
    "channels last, flattened": (
        gaussian(lambda z: channels_last(z).flatten(1)),
        IMAGES,
        r"decode\(z\)\.reshape\(-1, 4, 5, 2\)\.permute\(0, 3, 1, 2\)",
    ),
    "channels last, x flattened": (
        gaussian(IMAGE),
        IMAGES.permute(0, 2, 3, 1).flatten(1),
        r"x\.reshape\(-1, 4, 5, 2\)\.permute\(0, 3, 1, 2\)",
    ),
    "transposed": (gaussian(lambda z: SQUARE(z).mT), SQUARES, r"\.permute\(0, 1, 3, 2\)"),
    "transposed, laplace": (laplace(lambda z: SQUARE(z).mT), SQUARES, "another order"),
    "transposed bits": (bernoulli(lambda z: 3 * SQUARE(z).mT, logits=True), BITS, "another order"),
    "time and features": (
        gaussian(lambda z: SERIES(z).mT.flatten(1)),
        SEQUENCES,
        r"reshape\(-1, 3, 7\)\.permute\(0, 2, 1\)",
    ),
    "by hand": (by_hand(channels_last), IMAGES, "log_likelihood's means .*another order"),
    "bits by hand": (
        lambda x, z: td.Bernoulli(logits=3 * SQUARE(z).mT).log_prob(x).flatten(1).sum(1),
        BITS,
        "log_likelihood's means .*another order",
    ),
    "bytes": (gaussian(GREY), (255 * UNIT).round(), r"from 0.* fit x / 255 instead"),
    "bytes for tanh": (
        gaussian(lambda z: 2 * GREY(z) - 1),
        (255 * UNIT).round(),
        r"fit x / 127\.5 - 1 instead",
    ),
    "signed x for a sigmoid": (gaussian(GREY), SIGNED, r"fit \(x \+ 1\) / 2 instead"),
    "a tanh for x in [0, 1]": (gaussian(lambda z: 2 * GREY(z) - 1), UNIT, r"fit 2 \* x - 1 instead"),
    "signed x by hand": (by_hand(GREY), SIGNED, "log_likelihood gives means .* instead"),
    "a softmax for bernoulli": (
        bernoulli(lambda z: ITEMS(z).softmax(1)),
        CLICKS,
        "sum to 1 in every row.*`multinomial` in place of `bernoulli`",
    ),
    "a softmax by hand": (
        lambda x, z: td.Bernoulli(ITEMS(z).softmax(1)).log_prob(x).sum(1),
        CLICKS,
        "log_likelihood gives probabilities that sum to 1",
    ),
    "a softmax for columns of a table": (
        mixed({"clicks": (slice(0, 50), bernoulli(lambda z: ITEMS(z).softmax(1)))}),
        CLICKS,
        "sum to 1 in every row",
    ),
    "bfloat16, whole numbers all": (
        lambda x, z: td.Normal(IMAGE(z).bfloat16(), 0.03).log_prob(x.bfloat16()).flatten(1).sum(1),
        IMAGES,
        "computed in bfloat16",
    ),
    "float16 by hand, widened afterwards": (
        lambda x, z: td.Normal(IMAGE(z).half(), 0.3).log_prob(x.half()).flatten(1).sum(1).float(),
        IMAGES,
        "computed in float16",
    ),
    "bfloat16 by hand": (
        lambda x, z: td.Normal(IMAGE(z).bfloat16(), 0.3).log_prob(x.bfloat16()).flatten(1).sum(1),
        IMAGES,
        r"computed in bfloat16.*\.float\(\)",
    ),
    "bfloat16 by hand, widened afterwards": (
        lambda x, z: td.Normal(IMAGE(z).bfloat16(), 0.3).log_prob(x.bfloat16()).flatten(1).sum(1).float(),
        IMAGES,
        r"computed in bfloat16.*\.float\(\)",
    ),
}

ANOTHER = pictures(1, 6, 6)[0]
REFUSED |= {
    "a mean of bits": (
        lambda x, z: td.Bernoulli(logits=3 * SQUARE(z)).log_prob(x).flatten(1).mean(1),
        BITS,
        r"averaged over the 36 features.*has kl_weight=36 besides",
    ),
    "a mean squared error": (
        lambda x, z: -(IMAGE(z) - x).square().flatten(1).mean(1),
        IMAGES,
        r"averaged over the 40 features.*gaussian\(decode, std=std_of_kl_weight\(1\.0, 40\)\)",
    ),
    "a mean absolute error": (
        lambda x, z: -(IMAGE(z) - x).abs().flatten(1).mean(1),
        IMAGES,
        r"averaged over the 40 features.*laplace\(decode, scale=40\)",
    ),
    "a sigmoid twice": (
        bernoulli(lambda z: (3 * SQUARE(z)).sigmoid(), logits=True),
        BITS,
        "fit x as probabilities: .*leave out logits=True or that sigmoid",
    ),
    "a sigmoid twice, by hand": (
        lambda x, z: td.Bernoulli(logits=(3 * SQUARE(z)).sigmoid()).log_prob(x).flatten(1).sum(1),
        BITS,
        "fit x as probabilities",
    ),
    "a weight": (
        lambda x, z: 2 * td.Bernoulli(logits=3 * SQUARE(z)).log_prob(x).flatten(1).sum(1),
        BITS,
        r"2 times a Bernoulli's log-probability; return it without that weight, and say kl_weight=0\.5",
    ),
}
LN2 = 0.6931472
ANOTHER = pictures(1, 6, 6)[0]
FINE = {
    "faint logits": (bernoulli(lambda z: 0.1 * SQUARE(z), logits=True), BITS),
    "logits of 0": (bernoulli(lambda z: 0 * SQUARE(z), logits=True), BITS),
    "whole numbers": (lambda x, z: -(x - 0 * SQUARE(z)).abs().flatten(1).sum(1) - 36 * LN2, BITS),
    "a decoder whose values are all the same": (
        lambda x, z: td.Categorical(logits=0 * ITEMS(z)).log_prob(x.argmax(1)) + 0 * (x * z[:, :1]).sum(1),
        HOT,
    ),
    "images": (gaussian(IMAGE), IMAGES),
    "images, flat answer": (gaussian(lambda z: IMAGE(z).flatten(1)), IMAGES),
    "flat images": (gaussian(IMAGE), IMAGES.flatten(1)),
    "squares": (gaussian(SQUARE), SQUARES),
    "bits": (bernoulli(lambda z: 3 * SQUARE(z), logits=True), BITS),
    "a decoder that knows nothing": (gaussian(lambda z: 0 * SQUARE(z)), SQUARES),
    "a symmetric picture": (gaussian(lambda z: SQUARE(z) + SQUARE(z).mT), SQUARES + SQUARES.mT),
    "signed x": (gaussian(lambda z: 2 * GREY(z) - 1), SIGNED),
    "unit x": (gaussian(GREY), UNIT),
    "bytes": (gaussian(lambda z: 255 * GREY(z), std=10.0), (255 * UNIT).round()),
    "standardised numbers and a narrow decoder": (gaussian(lambda z: 0.3 + 0.01 * IMAGE(z)), IMAGES),
    "bits by hand": (lambda x, z: td.Bernoulli(logits=3 * SQUARE(z)).log_prob(x).flatten(1).sum(1), BITS),
    "clicks": (bernoulli(lambda z: 0.1 + 0.001 * ITEMS(z)), CLICKS),
    "float64": (gaussian(lambda z: IMAGE(z).double()), IMAGES.double()),
    "bfloat16 answers": (gaussian(lambda z: IMAGE(z).bfloat16()), IMAGES),
}
LN2 = 0.6931472
OTHER = pictures(2, 4, 5)[0]
NOTED = {
    "an untrained one": (gaussian(ANOTHER), SQUARES, "not trained, or its features come in another order"),
    "the wrong codes": (gaussian(lambda z: SQUARE(z.flip(1))), SQUARES, "further from x than x's own mean"),
    "a sigmoid out of reach": (gaussian(lambda z: (3 * OTHER(z)).sigmoid()), IMAGES, "in a sigmoid"),
    "a softmax and one-hot x": (bernoulli(lambda z: ITEMS(z).softmax(1)), HOT, "`categorical` is their likelihood"),
    "clicks": (multinomial(ITEMS, logits=True, coefficient=False), CLICKS, "coefficient is left out"),
    "a squared error": (
        lambda x, z: -(IMAGE(z) - x).square().flatten(1).sum(1),
        IMAGES,
        "leaves out the constant of its Gaussian: nll_bound is 22.89 nats too low",
    ),
    "a poisson loss": (
        lambda x, z: -nn.functional.poisson_nll_loss(ITEMS(z), x, reduction="none").sum(1),
        3 * CLICKS,
        "leaves out the ln x! of its Poisson",
    ),
    "grey values": (bernoulli(SQUARE, logits=True), UNIT.flatten(1)[:, :36].view(-1, 1, 6, 6), "lie between 0 and 1"),
    "probabilities in half precision": (bernoulli(lambda z: SQUARE(z).bfloat16().sigmoid()), BITS, "near 1 become 1"),
    "transposed, and faint": (bernoulli(lambda z: SQUARE(z).mT, logits=True), FAINT, "may be what it should be"),
    "a column that no part holds": (
        mixed({"a": (slice(1, 50), poisson(lambda z: ITEMS(z)[:, 1:], log_rates=True))}),
        CLICKS,
        "No part of mixed holds column 0",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_refused(case):
    log_likelihood, x, pattern = REFUSED[case]
    text = said(log_likelihood, x)
    assert re.search(pattern, text), text


@pytest.mark.parametrize("case", FINE)
def test_right_answers_pass_without_a_word(case):
    assert said(*FINE[case]) == "NOTES "


@pytest.mark.parametrize("case", NOTED)
def test_what_is_no_mistake_but_worth_knowing_is_noted(case):
    log_likelihood, x, pattern = NOTED[case]
    text = said(log_likelihood, x)
    assert text.startswith("NOTES ")
    assert re.search(pattern, text), text


def test_a_category_column_is_measured_by_hand_and_by_helper_alike():
    numbers, classes = nn.Linear(3, 5).eval().requires_grad_(False), nn.Linear(3, 4).eval().requires_grad_(False)
    x = torch.cat((numbers(CODES), td.Categorical(logits=torch.zeros(200, 4)).sample()[:, None].float()), 1)

    def hand(x, z):
        return td.Normal(numbers(z), 0.5).log_prob(x[:, :5]).sum(1) - nn.functional.cross_entropy(
            classes(z), x[:, 5].long(), reduction="none"
        )

    helper = mixed(
        {"numbers": (slice(0, 5), gaussian(numbers, std=0.5)), "kind": (5, categorical(classes, logits=True))}
    )
    reports = [
        diagnose(lambda x: (CODES[: len(x)], torch.full((len(x), 3), -3.0)), one, x[:64], iw_samples=1)
        for one in (hand, helper)
    ]
    assert reports[0].nll_bound == pytest.approx(reports[1].nll_bound, rel=1e-6)
    assert [one.residual is not None for one in reports] == [False, True]
