import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_vae.data import (
    BINARISATIONS,
    binarise,
    binarise_fixed,
    view_test,
    view_train,
)
from lambda_vae.data._binarise import _compare
from lambda_vae.errors import InputError

GREYS = torch.arange(256, dtype=torch.uint8)


def test_threshold_of_every_grey_value_is_exact():
    words = torch.arange(-32768, 32768).to(torch.int16).view(torch.int64)
    counts = [int(_compare(torch.full((1, 65536), grey, dtype=torch.uint8), words).sum()) for grey in range(256)]
    assert counts == [round(65536 * grey / 255) for grey in range(256)]


@pytest.mark.parametrize("route", ["fresh", "fixed"])
def test_frequency_of_ones_is_the_grey_value(route):
    rows = 8000
    x = GREYS.repeat(rows, 1)
    generator = torch.Generator().manual_seed(0)
    drawn = binarise(x, generator) if route == "fresh" else binarise_fixed(x, torch.arange(rows))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    p = torch.arange(256, dtype=torch.float64) / 255
    z = (drawn.double().mean(0) - p)[1:255] / (p * (1 - p) / rows).sqrt()[1:255]
    # 254 standard normals: their largest is below 4.5 with probability 0.998; the seed is fixed.
    assert z.abs().max() < 4.5
    assert (drawn[:, 0].max(), drawn[:, 255].min()) == (0.0, 1.0)


@pytest.mark.parametrize("route", ["fresh", "fixed"])
def test_pixels_are_drawn_independently(route):
    x = torch.full((4000, 31), 128, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(0)
    drawn = binarise(x, generator) if route == "fresh" else binarise_fixed(x, torch.arange(4000))
    correlation = torch.corrcoef(drawn.T) - torch.eye(31)
    lagged = torch.corrcoef(torch.stack([drawn[1:].flatten(), drawn[:-1].flatten()]))[0, 1]
    # 465 pairs of standard error 4000^-1/2 = 0.016, and one of 0.003.
    assert correlation.abs().max() < 0.075
    assert lagged.abs() < 0.015


def test_fresh_draw_follows_its_generator_and_differs_between_views():
    x = torch.full((3, 5), 128, dtype=torch.uint8).repeat(1, 20)
    a, b = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    first = binarise(x, a)
    assert torch.equal(first, binarise(x, b))
    assert not torch.equal(first, binarise(x, a))


@settings(deadline=None, derandomize=True, max_examples=30)
@given(n=st.integers(1, 40), features=st.integers(1, 19), batch=st.integers(1, 40), seed=st.integers(0, 2**40))
def test_fixed_draw_does_not_depend_on_the_batch(n, features, batch, seed):
    x = torch.from_numpy(np.random.RandomState(n).randint(0, 256, (n, features)).astype(np.uint8))
    index = torch.arange(n)
    whole = binarise_fixed(x, index, seed)
    parts = [binarise_fixed(x[i : i + batch], index[i : i + batch], seed) for i in range(0, n, batch)]
    assert torch.equal(whole, torch.cat(parts))
    backwards = binarise_fixed(x.flip(0), index.flip(0), seed)
    assert torch.equal(whole, backwards.flip(0))


def test_fixed_draws_differ_between_seeds_and_between_parts():
    x = torch.full((50, 100), 128, dtype=torch.uint8)
    index = torch.arange(50)
    draws = [binarise_fixed(x, index, seed) for seed in range(10, 13)]
    draws += [view_train(x, index, "fixed"), view_test(x, index, "fixed")]
    for i, one in enumerate(draws):
        for other in draws[i + 1 :]:
            assert 0.45 < (one == other).float().mean() < 0.55


def splitmix64(state):
    """Steele, Lea and Flood's output function, on Python's own integers."""
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    return state ^ (state >> 31)


@pytest.mark.parametrize(("index", "seed"), [(0, 0), (7, 1), (59999, 2**33)])
def test_fixed_draw_is_splitmix64_of_seed_index_and_pixel(index, seed):
    golden = 0x9E3779B97F4A7C15
    row = splitmix64((index * golden + (seed + 1) * 0xD1342543DE82EF95) % 2**64)
    words = [splitmix64((row + column * golden) % 2**64).to_bytes(8, "little") for column in range(1, 9)]
    bits = [int.from_bytes(word[i : i + 2], "little", signed=True) for word in words for i in (0, 2, 4, 6)]
    x = torch.arange(0, 256, 8, dtype=torch.uint8)[None]
    expected = [float(bit + 32768 < round(65536 * grey / 255)) for bit, grey in zip(bits, x[0].tolist(), strict=True)]
    assert binarise_fixed(x, torch.tensor([index]), seed)[0].tolist() == expected


def test_test_view_is_one_draw_under_stochastic_and_fixed():
    x = torch.randint(0, 256, (20, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    index = torch.arange(20)
    assert torch.equal(view_test(x, index, "stochastic"), view_test(x, index, "stochastic"))
    assert torch.equal(view_test(x, index, "stochastic"), view_test(x, index, "fixed"))


def test_a_test_view_is_cut_from_one_whole():
    x = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (9, 7)).astype(np.uint8))
    whole = view_test(x, torch.arange(9), "stochastic")
    parts = [view_test(x[i : i + 2], torch.arange(9)[i : i + 2], "stochastic") for i in range(0, 9, 2)]
    assert whole.shape == (9, 7)
    assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize("view", [view_train, view_test])
def test_view_without_binarisation_is_the_grey_value(view):
    assert torch.equal(view(GREYS[None], torch.tensor([0]), "none"), torch.arange(256.0)[None] / 255)


@pytest.mark.parametrize("view", [view_train, view_test])
def test_vectors_pass_unchanged_and_are_never_binarised(view):
    x = torch.tensor([[-1.5, 3.0]])
    assert torch.equal(view(x, torch.tensor([0]), "none"), x)
    with pytest.raises(InputError, match=r"'fixed' needs uint8 images.*use 'none'"):
        view(x, torch.tensor([0]), "fixed")


@pytest.mark.parametrize("view", [view_train, view_test])
def test_unknown_binarisation_is_refused(view):
    with pytest.raises(InputError, match="'static'; it must be one of " + ", ".join(BINARISATIONS)):
        view(GREYS[None], torch.tensor([0]), "static")
