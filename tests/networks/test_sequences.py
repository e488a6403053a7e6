"""Sequences: the likelihood against slow loops in float64, padding that changes nothing, and cached sampling."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from lambda_vae.distributions import TokenLikelihood, Tokens
from lambda_vae.errors import InputError
from lambda_vae.networks import RecurrentSizes
from lambda_vae.runs import GRU, LSTM, Transformer
from lambda_vae.text import END, PADDING, UNKNOWN
from lambda_vae.text.sequences import sequence_lengths

V, LONGEST, D = 9, 12, 3
SMALL = {"embedding": 5, "width": 6}
NETWORKS = {
    **{f"gru {way}": GRU(**SMALL, z_into=way) for way in ("state", "inputs", "both")},  # type: ignore[arg-type]
    **{f"lstm {way}": LSTM(**SMALL, z_into=way) for way in ("state", "inputs", "both")},  # type: ignore[arg-type]
    **{f"transformer {way}": Transformer(8, heads=2, z_into=way) for way in ("inputs", "attention")},  # type: ignore[arg-type]
    "gru of two layers": GRU(**SMALL, layers=2, both_directions=True),  # type: ignore[arg-type]
    "lstm of two layers": LSTM(**SMALL, layers=2, both_directions=True),  # type: ignore[arg-type]
}


def sequences(count: int = 14, seed: int = 0) -> Tensor:
    """Tokens of every length from 1 to the longest, each with its end."""
    chance = torch.Generator().manual_seed(seed)
    x = torch.randint(2, V, (count, LONGEST), generator=chance)
    lengths = torch.arange(count) % LONGEST + 1
    places = torch.arange(LONGEST)
    return x.masked_fill(places == lengths[:, None] - 1, END).masked_fill(places >= lengths[:, None], PADDING)


def decoder(name: str, seed: int = 0) -> tuple[nn.Module, TokenLikelihood]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        context, likelihood = NETWORKS[name].decoder((LONGEST, V), D, "categorical")
    assert isinstance(likelihood, TokenLikelihood)
    for weight in likelihood.parameters():
        weight.data.mul_(1.5 if name.startswith("transformer") else 3.0)  # so that a wrong token is a wrong number
    return context, likelihood


def codes(*shape: int) -> Tensor:
    return torch.randn(*shape, D, generator=torch.Generator().manual_seed(1))


def cell(layer: nn.RNNBase, number: int, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One layer's step on one example, from the formulas that torch documents."""
    w_x, w_h, b_x, b_h = (
        getattr(layer, f"{kind}_l{number}").double() for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    given, kept = w_x @ x + b_x, w_h @ h + b_h
    if isinstance(layer, nn.GRU):
        (r_x, u_x, n_x), (r_h, u_h, n_h) = given.chunk(3), kept.chunk(3)
        r, u = torch.sigmoid(r_x + r_h), torch.sigmoid(u_x + u_h)
        return (1 - u) * torch.tanh(n_x + r * n_h) + u * h, c
    i, f, g, o = (given + kept).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@torch.no_grad()
def slow_log_prob(name: str, context: nn.Module, likelihood: TokenLikelihood, x: list[int], z: Tensor) -> float:
    """ln p(x|z) of one sequence without padding, token by token, in float64."""
    network, settings = likelihood.network, NETWORKS[name]
    layer = network.recurrent.layers
    count, width = layer.num_layers, layer.hidden_size
    if settings.z_into == "inputs":
        first = torch.zeros(count, width, dtype=torch.float64)
    else:
        linear = context.state
        first = (linear.weight.double() @ z.double() + linear.bias.double()).view(count, width)
    h, c, total = list(torch.tanh(first)), list(first), 0.0
    for before, token in zip([network.start, *x[:-1]], x, strict=True):
        step = network.embedding.weight[before].double()
        if settings.z_into != "state":
            step = torch.cat((step, z.double()))
        for number in range(count):
            h[number], c[number] = cell(layer, number, step, h[number], c[number])
            step = h[number]
        scores = network.head.weight.double() @ step + network.head.bias.double()
        total += float(scores[token - 1] - scores.logsumexp(0))
    return total


def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    scaled = (x - x.mean()) / (x.var(unbiased=False) + layer.eps).sqrt()
    return scaled * layer.weight.double() + layer.bias.double()


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return layer.weight.double() @ x + layer.bias.double()


def attended(attention: nn.Module, x: Tensor, sources: list[Tensor]) -> Tensor:
    """softmax(q k / sqrt(d)) v of one place, a head at a time."""
    size = len(x) // attention.heads
    query, told = linear(attention.query, x), []
    pairs = [linear(attention.key_value, source).chunk(2) for source in sources]
    for head in range(attention.heads):
        part = slice(head * size, (head + 1) * size)
        weights = torch.stack([query[part] @ key[part] / size**0.5 for key, _ in pairs]).softmax(0)
        told.append(sum(weight * value[part] for weight, (_, value) in zip(weights, pairs, strict=True)))
    return linear(attention.out, torch.cat(told))


@torch.no_grad()
def slow_transformer(context: nn.Module, likelihood: TokenLikelihood, x: list[int], z: Tensor) -> float:
    """The same of a transformer, place by place."""
    network, c, total = likelihood.network, linear(context.linear, z.double()), 0.0
    width = network.head.in_features
    seen: list[list[Tensor]] = [[] for _ in network.blocks]
    for place, (before, token) in enumerate(zip([network.start, *x[:-1]], x, strict=True)):
        angle = [place / 10_000 ** (2 * i / width) for i in range(width // 2)]
        position = torch.tensor([*map(math.sin, angle), *map(math.cos, angle)], dtype=torch.float64)
        h = network.embedded.embedding.weight[before].double() * width**0.5 + position
        h = h if network.attends else h + c
        for block, past in zip(network.blocks, seen, strict=True):
            past.append(norm(block.before, h))
            h = h + attended(block.attention, past[-1], past)
            if network.attends:
                h = h + attended(block.across, norm(block.before_across, h), list(c.view(-1, width)))
            first, wide, _, narrow = block.deep
            h = h + linear(narrow, torch.nn.functional.gelu(linear(wide, norm(first, h))))
        scores = linear(network.head, norm(network.norm, h))
        total += float(scores[token - 1] - scores.logsumexp(0))
    return total


@pytest.fixture(params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@torch.no_grad()
def test_log_prob_is_that_of_a_slow_loop_at_every_length(name: str) -> None:
    (context, likelihood), x, z = decoder(name), sequences(), codes(2, 14)
    found = likelihood(context(z.view(-1, D)).view(2, 14, -1)).log_prob(x)
    for k in range(2):
        for row in range(len(x)):
            alone = x[row, : int(sequence_lengths(x[row]))].tolist()
            if name.startswith("transformer"):
                slow = slow_transformer(context, likelihood, alone, z[k, row])
            else:
                slow = slow_log_prob(name, context, likelihood, alone, z[k, row])
            assert float(found[k, row]) == pytest.approx(slow, abs=1e-4)


@torch.no_grad()
def test_padding_and_company_change_nothing(name: str) -> None:
    (context, likelihood), x, z = decoder(name), sequences(), codes(14)
    encoder, _ = NETWORKS[name].encoder((LONGEST, V), D)
    together, h = likelihood(context(z)).log_prob(x), encoder(x)
    wide = torch.cat((x, x.new_zeros(len(x), 7)), 1)
    torch.testing.assert_close(likelihood(context(z)).log_prob(wide), together, rtol=0, atol=1e-5)
    torch.testing.assert_close(encoder(wide), h, rtol=0, atol=1e-5)
    for row in range(len(x)):
        alone = x[row : row + 1, : int(sequence_lengths(x[row]))]
        torch.testing.assert_close(likelihood(context(z[row : row + 1])).log_prob(alone)[0], together[row])
        torch.testing.assert_close(encoder(alone)[0], h[row])


@torch.no_grad()
def test_the_probabilities_of_all_short_sequences_and_what_is_longer_add_up_to_one(name: str) -> None:
    (context, likelihood), z = decoder(name), codes(1)
    rows = [[END]] + [[a, END] for a in range(UNKNOWN, V)]
    rows += [[a, b, c] for a in range(UNKNOWN, V) for b in range(UNKNOWN, V) for c in range(1, V)]
    x = torch.zeros(len(rows), 3, dtype=torch.long)
    for place, row in enumerate(rows):
        x[place, : len(row)] = torch.tensor(row)
    total = likelihood(context(z).expand(len(x), -1)).log_prob(x).double().exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-5)


@torch.no_grad()
def test_cached_decoding_is_the_naive_one(name: str) -> None:
    (context, likelihood), z = decoder(name), codes(20)
    p_x = likelihood(context(z))
    made = p_x.greedy()
    assert (sequence_lengths(made) >= 1).all()
    network = likelihood.network
    for t in range(made.shape[1]):
        start = made.new_full((len(made), 1), network.start)
        hidden = network(torch.cat((start, made[:, :t]), 1), p_x.context)[:, t]
        going = made[:, t] != PADDING
        assert torch.equal((network.head(hidden).argmax(-1) + 1)[going], made[going, t])
    state = network.begin(p_x.context)
    tokens = torch.cat((made.new_full((len(made), 1), network.start), made), 1).clamp(min=1)
    whole = network(tokens, p_x.context)
    for t in range(tokens.shape[1]):
        hidden, state = network.advance(tokens[:, t], state)
        torch.testing.assert_close(hidden, whole[:, t], rtol=0, atol=1e-5)


@torch.no_grad()
def test_draws_end_or_are_cut_and_occur_as_often_as_their_probability_says() -> None:
    (context, likelihood), z = decoder("gru both"), codes(1)
    p_x = likelihood(context(z).expand(20_000, -1))
    drawn = p_x.sample(torch.Generator().manual_seed(3), longest=4)
    assert drawn.shape == (20_000, 4)
    after = torch.cumsum(drawn == END, 1)[:, :-1] > 0
    assert torch.equal(drawn[:, 1:] == PADDING, after)
    for x in (torch.tensor([END, 0, 0, 0]), torch.tensor([5, END, 0, 0]), drawn.mode(0).values):
        p = float(likelihood(context(z)).log_prob(x[None]).exp())
        share = float((drawn == x).all(1).double().mean())
        assert share == pytest.approx(p, abs=4 * (p * (1 - p) / 20_000) ** 0.5 + 1e-4)
    assert torch.equal(p_x.sample(torch.Generator().manual_seed(3), longest=4), drawn)
    cold = replace(p_x, context=p_x.context[:5]).sample(torch.Generator().manual_seed(3), temperature=1e-4)
    assert torch.equal(cold, replace(p_x, context=p_x.context[:5]).greedy())
    with pytest.raises(InputError, match="longest is 0; a sequence has at least one token, its end"):
        p_x.greedy(longest=0)
    with pytest.raises(InputError, match="temperature is 0"):
        p_x.sample(temperature=0)


@torch.no_grad()
def test_word_dropout_hides_tokens_from_the_network_and_scores_them_all_the_same(name: str) -> None:
    (context, likelihood), x, z = decoder(name), sequences(), codes(14)
    p_x = likelihood(context(z))
    none, every = torch.zeros_like(x, dtype=torch.bool), torch.ones_like(x, dtype=torch.bool)
    assert torch.equal(p_x.without(none).log_prob(x), p_x.log_prob(x))
    unseen = x.masked_fill(x != END, UNKNOWN).masked_fill(x == PADDING, PADDING)
    network = likelihood.network
    read = torch.cat((x.new_full((len(x), 1), network.start), unseen[:, :-1]), 1)
    scores = torch.log_softmax(network.head(network(read, p_x.context)), -1)
    picked = scores.gather(-1, (x - 1).clamp(min=0)[..., None])[..., 0]
    expected = torch.where(x != PADDING, picked, 0.0)
    torch.testing.assert_close(p_x.without(every).by_token(x), expected, rtol=0, atol=1e-5)
    with pytest.raises(InputError, match=r"word_dropout is 1\.5"):
        replace(GRU(), word_dropout=1.5).decoder((LONGEST, V), D, "categorical")


def test_in_bfloat16_the_scores_become_probabilities_in_float32(name: str) -> None:
    (context, likelihood), x, z = decoder(name), sequences(), codes(14).requires_grad_()
    exact = likelihood(context(z)).log_prob(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = likelihood(context(z)).log_prob(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.05, atol=1.0)
    (gradient,) = torch.autograd.grad(found.sum(), z)
    assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RecurrentSizes(V, width=0), "width is 0; it must be at least 1"),
        (lambda: RecurrentSizes(2), "vocabulary is 2; it must be at least 3"),
        (lambda: replace(GRU(), z_into="attention").decoder((LONGEST, V), D, ""), "a gru takes z into its first"),
        (lambda: Transformer(z_into="state").decoder((LONGEST, V), D, ""), "a transformer takes z into its inputs"),
        (lambda: Transformer(10).encoder((LONGEST, V), D), "width is 10; it must be a multiple of twice the heads, 8"),
        (lambda: GRU().encoder((LONGEST, V), 0), "latent_dim is 0"),
    ],
)
def test_what_makes_no_network_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_tokens_keep_their_gradient_while_nothing_trains(name: str) -> None:
    """A diagnosis asks for d log p(x|z)/dz in evaluation mode, which cuDNN's layers refuse to give there."""
    (context, likelihood), x = decoder(name), sequences()
    likelihood.eval()
    recurrent = [part for part in likelihood.modules() if isinstance(part, nn.RNNBase)]
    assert bool(recurrent) != name.startswith("transformer")
    assert all(part.training for part in recurrent)
    z = codes(14).requires_grad_()
    p_x = likelihood(context(z))
    assert isinstance(p_x, Tokens)
    (gradient,) = torch.autograd.grad(p_x.log_prob(x).sum(), z)
    assert gradient.count_nonzero() == gradient.numel()
