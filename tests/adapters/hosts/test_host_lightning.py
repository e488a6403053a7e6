"""Lightning's own Trainer with the callback: bit for bit the host at lambda = 1, its KL and its checkpoints its own."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lambda_vae.any_vae import diagnose
from lambda_vae.equalization import VarianceEqualizer
from lambda_vae.equalization.theory import sampling_std
from lambda_vae.errors import InputError
from lambda_vae.likelihoods import bernoulli

L = pytest.importorskip("lightning.pytorch", reason="lightning is an extra")

from adapters.hosts.lightning_digits import QUIET, LitVAE, digits, fitted, loaders, trainer  # noqa: E402

from lambda_vae.integrations.lightning import EqualizeCallback, diagnose_lightning  # noqa: E402

pytestmark = QUIET


@pytest.mark.parametrize("manual", [False, True])
def test_with_delta_infinite_a_training_is_the_hosts_bit_for_bit(manual):
    callback = EqualizeCallback(latent_dim=4, delta=float("inf"), every=1)
    plain, model = fitted(manual=manual), fitted(callback, manual=manual)
    assert model.losses == plain.losses
    assert plain.losses[0] != plain.losses[-1]
    assert list(model.state_dict()) == list(plain.state_dict())
    assert all(torch.equal(model.state_dict()[name], value) for name, value in plain.state_dict().items())
    assert len(callback.monitor.readings) == 3
    assert not torch.equal(plain.encoder[0].weight, LitVAE().encoder[0].weight)


def test_training_draws_with_sigma_to_the_lambda_and_validation_with_sigma():
    callback = EqualizeCallback(latent_dim=4, delta=1.01, refresh_every=1)
    model = fitted(callback, epochs=2)
    exponent = callback.equalizer.exponent
    assert bool((exponent > 1).all())
    assert model.losses[:4] == fitted(epochs=1).losses  # the first epoch is at 1
    assert model.losses[4:] != fitted(epochs=2).losses[4:]
    mu, logvar = torch.zeros(20000, 4), torch.full((20000, 4), 0.5).log() * 2
    for mode, expected in ((True, sampling_std(torch.full((4,), 0.5), exponent)), (False, torch.full((4,), 0.5))):
        assert torch.allclose(model.train(mode).reparameterize(mu, logvar).std(0), expected, rtol=0.03)


def test_metrics_are_logged_flat_and_live():
    callback = EqualizeCallback(latent_dim=4, delta=1.1, every=1)
    L.seed_everything(0, verbose=False)
    run = trainer(callback)
    run.fit(LitVAE(), *loaders())
    logged = {name: float(value) for name, value in run.callback_metrics.items()}
    for name, value in callback.monitor.metrics().items():
        assert logged[name] == pytest.approx(value, rel=1e-5)
    assert [logged[f"latent/kl/{i}"] for i in range(4)] == pytest.approx(callback.monitor.readings[-1].kl.tolist())
    assert logged["latent/exponent"] > 1.0
    assert "val_loss" in logged


class _Scaler(L.Callback):
    """A gradient scaler of 8, as of 16-mixed."""

    def on_fit_start(self, trainer, pl_module):
        trainer.precision_plugin.scaler = SimpleNamespace(get_scale=lambda: 8.0)
        step = pl_module.step
        pl_module.step = lambda x: 8.0 * step(x)


@pytest.mark.parametrize(
    ("more", "settings"),
    [([], {"accumulate_grad_batches": 4}), ([_Scaler()], {}), ([_Scaler()], {"accumulate_grad_batches": 2})],
    ids=["accumulated", "scaled", "both"],
)
@pytest.mark.parametrize("delta", [float("inf"), 1.05])
def test_the_monitor_sees_the_gradient_whatever_the_loss_is_multiplied_by(more, settings, delta):
    seen = []
    for others, run in (([], {}), (more, settings)):
        callback = EqualizeCallback(latent_dim=4, delta=delta, every=1, refresh_every=1)
        L.seed_everything(0, verbose=False)
        model = LitVAE()
        model.configure_optimizers = lambda model=model: torch.optim.SGD(model.parameters(), 0.0)
        trainer(callback, *others, epochs=2, **run).fit(model, *loaders())
        seen.append((*callback.monitor.readings, callback.equalizer.exponent))
    for ours, theirs in zip(seen[0][:2], seen[1][:2], strict=True):
        assert torch.allclose(ours.decoder_capacity, theirs.decoder_capacity, rtol=1e-4)
        assert torch.allclose(ours.gradient_ratio, theirs.gradient_ratio, rtol=1e-3)
        assert float(ours.decoder_capacity.min()) > 0.0
    assert torch.allclose(seen[0][2], seen[1][2])


class _Falls(LitVAE):
    """A dimension whose signal is taken away by halves."""

    def encode(self, x):
        mu, logvar = super().encode(x)
        fading = 0.5 ** max(0, self.current_epoch - 1)
        return torch.cat((fading * x[:, 20:21] * 2, mu[:, 1:]), 1), logvar


def test_a_collapse_is_warned_of_while_it_trains():
    callback = EqualizeCallback(latent_dim=4, delta=float("inf"), every=1)
    with pytest.warns(UserWarning, match=r"epoch \d: dimension") as caught:
        fitted(callback, model=_Falls(), epochs=7)
    assert any("dimension 0 lost 75% of its signal in this epoch" in str(one.message) for one in caught)
    assert any("dimension 0 collapsed" in str(one.message) for one in caught)
    assert {one.dimension for one in callback.monitor.warnings} >= {0}


@pytest.mark.filterwarnings("ignore:epoch .*dimension")
@pytest.mark.parametrize("when", ["train epoch", "validation"])
def test_a_resumed_training_is_the_uninterrupted_one(when, tmp_path):
    whole_callback = EqualizeCallback(latent_dim=4, delta=1.05, every=1, refresh_every=2)
    fitted(whole_callback, epochs=5)
    saved = L.callbacks.ModelCheckpoint(
        tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=when == "train epoch"
    )
    fitted(
        EqualizeCallback(latent_dim=4, delta=1.05, every=1, refresh_every=2), saved, epochs=3, enable_checkpointing=True
    )
    callback = EqualizeCallback(latent_dim=4, delta=1.05, every=1, refresh_every=2)
    trainer(callback, epochs=5).fit(LitVAE(), *loaders(), ckpt_path=tmp_path / "epoch=2.ckpt")
    assert len(callback.monitor.readings) == len(whole_callback.monitor.readings) == 5
    assert int(callback.equalizer.epoch) == 5
    for ours, theirs in zip(callback.monitor.readings[:3], whole_callback.monitor.readings, strict=False):
        assert torch.equal(ours.kl, theirs.kl)  # afterwards the shuffled order is another one
    plain = LitVAE.load_from_checkpoint(tmp_path / "epoch=2.ckpt", weights_only=True)
    assert not any("equalizer" in name for name in plain.state_dict())


class Bolts(LitVAE):
    """As bolts has it: the method returns p and q, and the KL is theirs."""

    def sample(self, mu, log_var):
        std = torch.exp(log_var / 2)
        q = torch.distributions.Normal(mu, std)
        return torch.distributions.Normal(torch.zeros_like(mu), torch.ones_like(std)), q, q.rsample()

    reparameterize = None

    def step(self, x):
        mu, logvar = self.encode(x)
        p, q, z = self.sample(mu, logvar)
        self.draws.append((z.detach(), mu.detach(), logvar.detach()))
        assert torch.equal(q.scale, torch.exp(logvar / 2))  # under lambda too
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(1)
        return (nll + torch.distributions.kl_divergence(q, p).sum(1)).mean()


def test_distributions_returned_for_the_kl_stay_those_of_sigma():
    torch.manual_seed(1)
    plain = fitted(model=Bolts())
    torch.manual_seed(1)
    watched = fitted(EqualizeCallback(latent_dim=4, delta=float("inf"), every=1), model=Bolts())
    assert watched.losses == plain.losses
    callback = EqualizeCallback(latent_dim=4, delta=1.01, every=1, refresh_every=1)
    torch.manual_seed(1)
    model = fitted(callback, model=Bolts(), epochs=2)
    # the first epoch is at 1: the same chance, and KL and z add their gradients in another order
    assert model.losses[:4] == pytest.approx(plain.losses[:4], rel=1e-5)
    model.train()
    _, q, z = model.sample(torch.zeros(20000, 4), torch.full((20000, 4), 0.25).log())
    assert torch.allclose(q.scale, torch.tensor(0.5))
    assert torch.allclose(z.std(0), sampling_std(torch.full((4,), 0.5), callback.equalizer.exponent), rtol=0.03)
    assert len(callback.monitor.readings) == 2


class Nested(LitVAE):
    """The VAE is a part of the LightningModule."""

    def __init__(self):
        super().__init__()
        self.vae = nn.Module()
        self.vae.__class__ = type("Part", (nn.Module,), {"draw": lambda _, mu, std: mu + std * torch.randn_like(std)})

    reparameterize = None

    def step(self, x):
        mu, logvar = self.encode(x)
        nll = F.binary_cross_entropy_with_logits(
            self.decoder(self.vae.draw(mu, torch.exp(0.5 * logvar))), x, reduction="none"
        ).sum(1)
        return (nll + 0.5 * (mu**2 + logvar.exp() - logvar - 1).sum(1)).mean()


class Maps(LitVAE):
    """Its latents are maps, [B, 2, 1, 2]."""

    def encode(self, x):
        return [one.view(-1, 2, 1, 2) for one in super().encode(x)]

    def step(self, x):
        mu, logvar = self.encode(x)
        z = self.reparameterize(mu, logvar).flatten(1)
        nll = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(1)
        return (nll + 0.5 * (mu**2 + logvar.exp() - logvar - 1).flatten(1).sum(1)).mean()


def test_maps_get_lambda_and_no_monitor_and_the_kl_weight_may_be_a_function():
    callback = EqualizeCallback(latent_dim=2, delta=1.05, dim=1)
    fitted(callback, model=Maps())
    assert bool((callback.equalizer.exponent > 1).all())
    assert callback.monitor.readings == []
    weighed = EqualizeCallback(latent_dim=4, delta=1.05, every=1, kl_weight=lambda module: module.current_epoch / 2)
    fitted(weighed)
    assert weighed.monitor.weights == [0.0, 0.5, 1.0]


class Holder(LitVAE):
    """It draws through an equalizer of its own."""

    def __init__(self):
        super().__init__()
        self.lam = VarianceEqualizer(4, delta=1.05)

    def reparameterize(self, mu, logvar):
        return self.lam(mu, torch.exp(0.5 * logvar))


def test_a_method_of_a_part_and_an_equalizer_of_the_modules_own():
    callback = EqualizeCallback(latent_dim=4, delta=1.05, method="vae.draw", every=1)
    fitted(callback, model=Nested())
    held = EqualizeCallback(every=1)
    model = fitted(held, model=Holder())
    assert held.equalizer is model.lam
    for one in (callback, held):
        assert bool((one.equalizer.exponent > 1).all())
        assert len(one.monitor.readings) == 3
        assert float(one.monitor.readings[-1].decoder_capacity.min()) > 0.0


@pytest.mark.filterwarnings("ignore:epoch .*dimension")  # the warnings of the collapse that is meant to happen
def test_a_collapse_is_reported_cured_by_one_line_and_reported_again():
    reports = []
    for callbacks in ([], [EqualizeCallback(latent_dim=32, delta=1.2, release_epochs=25)]):
        L.seed_everything(0, verbose=False)
        model, run = LitVAE(latent_dim=32, lr=5e-3), trainer(*callbacks, epochs=70)
        run.fit(model, *loaders(n=1400, batch=200))
        reports.append(diagnose_lightning(model, run, bernoulli(model.decoder, logits=True), iw_samples=2))
        assert model.training
    before, after = reports
    assert before.verdicts.count("collapsed") > 0
    assert all(before.causes[i] for i, verdict in enumerate(before.verdicts) if verdict == "collapsed")
    assert after.active_units >= before.active_units + 3
    assert torch.equal(callbacks[0].equalizer.exponent, torch.ones(32))  # total_epochs was the Trainer's


def test_planted_dead_dimensions_are_found_through_a_data_module():
    L.seed_everything(0, verbose=False)
    model = fitted(epochs=10)
    with torch.no_grad():
        model.encoder[2].weight[[1, 5]], model.encoder[2].bias[[1, 5]] = 0.0, 0.0
        model.decoder[0].weight[:, 1] = 0.0

    class Digits(L.LightningDataModule):
        def setup(self, stage):
            self.x = digits()[1400:]

        def val_dataloader(self):
            return [DataLoader(TensorDataset(self.x), 100)]

    log_likelihood = bernoulli(model.decoder, logits=True)
    report = diagnose_lightning(model, Digits(), log_likelihood, iw_samples=2)
    assert [i for i, verdict in enumerate(report.verdicts) if verdict == "collapsed"] == [1]
    model.eval()
    assert report.nll_bound == pytest.approx(
        diagnose(model.encode, log_likelihood, digits()[1400:], batch_size=100, iw_samples=2).nll_bound, rel=1e-5
    )


class _Tell(L.Callback):
    """What each of the forked processes knows at its end."""

    def __init__(self, folder, equalize):
        self.folder, self.equalize = folder, equalize

    def on_train_end(self, trainer, pl_module):
        own = torch.cat([z for z, _, _ in pl_module.draws]).sum()
        torch.save([self.equalize.equalizer.running_std, own], self.folder / f"{trainer.global_rank}.pt")


def test_two_processes_have_one_lambda(tmp_path):
    callback = EqualizeCallback(latent_dim=4, delta=1.05, refresh_every=1, every=1)
    fitted(callback, _Tell(tmp_path, callback), epochs=2, devices=2, strategy="ddp_fork")
    (first, own), (second, other) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.ones(4))
    assert own != other  # each had examples of its own


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="give both, or neither"):
        EqualizeCallback(latent_dim=4)
    with pytest.raises(InputError, match="reduction is 'none'"):
        EqualizeCallback(latent_dim=4, delta=1.1, reduction="none")
    with pytest.raises(InputError, match="holds no VarianceEqualizer; give EqualizeCallback"):
        fitted(EqualizeCallback())
    with pytest.raises(InputError, match="holds a VarianceEqualizer as 'lam'; leave out"):
        fitted(EqualizeCallback(latent_dim=4, delta=1.1), model=Holder())
    two = Holder()
    two.more = VarianceEqualizer(2, delta=1.1)
    with pytest.raises(InputError, match=r"holds 2 equalizers \(lam, more\)"):
        fitted(EqualizeCallback(), model=two)
    with pytest.raises(InputError, match="has no part 'nowhere'"):
        fitted(EqualizeCallback(latent_dim=4, delta=1.1, method="nowhere.draw"))
    with pytest.raises(InputError, match="has no method or part 'nothing'"):
        fitted(EqualizeCallback(latent_dim=4, delta=1.1, method="nothing"))
    with pytest.raises(InputError, match=r"delta is 0\.9"):
        fitted(EqualizeCallback(latent_dim=4, delta=0.9))
    unused = LitVAE()
    unused.draw = lambda mu, logvar: mu
    with pytest.raises(InputError, match=r"without drawing z .* method='NAME'"):
        fitted(EqualizeCallback(latent_dim=4, delta=1.1, method="draw"), model=unused)
    with pytest.raises(InputError, match="LightningModule has no encode"):
        diagnose_lightning(L.LightningModule(), digits(), lambda x, z: z)
    with pytest.raises(InputError, match="Trainer has no validation data"):
        diagnose_lightning(LitVAE(), trainer(), lambda x, z: z)
