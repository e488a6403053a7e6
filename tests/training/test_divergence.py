"""The NaN policy: stop, say where and which term, keep the last good checkpoint."""

import re
import signal
from pathlib import Path

import pytest
import torch
from small import STEPS, at_step, equalizer, trainer
from torch import Tensor

from lambda_vae.model import Trace
from lambda_vae.objectives import ELBO, Terms
from lambda_vae.training import Diverged, Trainer, checkpoints

ADVICE = r"the last good checkpoint is kept\. Try `learning_rate=0\.003`, `clip_norm=1\.0`, or with λ `ramp_epochs=10`"


def poisoned(step: int, folder: Path | None, value: float = float("nan"), then: object = None) -> Trainer:
    """A trainer whose encoder bias turns to `value` just before one step."""

    def poison() -> None:
        bias = trained.vae.posterior.head.bias
        with torch.no_grad():
            bias[3:].fill_(value)  # of ln sigma^2
        if callable(then):
            then()

    trained = trainer(folder, view=at_step(step, poison), exponents=equalizer())
    return trained


def test_nan_stops_the_run_and_says_where(tmp_path: Path) -> None:
    with pytest.raises(Diverged) as caught:
        poisoned(STEPS + 2, tmp_path).fit()
    message = str(caught.value)
    assert re.match(
        r"training diverged in epoch 2 at step 3: reconstruction is nan, the largest \|logvar\| is nan "
        r"\(one step earlier [0-9.]+\); " + ADVICE,
        message,
    ), message
    assert "\n" not in message


def test_last_good_checkpoint_is_kept(tmp_path: Path) -> None:
    with pytest.raises(Diverged):
        poisoned(2 * STEPS + 2, tmp_path).fit()
    path = checkpoints.latest(tmp_path)
    assert path == checkpoints.path_of(tmp_path, 2, 0)
    good = checkpoints.load(path)
    assert all(bool(tensor.isfinite().all()) for tensor in good.part("model.").values())
    resumed = trainer(None, exponents=equalizer())
    resumed.restore(good)
    assert len(resumed.fit().rows) == 6


def test_infinite_term_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        Diverged, match=r"epoch 1 at step 1: rate_q is inf, the largest \|logvar\| is (89|9\d)\.?\d*; the"
    ):
        poisoned(0, tmp_path, value=90.0).fit()  # sigma is still finite, exp(logvar) is not
    assert checkpoints.latest(tmp_path) is None


def test_huge_learning_rate_diverges(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match=r"(reconstruction|rate_q) is (inf|nan).*Try `learning_rate=3e\+05`"):
        trainer(tmp_path, learning_rate=1e6).fit()


def test_signal_after_divergence_saves_no_bad_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(Diverged, match="epoch 2 at step 3"):
        poisoned(STEPS + 2, tmp_path, then=lambda: signal.raise_signal(signal.SIGTERM)).fit()
    assert checkpoints.latest(tmp_path) == checkpoints.path_of(tmp_path, 1, 0)


class LastGradientBroken(ELBO):
    """A finite loss whose gradient is not, in the last step of the first epoch."""

    calls = iter(())

    def __call__(self, trace: Trace, kl_weight: float | Tensor = 1.0) -> Terms:
        terms = super().__call__(trace, kl_weight)
        if next(self.calls) != STEPS - 1:
            return terms
        return Terms(terms.loss + (0.0 * trace.q.mu).sqrt().sum(), terms.reconstruction, terms.rate_q)


def test_gradient_of_the_last_step_is_noticed_before_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LastGradientBroken, "calls", iter(range(100)))
    pattern = f"epoch 1 at step {STEPS}: its gradient left weights that are not finite"
    with pytest.raises(Diverged, match=pattern):
        trainer(tmp_path, objective=LastGradientBroken()).fit()
    assert checkpoints.latest(tmp_path) is None
