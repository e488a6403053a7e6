"""A batch in parts is the batch: weights, history and lambda to within rounding."""

import pytest
import torch
from small import BATCH, equalizer, everything, trainer, vae

from lambda_vae.errors import InputError
from lambda_vae.objectives import BetaELBO, FreeBits, InfoVAE, TargetRate
from lambda_vae.training import JointUpdate, Lagging, TrainOptions


def trained(**options):
    run = trainer(exponents=equalizer(), **options)
    run.fit()
    return everything(run)


@pytest.mark.parametrize("parts", [2, 4, BATCH])
def test_parts_add_up_to_the_batch(parts):
    whole, cut = trained(clip_norm=1.0), trained(clip_norm=1.0, accumulate=parts)
    assert whole.keys() == cut.keys()
    for name, value in whole.items():
        if value.is_floating_point():
            # Adam divides by the root of a mean square: rounding of small gradients grows there.
            torch.testing.assert_close(cut[name], value, rtol=1e-3, atol=1e-4, msg=lambda m, name=name: f"{name}: {m}")
        else:
            assert torch.equal(cut[name], value), name


def test_the_gradient_is_the_batchs_own_to_float_tolerance():
    grads = []
    for parts in (1, 4):
        run = trainer(model=vae(), epochs=1, accumulate=parts, samples=2)
        run.stepper.optimizer.step = lambda: None
        run.stepper.optimizer.zero_grad = lambda set_to_none=True: None
        run._train_step(run.draws.batch(torch.arange(BATCH), 0.7, 0))
        grads.append({name: weight.grad.clone() for name, weight in run.vae.named_parameters()})
    for name, gradient in grads[0].items():
        torch.testing.assert_close(grads[1][name], gradient, rtol=1e-5, atol=1e-6)
    assert any(gradient.abs().max() > 1e-2 for gradient in grads[0].values())


@pytest.mark.parametrize(
    "objective", [FreeBits(3, 0.1), TargetRate(1.0, 10.0), InfoVAE(0.0, 10.0)], ids=lambda o: type(o).__name__
)
def test_objectives_of_a_whole_batch_refuse_parts(objective):
    with pytest.raises(InputError, match="accumulate is 2, and this method looks at its batch as a whole"):
        trainer(objective=objective, accumulate=2)
    trainer(objective=BetaELBO(2.0), accumulate=2, epochs=1).fit()


def test_other_dynamics_refuse_parts_and_joint_ones_do_not():
    with pytest.raises(InputError, match="looks at its batch as a whole"):
        trainer(strategy=Lagging(5), accumulate=2)
    trainer(strategy=JointUpdate(), accumulate=2, epochs=1).fit()


def test_parts_must_come_out_even():
    with pytest.raises(InputError, match="accumulate is 3; it must divide the batch of 100"):
        TrainOptions(epochs=1, accumulate=3)
    with pytest.raises(InputError, match="accumulate is 0; it must be at least 1"):
        TrainOptions(epochs=1, accumulate=0)
