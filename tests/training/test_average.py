import pytest
import torch
from small import differing, everything, trainer

from lambda_vae.errors import InputError
from lambda_vae.training import TrainOptions, checkpoints
from lambda_vae.training.average import WeightAverage


def test_average_is_torchs_own_once_the_first_steps_are_over():
    model = torch.nn.Linear(3, 2)
    ours = WeightAverage(model.parameters(), 0.5)
    theirs = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
    generator = torch.Generator().manual_seed(1)
    ours._steps = 100  # the decay is its own from the first step on
    theirs.update_parameters(model)
    for _ in range(6):
        with torch.no_grad():
            for weight in model.parameters():
                weight += torch.randn(weight.shape, generator=generator)
        ours.update()
        theirs.update_parameters(model)
    with ours:
        for mine, other in zip(model.parameters(), theirs.module.parameters(), strict=True):
            torch.testing.assert_close(mine, other)


def test_training_does_not_notice_that_an_average_is_kept():
    plain, averaged = trainer(epochs=3), trainer(epochs=3, average_decay=0.9)
    plain.fit(), averaged.fit()
    mine = {name: value for name, value in everything(averaged).items() if not name.startswith("average.")}
    assert differing(everything(plain), mine) == []


def test_what_listens_sees_the_average_and_training_goes_on_with_the_weights():
    seen = []

    def listener(row, run):
        seen.append(run.vae.posterior.head.weight.detach().clone())

    run = trainer(epochs=3, average_decay=0.9, listeners=[listener])
    run.fit()
    last = run.vae.posterior.head.weight.detach()
    assert not torch.equal(seen[-1], last)
    with run.averaged():
        assert torch.equal(run.vae.posterior.head.weight, seen[-1])
    assert torch.equal(run.vae.posterior.head.weight, last)


@pytest.mark.parametrize(("there", "here"), [(None, 0.9), (0.9, None), (0.9, 0.99)])
def test_a_checkpoint_with_another_average_is_refused(there, here, tmp_path):
    trainer(tmp_path, epochs=1, average_decay=there).fit()
    with pytest.raises(InputError, match=f"average_decay is {there} there and {here} here"):
        trainer(epochs=1, average_decay=here).restore(checkpoints.load(checkpoints.latest(tmp_path)))


@pytest.mark.parametrize("decay", [0.0, 1.0, float("nan")])
def test_decays_that_average_nothing_are_refused(decay):
    with pytest.raises(InputError, match="it must lie between 0 and 1"):
        TrainOptions(epochs=1, average_decay=decay)
