"""What else a LightningModule does with z, and Lightning with a module: forms of drawing, averages, half precision."""

import math
import warnings

import pytest
import torch
import torch.nn.functional as F
from apart import run_apart
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lambda_vae.equalization import VarianceEqualizer

L = pytest.importorskip("lightning.pytorch", reason="lightning is an extra")

from adapters.hosts.lightning_digits import QUIET, LitVAE, digits, fitted, loaders, trainer  # noqa: E402

from lambda_vae.integrations import lightning as adapter  # noqa: E402
from lambda_vae.integrations.lightning import EqualizeCallback  # noqa: E402

pytestmark = [*QUIET, pytest.mark.filterwarnings("ignore:epoch .*dimension")]

INF = float("inf")

#: What the method returns, and how z, mu and ln sigma^2 are had of it, as one writes it.
RETURNS = {
    "z": (lambda mu, logvar, z: z, lambda out, mu, logvar: (out, mu, logvar)),
    "z, mu, logvar": (lambda mu, logvar, z: (z, mu, logvar), lambda out, mu, logvar: out),
    "mu, logvar, z": (lambda mu, logvar, z: (mu, logvar, z), lambda out, mu, logvar: (out[2], *out[:2])),
    "std, z": (
        lambda mu, logvar, z: (torch.exp(0.5 * logvar), z),
        lambda out, mu, logvar: (out[1], mu, 2 * out[0].log()),
    ),
    "dict": (lambda mu, logvar, z: {"z": z}, lambda out, mu, logvar: (out["z"], mu, logvar)),
    "keywords": (lambda mu, logvar, z: z, lambda out, mu, logvar: (out, mu, logvar)),
}


class Returning(LitVAE):
    """Its sampling method returns z among other things, or is called by keyword."""

    def __init__(self, form, latent_dim=4):
        super().__init__(latent_dim)
        self.form = form

    def reparameterize(self, mu, logvar):
        return RETURNS[self.form][0](mu, logvar, super().reparameterize(mu, logvar))

    def step(self, x):
        mu, logvar = self.encode(x)
        out = self.reparameterize(mu=mu, logvar=logvar) if self.form == "keywords" else self.reparameterize(mu, logvar)
        z, mu, logvar = RETURNS[self.form][1](out, mu, logvar)
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(1)
        return (nll + 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1)).mean()


@pytest.mark.parametrize("delta", [INF, 1.05])
@pytest.mark.parametrize("form", RETURNS)
def test_the_monitor_sees_z_in_whatever_the_method_returns(form, delta):
    readings, losses = [], []
    for one in ("z", form):
        torch.manual_seed(1)
        callback = EqualizeCallback(4, delta, every=1, refresh_every=1)
        losses.append(fitted(callback, model=Returning(one)).losses)
        readings.append(callback.monitor.readings)
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)  # 2 ln exp(logvar / 2) is not logvar to the last bit
    for ours, theirs in zip(*readings, strict=True):
        for name in ("kl", "gradient_ratio", "decoder_capacity"):
            assert torch.allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-2)
    assert float(readings[0][-1].decoder_capacity.min()) > 0.0


def loss(model, x, z, mu, logvar):
    nll = F.binary_cross_entropy_with_logits(model.decoder(z), x, reduction="none").sum(1)
    return (nll + 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1)).mean()


class Drawing(nn.Module):
    """An encoder that draws, or returns what is drawn from."""

    def __init__(self, later):
        super().__init__()
        self.net, self.later = nn.Linear(64, 8), later

    def forward(self, x):
        mu, logvar = self.net(x).chunk(2, -1)
        posterior = torch.distributions.Normal(mu, torch.exp(0.5 * logvar))
        return posterior if self.later else (posterior.loc, posterior.scale, posterior.rsample())


class AtEncoder(LitVAE):
    reparameterize = None

    def __init__(self, later=False):
        super().__init__()
        self.encoder = Drawing(later)

    def step(self, x):
        out = self.encoder(x)
        mu, std, z = (out.loc, out.scale, out.rsample()) if self.encoder.later else out
        return loss(self, x, z, mu, 2 * std.log())


