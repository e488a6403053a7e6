"""From whatever checkpoint Lightning writes, each epoch has the lambda of the training that was not interrupted."""

import pytest
import torch

L = pytest.importorskip("lightning.pytorch", reason="lightning is an extra")

from adapters.hosts.lightning_digits import QUIET, LitVAE, digits, loaders, trainer  # noqa: E402
from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from lambda_vae.integrations.lightning import EqualizeCallback  # noqa: E402

pytestmark = [
    *QUIET,
    pytest.mark.filterwarnings("ignore:epoch .*dimension"),
    pytest.mark.filterwarnings("ignore:.*your dataloader is not resumable.*"),  # ours are: batch and noise go by number
]


class Numbered(LitVAE):
    """Its batches and its noise are those of the epoch and the step, however it came there."""

    def __init__(self, fails=None):
        super().__init__()
        self.fails = fails

    def training_step(self, batch, batch_idx):
        now = self.trainer.current_epoch, batch_idx
        torch.manual_seed(10 * now[0] + now[1])
        loss = self.step(self.rows[batch_idx])
        if now == self.fails:
            raise RuntimeError("out of memory")
        return loss

    rows = digits()[:192].split(64)


class Early(L.Callback):
    """It saves at the end of an epoch before the others have heard of it."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.save_checkpoint(self.folder / f"epoch={trainer.current_epoch}.ckpt")


class Seen(L.Callback):
    """lambda of each epoch that trains, by its number."""

    def __init__(self, callback):
        self.callback, self.exponents = callback, {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        epoch, now = trainer.current_epoch, self.callback.equalizer.exponent.clone()
        assert torch.equal(self.exponents.setdefault(epoch, now), now)  # the same throughout an epoch


def run(*others, model=None, path=None, callback=None, limits=None):
    callback = callback or EqualizeCallback(4, 1.05, release_epochs=2, every=1)
    seen, model = Seen(callback), model or seeded()
    data = DataLoader(TensorDataset(torch.zeros(192, 1)), 64)
    saves = any(isinstance(one, ModelCheckpoint) for one in others)
    fit = trainer(*others, callback, seen, enable_checkpointing=saves, **limits or {"epochs": 6})
    try:
        fit.fit(model, data, DataLoader(TensorDataset(digits()[:8]), 8), ckpt_path=path)
    except RuntimeError as error:
        assert str(error) == "out of memory"  # noqa: PT017 - whether it is raised is the case's affair
    return callback, seen.exponents, model


def seeded(**more):
    torch.manual_seed(3)
    return Numbered(**more)


KINDS = {
    "mid-epoch": lambda folder: ModelCheckpoint(folder, every_n_train_steps=2, save_top_k=-1),
    "last step": lambda folder: ModelCheckpoint(folder, every_n_train_steps=3, save_top_k=-1),
    "validation": lambda folder: ModelCheckpoint(folder, save_on_train_epoch_end=False, save_top_k=-1),
    "epoch": lambda folder: ModelCheckpoint(folder, save_on_train_epoch_end=True, save_top_k=-1),
    "last": lambda folder: ModelCheckpoint(folder, save_last=True, every_n_train_steps=7, save_top_k=-1),
    "before the others": Early,
    "fault": lambda folder: ModelCheckpoint(folder, save_on_exception=True, every_n_epochs=100),
}


@pytest.mark.parametrize("limits", [{"epochs": 6}, {"epochs": -1, "max_steps": 17}], ids=["max_epochs", "max_steps"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_epoch_has_the_lambda_of_the_undisturbed_training(kind, limits, tmp_path):
    whole, expected, model = run(limits=limits)
    assert float(expected[3].min()) > 1.0
    assert torch.equal(whole.equalizer.exponent, torch.ones(4))
    run(KINDS[kind](tmp_path), model=seeded(fails=(3, 1) if kind == "fault" else None), limits=limits)
    paths = sorted(tmp_path.glob("*.ckpt"))
    assert len(paths) >= (1 if kind == "fault" else 2)
    for path in paths[::-2]:
        callback, exponents, resumed = run(path=path, limits=limits)
        assert all(torch.equal(one, expected[epoch]) for epoch, one in exponents.items())
        if path.stem == "epoch=5" and not exponents:
            continue  # nothing was left to train, and Lightning calls no hook
        assert int(callback.equalizer.epoch) == int(whole.equalizer.epoch) == 6
        assert torch.equal(callback.equalizer.running_std, whole.equalizer.running_std)
        assert torch.equal(callback.equalizer.exponent, torch.ones(4))
        assert len(callback.monitor.readings) == 6
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), resumed.parameters(), strict=True))


def saved(tmp_path, **settings):
    run(ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1), callback=EqualizeCallback(4, 1.05, **settings))
    return tmp_path / "epoch=2.ckpt"


def test_a_checkpoint_of_another_delta_is_said_to_be_one(tmp_path):
    path = saved(tmp_path)
    with pytest.warns(UserWarning, match=r"made with delta 1\.05, and this equalizer has delta 1\.5") as caught:
        callback, _, _ = run(path=path, callback=EqualizeCallback(4, 1.5))
    assert sum("1.05" in str(one.message) for one in caught) == 1
    assert callback.equalizer.delta == 1.5


def test_a_checkpoint_without_lambda_is_said_to_be_one_and_lambda_begins_there(tmp_path):
    data = DataLoader(TensorDataset(torch.zeros(192, 1)), 64)
    plain = trainer(ModelCheckpoint(tmp_path, filename="plain"), enable_checkpointing=True, epochs=3)
    plain.fit(seeded(), data, DataLoader(TensorDataset(digits()[:8]), 8))
    with pytest.warns(UserWarning, match="has no state of EqualizeCallback; lambda .* begin anew in epoch"):
        callback, _, _ = run(path=tmp_path / "plain.ckpt")
    assert int(callback.equalizer.epoch) == len(callback.monitor.readings) == 3
    assert torch.equal(callback.equalizer.exponent, torch.ones(4))


def test_testing_with_a_checkpoint_leaves_the_training_alone(tmp_path):
    path = saved(tmp_path)
    callback, _, model = run()
    model.test_step = lambda batch, batch_idx: None
    trainer(callback).test(model, DataLoader(TensorDataset(digits()[:8]), 8), ckpt_path=path, verbose=False)
    assert int(callback.equalizer.epoch) == 6


class Configured(Numbered):
    """Its parts are made in configure_model, after the callbacks' setup."""

    def __init__(self):
        super().__init__()
        self.parts, self.encoder, self.decoder = (self.encoder, self.decoder), None, None

    def configure_model(self):
        if self.encoder is None:
            self.encoder, self.decoder = self.parts


