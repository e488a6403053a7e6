"""A host that is interrupted, threaded, counts its draws or keeps generators of its own: nothing of it is disturbed."""

import copy
import random
import threading
from collections import Counter, OrderedDict, deque
from contextlib import nullcontext
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from lambda_vae.equalizing import equalize
from lambda_vae.equalizing._equalize import HostEqualizer

D, X = 3, 5


class Host(nn.Module):
    """A VAE that draws in a method."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(X, 2 * D), nn.Linear(D, X)

    def draw(self, mu: Tensor, logvar: Tensor) -> Tensor:
        return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.decoder(self.draw(*self.encoder(x).chunk(2, -1)))
        return z


class InForward(Host):
    """A VAE that draws with torch.distributions in its forward."""

    after: Any = staticmethod(lambda: None)

    def forward(self, x: Tensor) -> Tensor:
        mu, logvar = self.encoder(x).chunk(2, -1)
        z: Tensor = self.decoder(Normal(mu, torch.exp(0.5 * logvar)).rsample())
        self.after()
        return z


def _narrowing(model: nn.Module, **where: Any) -> HostEqualizer:
    equalizer = equalize(model, D, 1.1, **where)
    model(torch.rand(8, X))
    equalizer.exponent = torch.full((D,), 3.0)
    assert equalizer.narrows
    return equalizer


def _foreign_std() -> float:
    """Of draws of the same width that are none of the host's; 0.5 is right, and 0.125 is narrowed."""
    return float(Normal(torch.zeros(4000, D), torch.full((4000, D), 0.5)).rsample().std())


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_forward_that_ends_in_the_middle_narrows_nobody_elses_draws(error: type[BaseException]) -> None:
    model = InForward()
    equalizer = _narrowing(model)
    model.after = mock.Mock(side_effect=error)
    with pytest.raises(error):
        model(torch.rand(8, X))
    assert _foreign_std() == pytest.approx(0.5, rel=0.05)
    equalizer.remove()


def test_another_thread_draws_its_own_while_a_host_is_in_its_forward() -> None:
    model, inside, leave = InForward(), threading.Event(), threading.Event()
    equalizer = _narrowing(model)

    def wait() -> None:
        inside.set()
        assert leave.wait(20)

    model.after = wait
    thread = threading.Thread(target=model, args=(torch.rand(8, X),))
    thread.start()
    assert inside.wait(20)
    foreign = _foreign_std()
    leave.set()
    thread.join()
    assert foreign == pytest.approx(0.5, rel=0.05)
    equalizer.remove()


def test_a_host_is_narrowed_while_another_thread_measures() -> None:
    inside, leave = threading.Event(), threading.Event()

    class Slow(Host):
        held = False

        def draw(self, mu: Tensor, logvar: Tensor) -> Tensor:
            if self.held and not inside.is_set():
                inside.set()
                assert leave.wait(20)
            return super().draw(mu, logvar)

    measured, host = Slow(), Host()
    equalize(measured, D, 1.1, method="draw")
    equalizer = _narrowing(host, method="draw")
    measured.held, before = True, int(equalizer._seen[3][0])
    thread = threading.Thread(target=measured, args=(torch.rand(8, X),))
    thread.start()
    assert inside.wait(20)
    host(torch.rand(8, X))
    leave.set()
    thread.join()
    assert int(equalizer._seen[3][0]) == before + 8


class Meter:
    """Counts, as the field's meters do."""

    def __init__(self) -> None:
        self.count, self.values = 0, [0.0]


class Counting(Host):
    """Counts its draws in every way there is."""

    def __init__(self) -> None:
        super().__init__()
        self.steps, self.last, self.kinds = [0], deque([1, 2], maxlen=2), Counter("a")
        self.nested: dict[str, list[int]] = {"a": [0]}
        self.ordered, self.names, self.meter = OrderedDict(a=1, b=2), {"a"}, Meter()
        self.total, self.number = torch.zeros(1), 0
        self.numpy, self.python = np.random.default_rng(0), random.Random(0)

    def draw(self, mu: Tensor, logvar: Tensor) -> Tensor:
        self.steps.append(len(self.steps))
        self.last.append(len(self.steps))
        self.kinds["a"] += 1
        self.nested["a"].append(len(self.steps))
        self.ordered.move_to_end("a")
        self.ordered[f"c{len(self.steps)}"] = 1
        self.names.add(f"{len(self.steps)}")
        self.meter.count += 1
        self.meter.values.append(self.numpy.random())
        self.meter.values.append(self.python.random())
        self.total += 1
        self.number += 1
        return super().draw(mu, logvar)

    def seen(self) -> tuple[object, ...]:
        return (
            self.steps, list(self.last), dict(self.kinds), self.nested, list(self.ordered), self.names,
            self.meter.count, self.meter.values, self.total.tolist(), self.number,
        )  # fmt: skip