class InTheMiddle(LitVAE):
    reparameterize = None

    def step(self, x):
        mu, logvar = self.encode(x)
        return loss(self, x, mu + torch.exp(0.5 * logvar) * torch.randn_like(mu), mu, logvar)


class Masked(LitVAE):
    def forward(self, x, keep):
        mu, logvar = self.encode(x)
        self.kept = torch.exp(0.5 * logvar)[keep]
        return loss(self, x, self.reparameterize(mu, logvar), mu, logvar)

    def step(self, x):
        return self(x, torch.arange(len(x)) < 10)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (AtEncoder, {"at": "encoder"}),
        (lambda: AtEncoder(later=True), {"at": "encoder"}),
        (InTheMiddle, {"into": "decoder", "posterior": "encoder"}),
        (LitVAE, {"takes": "logvar"}),
        (Masked, {"mask": "keep"}),
    ],
    ids=["at", "at, drawn later", "into", "takes", "mask"],
)
def test_every_place_that_equalize_knows_is_the_callbacks_as_well(make, place):
    # what goes into a part is observed at once, and narrowed and watched as soon as its sigma is sure
    epochs = 8 if "into" in place else 3
    torch.manual_seed(1)
    plain = fitted(model=make(), epochs=epochs)
    for delta in (INF, 1.05):
        torch.manual_seed(1)
        callback = EqualizeCallback(4, delta, every=1, refresh_every=1, **place)
        model = fitted(callback, model=make(), epochs=epochs)
        assert (model.losses == plain.losses) is (delta == INF)
        assert model.losses[:4] == plain.losses[:4]  # the first epoch is at 1
        assert len(callback.monitor.readings) == 3 or ("into" in place and callback.monitor.readings)
        assert float(callback.monitor.readings[-1].decoder_capacity.min()) > 0.0
        assert float(callback.equalizer.exponent.max() > 1.0) == (delta < INF)


def test_what_a_mask_leaves_out_is_not_observed():
    callback, model = EqualizeCallback(4, INF, mask="keep", refresh_every=1), Masked()
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), 0.0)
    seen = []

    class Kept(L.Callback):
        def on_train_batch_end(self, *_):
            seen.append(model.kept)

    fitted(callback, Kept(), model=model, epochs=1)
    assert torch.allclose(callback.equalizer.running_std, torch.cat(seen).mean(0))


class Two(LitVAE):
    """Content and style, of two encoders."""

    class Part(nn.Module):
        def __init__(self, latent_dim, share):
            super().__init__()
            self.net, self.share = nn.Linear(64, 2 * latent_dim), share

        def reparameterize(self, mu, logvar):
            return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)

        def forward(self, x):
            mu, logvar = self.net(x * self.share).chunk(2, -1)
            return self.reparameterize(mu, logvar), 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1)

    def __init__(self):
        super().__init__(5)
        self.a, self.b = self.Part(3, 1.0), self.Part(2, 0.1)

    reparameterize = None

    def step(self, x):
        (a, kl_a), (b, kl_b) = self.a(x), self.b(x)
        nll = F.binary_cross_entropy_with_logits(self.decoder(torch.cat((a, b), 1)), x, reduction="none").sum(1)
        return (nll + kl_a + kl_b).mean()