def test_a_module_that_makes_its_parts_late_is_equalized_and_resumed(tmp_path):
    torch.manual_seed(3)
    run(ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1), model=Configured())
    _, expected, _ = run()
    callback, exponents, _ = run(path=tmp_path / "epoch=2.ckpt", model=Configured())
    assert sorted(exponents) == [3, 4, 5]
    assert all(torch.equal(one, expected[epoch]) for epoch, one in exponents.items())
    assert len(callback.monitor.readings) == 6


class Sums(L.Callback):
    """The sigma that a process drew with in the first step, summed over its examples."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 1:
            torch.save(
                torch.exp(0.5 * pl_module.draws[0][2]).double().sum(0), self.folder / f"{trainer.global_rank}.pt"
            )


def test_a_checkpoint_in_an_epoch_of_two_processes_has_the_examples_of_both(tmp_path):
    kind = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    callback = EqualizeCallback(4, 1.05)
    run = trainer(callback, kind, Sums(tmp_path), epochs=1, devices=2, strategy="ddp_fork", enable_checkpointing=True)
    run.fit(LitVAE(), *loaders())
    state = torch.load(tmp_path / "step=1.ckpt", weights_only=True)["callbacks"]["EqualizeCallback"]["equalizer"]
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert not torch.equal(one, other)
    assert torch.allclose(2 * state["_extra_state"][0], one + other)  # each process goes on with half