def test_what_a_host_counts_in_its_draw_is_counted_once() -> None:
    plain, equalized = Counting(), Counting()
    equalize(equalized, D, 1.1, method="draw")
    for _ in range(3):
        plain(torch.rand(8, X))
        equalized(torch.rand(8, X))
    assert equalized.seen() == plain.seen()


def test_the_seed_that_cuda_begins_with_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    class Encoder(nn.Linear):
        def forward(self, x: Tensor) -> Normal:  # type: ignore[override]
            mu, logvar = super().forward(x).chunk(2, -1)
            return Normal(mu, logvar.exp())

    model = nn.Module()
    model.encoder = Encoder(X, 2 * D)
    equalize(model, D, 1.1, at="encoder")
    seeded = mock.Mock()
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    model.encoder(torch.rand(8, X)).rsample()
    assert not seeded.called


class Between(nn.Module):
    """Draws between its two parts."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(X, 2 * D), nn.Linear(D, X)

    def forward(self, x: Tensor) -> Tensor:
        mu, logvar = self.encoder(x).chunk(2, -1)
        z: Tensor = self.decoder(mu + torch.randn_like(mu) * torch.exp(0.5 * logvar))
        return z


def test_z_between_two_parts_is_read_past_batches_that_tell_nothing() -> None:
    model = Between()
    equalizer = equalize(model, D, 1.1, into="decoder", posterior="encoder")
    broken = torch.rand(8, X)
    broken[0] = torch.nan
    for x in (torch.rand(0, X), broken, torch.rand(3000, X), broken, torch.rand(3000, X)):
        model(x)
    assert equalizer.sites[0].settled


class Unsure(Between):
    """Of a sigma near 1, which std and ln sigma^2 tell alike, and a few numbers of which no reading is sure yet."""

    def forward(self, x: Tensor) -> Tensor:
        _, mu, std = self.encoder(x)
        z: Tensor = self.decoder(mu + torch.randn_like(mu) * std)
        return z

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Near()


class Near(nn.Module):
    """x -> (ln sigma^2, mu, sigma)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logvar = 0.04 * (x[:, :D] - 0.5)
        return logvar, 3.0 * x[:, :D], torch.exp(0.5 * logvar)


@pytest.mark.parametrize("takes", [None, "std"])
def test_z_between_two_parts_is_read_at_once_by_who_says_what_sigma_is(takes: str | None) -> None:
    model = Unsure()
    equalizer = equalize(model, D, 1.1, into="decoder", posterior="encoder", takes=takes, steps_per_epoch=1)
    for _ in range(3):
        model(torch.rand(100, X))
    equalizer.exponent.fill_(5.0)
    model.encoder.register_forward_hook(lambda part, x, out: told.append(out))
    model.decoder.register_forward_pre_hook(lambda part, z: given.append(z[0]))
    told: list[tuple[Tensor, ...]] = []
    given: list[Tensor] = []
    torch.manual_seed(0)
    x = torch.rand(100, X)
    chance = torch.get_rng_state()
    model(x)
    torch.set_rng_state(chance)
    _, mu, std = told[0]
    wide = mu + torch.randn_like(mu) * std
    assert torch.equal(given[0], wide) == (takes is None)
    with nullcontext() if takes else pytest.warns(UserWarning, match=r"100 draws .* were left .* say which.*takes="):
        for _ in range(100):
            model(x)
    assert [("left as they were" in note) for note in equalizer.notes()] == ([] if takes else [True])