def test_two_latents_have_two_callbacks_with_lambda_metrics_and_state_of_their_own(tmp_path):
    def pair():
        return [
            EqualizeCallback(size, 1.05, method=f"{name}.reparameterize", prefix=f"{name}/", refresh_every=1, every=1)
            for name, size in (("a", 3), ("b", 2))
        ]

    a, b = pair()
    saved = L.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
    L.seed_everything(0, verbose=False)
    run = trainer(a, b, saved, epochs=2, enable_checkpointing=True)
    run.fit(Two(), *loaders())
    assert a.equalizer.exponent.shape == (3,)
    assert b.equalizer.exponent.shape == (2,)
    assert float(b.equalizer.running_std.min()) != float(a.equalizer.running_std.min())
    for one in (a, b):
        assert len(one.monitor.readings) == 2
        assert float(run.callback_metrics[f"{one.prefix}kl"]) == pytest.approx(float(one.monitor.readings[-1].kl.sum()))
    again = pair()
    trainer(*again, epochs=3).fit(Two(), *loaders(), ckpt_path=tmp_path / "epoch=1.ckpt")
    for one, first in zip(again, (a, b), strict=True):
        assert [reading.kl.tolist() for reading in one.monitor.readings[:2]] == [
            reading.kl.tolist() for reading in first.monitor.readings
        ]


def test_one_callback_keeps_the_name_of_its_state():
    assert EqualizeCallback(4, 1.1).state_key == "EqualizeCallback"
    keys = {EqualizeCallback(4, 1.1, **more).state_key for more in ({}, {"method": "a"}, {"at": "a"}, {"prefix": "a/"})}
    assert len(keys) == 4


class Holder(LitVAE):
    def __init__(self):
        super().__init__()
        self.lam = VarianceEqualizer(4, delta=1.05, release_epochs=2, total_epochs=5, refresh_every=1)

    def reparameterize(self, mu, logvar):
        return self.lam(mu, torch.exp(0.5 * logvar))


@pytest.mark.parametrize("first", [True, False], ids=["before the average", "after it"])
@pytest.mark.parametrize("held", [True, False], ids=["the module's own", "the callback's"])
def test_a_released_model_stays_released_when_its_weights_are_averaged(held, first, tmp_path):
    callback = EqualizeCallback() if held else EqualizeCallback(4, 1.05, release_epochs=2, refresh_every=1)
    average = L.callbacks.EMAWeightAveraging(decay=0.9)
    model = Holder() if held else LitVAE()
    exponents = []

    class Seen(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            exponents.append(float(callback.equalizer.exponent.max()))

    order = (callback, average) if first else (average, callback)
    saved = L.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=False)
    fitted(*order, Seen(), saved, model=model, epochs=5, enable_checkpointing=True)
    assert max(exponents) > 1.0
    assert exponents[-4:] == [1.0] * 4  # validation swaps the weights; lambda stays
    assert torch.equal(callback.equalizer.exponent, torch.ones(4))
    whole = callback.equalizer.running_std
    callback = EqualizeCallback() if held else EqualizeCallback(4, 1.05, release_epochs=2, refresh_every=1)
    other = Holder() if held else LitVAE()
    order = (callback, L.callbacks.EMAWeightAveraging(decay=0.9))
    trainer(*order, epochs=5).fit(other, *loaders(), ckpt_path=tmp_path / "epoch=3.ckpt")
    assert torch.allclose(callback.equalizer.running_std, whole, rtol=0.1)
    assert torch.equal(callback.equalizer.exponent, torch.ones(4))


@pytest.mark.parametrize("held", [True, False], ids=["the module's own", "the callback's"])
@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_statistics_stay_exact_in_half_precision(precision, held):
    callback = EqualizeCallback() if held else EqualizeCallback(4, 1.05, refresh_every=1)
    model = Holder() if held else LitVAE()
    fitted(callback, model=model, epochs=3, precision=precision)
    assert callback.equalizer.running_std.dtype == callback.equalizer.exponent.dtype == torch.float32
    assert float(callback.equalizer.exponent.min()) >= 1.0
    for sigma in [0.99] * 2 + [0.93] * 40:  # the moving average of bfloat16 stands still at 0.95
        callback.equalizer.observe(torch.full((50, 4), sigma))
        callback.equalizer.end_epoch()
    assert torch.allclose(callback.equalizer.running_std, torch.full((4,), 0.93), atol=2e-3)
    assert all(math.isfinite(loss) for loss in model.losses)


