"""What the census scripts of multivae share: the digits' two halves, one training, and multivae's own measures."""

import logging
import tempfile
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

import torchvision_names
from package import Found, Package

__all__ = ["EPOCHS", "package"]

EPOCHS = 24
_WIDTHS = {"top": (32,), "bottom": (32,)}
_PARTS = {"train": slice(0, 1000), "validation": slice(1000, 1397), "test": slice(1397, 1797)}


def package(kind: str, loss: str, remedies: Mapping[str, tuple[Mapping[str, Any], ...]], **more: Any) -> Package:
    """Return a model of multivae as the census asks it.

    Args:
        kind: The class.
        loss: What its default stands for.
        remedies: Settings, beside those that all its models have.
        more: Of `Package`.
    """
    scales = tuple({"scale": scale} for scale in (0.5, 0.2, 0.1))
    released, kept = ({"delta": 1.1}, {"delta": 1.2}), ({"delta": 1.1},)
    return Package(
        title=f"multivae {kind}",
        package="multivae",
        requires=("multivae==1.0.3", "torchvision==0.28.0"),
        users="learning over several modalities",
        data=(
            "scikit-learn's digits cut into upper and lower halves of 32 pixels in [0, 1]: 1,000 to train, 397 to "
            f"validate, 400 to test; its trainer for {EPOCHS} epochs at a learning rate of 0.001 (by default 100 at "
            "0.0001); coherence by a classifier of each half, right on 87% and 90% of the test part's own halves"
        ),
        latent_dim=10,
        loss=loss,
        metric="coherence",
        more=True,
        remedies={"default": ({},), "own knob": scales, "lambda released": released, "lambda": kept, **remedies},
        run=lambda seed, remedy, setting: _run(kind, seed, remedy, setting),
        diagnose="diagnose_multivae(model, test)",
        equalize=f"equalize_multivae(model, 1.1, total_epochs={EPOCHS}, release_epochs={EPOCHS // 3})",
        **more,
    )


def _run(kind: str, seed: int, remedy: str, setting: Mapping[str, Any]) -> Found:
    torchvision_names.importable()
    from multivae import models
    from multivae.trainers import BaseTrainer, BaseTrainerConfig

    from lambda_vae.integrations.multivae import diagnose_multivae, equalize_multivae

    classifiers, rest, delta = _classifiers(), dict(setting), setting.get("delta")
    rest.pop("delta", None)
    if "scale" in rest:
        scale = rest.pop("scale")
        rest["decoder_dist_params"] = {name: {"scale": scale} for name in _WIDTHS}
    torch.manual_seed(seed)
    model: Any = getattr(models, kind)(
        getattr(models, f"{kind}Config")(n_modalities=2, latent_dim=10, input_dims=_WIDTHS, **rest)
    )
    if delta is not None:
        release = {"total_epochs": EPOCHS, "release_epochs": EPOCHS // 3} if remedy == "lambda released" else {}
        equalize_multivae(model, delta, **release)
    with tempfile.TemporaryDirectory() as folder:
        training = BaseTrainerConfig(output_dir=folder, num_epochs=EPOCHS, learning_rate=1e-3, seed=seed, no_cuda=True)
        logging.disable(logging.CRITICAL)
        BaseTrainer(model, _digits("train"), None, training_config=training).train()
    model.eval()
    torch.manual_seed(seed)
    reports = {part: diagnose_multivae(model, _digits(part), equalizer=None) for part in ("validation", "test")}
    measured = {part: _measured(model, part, classifiers) for part in reports}
    for part, report in reports.items():
        measured[part] |= {"bound": report.nll_bound, "nll_iw": report.nll_iw}
    return Found(reports["test"], measured["validation"], measured["test"], (model,))


def _measured(model: Any, part: str, classifiers: dict[str, nn.Module]) -> dict[str, float]:
    """Multivae's own evaluators: the other half generated from one, both from the prior, and its -log p of both."""
    from multivae.metrics import (
        CoherenceEvaluator,
        CoherenceEvaluatorConfig,
        LikelihoodsEvaluator,
        LikelihoodsEvaluatorConfig,
    )

    data, config = _digits(part), CoherenceEvaluatorConfig(num_classes=10, nb_samples_for_cross=5)
    coherence = CoherenceEvaluator(model, classifiers, data, eval_config=config).eval()
    found = {"coherence": coherence.mean_coherence_1, "joint coherence": coherence.joint_coherence_prior}
    if part == "test":
        evaluator = LikelihoodsEvaluator(model, data, eval_config=LikelihoodsEvaluatorConfig(num_samples=100))
        found["joint_likelihood, its own, of 100 samples"] = evaluator.joint_nll()
    return {name: float(value) for name, value in found.items()}


@cache
def _tables() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    digits, order = load_digits(), torch.randperm(1797, generator=torch.Generator().manual_seed(0))
    return torch.tensor(digits.data / 16).float()[order], torch.tensor(digits.target)[order]


def _digits(part: str) -> Any:
    from multivae.data import MultimodalBaseDataset

    x, y = (table[_PARTS[part]] for table in _tables())
    return MultimodalBaseDataset({"top": x[:, :32], "bottom": x[:, 32:]}, labels=y)


@cache
def _classifiers() -> dict[str, nn.Module]:
    """Of the digit, from each half; the same for all runs."""
    torch.manual_seed(0)
    train, found = _digits("train"), {}
    for name in _WIDTHS:
        found[name] = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
        optimizer = torch.optim.Adam(found[name].parameters(), 1e-2, weight_decay=1e-4)
        for _ in range(200):
            optimizer.zero_grad()
            nn.functional.cross_entropy(found[name](train.data[name]), train.labels).backward()
            optimizer.step()
    return found