def test_a_host_whose_encoder_ran_alone_can_be_copied() -> None:
    model = Between()
    equalize(model, D, 1.1, into="decoder", posterior="encoder")
    model(torch.rand(3000, X))
    model.encoder(torch.rand(8, X))
    twin = copy.deepcopy(model)
    twin(torch.rand(3000, X))
    assert int(twin.equalizer._seen[3][0]) == 6000
    assert int(model.equalizer._seen[3][0]) == 3000


@pytest.mark.parametrize("broken", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("at_first", [True, False])
def test_a_batch_that_is_empty_or_not_finite_stops_no_training(broken: float | None, at_first: bool) -> None:
    model, x = Host(), torch.rand(8, X)
    equalizer = equalize(model, D, 1.1, method="draw")
    odd = x[:0] if broken is None else x.clone()
    if broken is not None:
        odd[0, 0] = broken
    for batch in [odd] * 5 if at_first else [x, *[odd] * 5]:
        model(batch)
    for _ in range(2):
        model(x)
        equalizer.end_epoch()
    assert equalizer.sites[0].settled
    assert equalizer.sites[0].draws
    assert equalizer.exponent.isfinite().all()


def test_a_host_on_the_meta_device_is_measured_when_it_has_values() -> None:
    model = Host().to("meta")
    equalizer = equalize(model, D, 1.1, method="draw")
    assert model(torch.rand(8, X, device="meta")).shape == (8, X)
    model.to_empty(device="cpu")
    for one in model.parameters():
        nn.init.normal_(one)
    model(torch.rand(8, X))
    assert equalizer.sites[0].settled
    assert int(equalizer._seen[3][0]) == 8


class LazyEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LazyLinear(2 * D)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.layer(x).chunk(2, -1)
        return mu, logvar, mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)


def test_lazy_layers_are_made_by_the_hosts_own_first_step() -> None:
    hosts = nn.Sequential(LazyEncoder()), nn.Sequential(LazyEncoder())
    equalizer = equalize(hosts[1], D, 1.1, at="0", attach=False)
    for seed in (0, 1):
        outs = []
        for host in hosts:
            torch.manual_seed(seed)
            outs.append(host(torch.rand(8, X)))
        assert all(map(torch.equal, *outs))
    assert equalizer.sites[0].settled


class Keeps(Host):
    """Goes on with the z that it has put into an attribute."""

    def draw(self, mu: Tensor, logvar: Tensor) -> Tensor:
        self.z = super().draw(mu, logvar)
        return self.z

    def forward(self, x: Tensor) -> Tensor:
        self.draw(*self.encoder(x).chunk(2, -1))
        return self.decoder(self.z)  # type: ignore[no-any-return]


def test_z_in_an_attribute_of_the_host_is_the_narrowed_one() -> None:
    model = Keeps()
    _narrowing(model, method="draw")
    mu, logvar = torch.zeros(4000, D), torch.full((4000, D), 2 * float(np.log(0.5)))
    z = model.draw(mu, logvar)
    assert model.z is z
    assert float(z.std()) == pytest.approx(0.125, rel=0.05)


def test_a_distribution_is_drawn_from_narrow_while_another_thread_draws() -> None:
    inside, leave = threading.Event(), threading.Event()

    class Slow(Normal):
        held = False

        def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - as torch has it
            if Slow.held and not inside.is_set():
                inside.set()
                assert leave.wait(20)
            return super().rsample(sample_shape)

    class Encoder(nn.Linear):
        def forward(self, x: Tensor) -> Normal:  # type: ignore[override]
            mu, logvar = super().forward(x).chunk(2, -1)
            return Slow(mu, logvar.exp())

    models = nn.Module(), nn.Module()
    for model in models:
        model.encoder = Encoder(X, 2 * D)
    equalizers = [equalize(model, D, 1.1, at="encoder") for model in models]
    for model in models:
        model.encoder(torch.rand(8, X)).rsample()
    Slow.held = True
    thread = threading.Thread(target=models[0].encoder(torch.rand(8, X)).rsample)
    thread.start()
    assert inside.wait(20)
    models[1].encoder(torch.rand(8, X)).rsample()
    leave.set()
    thread.join()
    assert [int(one._seen[3][0]) for one in equalizers] == [16, 16]