COMPILED = """
import torch
from adapters.hosts.lightning_digits import L, LitVAE, loaders, trainer
from lambda_vae.integrations.lightning import EqualizeCallback

for delta in (float("inf"), 1.05):
    runs = []
    for compiled in (False, True):
        torch.manual_seed(1)
        model, callback = LitVAE(), EqualizeCallback(4, delta, every=1, refresh_every=1)
        L.seed_everything(0, verbose=False)
        trainer(callback).fit(torch.compile(model, backend="eager") if compiled else model, *loaders())
        runs.append((torch.tensor(model.losses), callback.equalizer.exponent, callback.equalizer.running_std))
        runs[-1] += tuple(one.gradient_ratio for one in callback.monitor.readings)
    assert len(runs[0]) == len(runs[1]) == 6
    for one, other in zip(*runs):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert (runs[0][1].max() > 1) == (delta < 2)
"""


def test_a_compiled_module_trains_as_the_plain_one():
    """In a process of its own, since shapes that are checked at run time cannot be compiled."""
    run_apart(COMPILED)


@pytest.mark.filterwarnings("ignore:.*")  # the processes begin with those of their own
@pytest.mark.parametrize(("strategy", "devices"), [("ddp_spawn", 1), ("ddp_notebook", 2)])
def test_after_processes_of_lightnings_own_the_callback_has_its_equalizer_and_its_monitor(strategy, devices):
    callback = EqualizeCallback(4, 1.05, refresh_every=1, every=1, release_epochs=1)
    model, data = LitVAE(), DataLoader(TensorDataset(digits()[:256]), 64)
    trainer(callback, epochs=2, devices=devices, strategy=strategy).fit(model, data)
    assert int(callback.equalizer.epoch) == len(callback.monitor.readings) == 2
    assert callback.equalizer.delta == 1.05
    assert callback.equalizer.exponent.tolist() == [1.0] * 4
    assert not torch.equal(callback.equalizer.running_std, torch.ones(4))
    assert callback.monitor.history["epochs"] == [1, 2]
    fitted(callback, model=model, epochs=3)  # begins anew in this process, whose module has never been equalized
    assert int(callback.equalizer.epoch) == len(callback.monitor.readings) == 3


def test_lightning_cli_takes_every_setting(tmp_path, monkeypatch):
    from inspect import signature

    from lightning.pytorch.cli import LightningCLI

    config = tmp_path / "config.yaml"
    own = {name: one for name, one in signature(EqualizeCallback).parameters.items() if name in adapter._SETTINGS}
    for name, one in signature(VarianceEqualizer).parameters.items():
        if name not in ("latent_dim", "delta", "process_group"):
            assert own[name].default == one.default
    config.write_text(
        """
trainer:
  max_epochs: 3
  accelerator: cpu
  logger: false
  enable_checkpointing: false
  callbacks:
    - class_path: lambda_vae.integrations.lightning.EqualizeCallback
      init_args: {latent_dim: 4, delta: inf, release_epochs: 2, release_path: delta, release_capacity: 1.5, prefix: x/}
    - class_path: lambda_vae.integrations.lightning.EqualizeCallback
      init_args: {latent_dim: 4, delta: 1.2, mask: padding, at: encoder, dim: 1, kl_weight: 0.5}
    - class_path: lambda_vae.integrations.lightning.EqualizeCallback
      init_args: {latent_dim: 4, delta: .inf, method: reparameterize}
"""
    )
    monkeypatch.setattr("sys.argv", ["fit"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cli = LightningCLI(LitVAE, args=["--config", str(config)], save_config_callback=None, run=False)
    first, second, third = (one for one in cli.trainer.callbacks if isinstance(one, EqualizeCallback))
    assert first.delta == third.delta == INF
    assert first.settings == {
        "release_epochs": 2, "release_path": "delta", "release_capacity": 1.5, "total_epochs": 2,
    }  # fmt: skip
    assert (second.delta, second.settings, second.asked["mask"]) == (1.2, {"dim": 1}, "padding")
