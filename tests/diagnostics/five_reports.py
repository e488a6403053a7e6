"""Reports of five models, for one release of `diagnose` to be held against the next."""

import json
from pathlib import Path

import torch
from linear_gaussian import draw, equalized, linear_vae, loadings
from planted import SCENES, planted
from planted_causes import LinearData

from lambda_vae.any_vae import diagnose
from lambda_vae.distributions import BernoulliLikelihood
from lambda_vae.likelihoods import gaussian
from lambda_vae.model import VAE
from lambda_vae.networks import mlp
from lambda_vae.posteriors import GaussianPosterior
from lambda_vae.priors import StandardNormalPrior

BEFORE = Path(__file__).with_name("five_reports.json")


def linear():
    true, used = loadings([8.0, 4.0, 2.0, 3.0, 0.0]), loadings([8.0, 4.0, 2.0, 0.0, 0.0])
    return linear_vae(used), draw(true, 1500)


def with_lambda():
    torch.manual_seed(0)
    vae = VAE(
        mlp(12, (16,)), GaussianPosterior(16, 4), StandardNormalPrior(4), mlp(4, (16,), 12), BernoulliLikelihood(12)
    )
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.mul_(2.0)
    x = torch.rand(900, 12, generator=torch.Generator().manual_seed(1)).lt(0.4).float()
    return equalized(vae, torch.tensor([1.0, 1.5, 2.0, 4.0]), delta=1.1), x


def foreign(law, shape, examples):
    model = planted(law, shape, SCENES["everything at once"], examples, 3)
    return model.encode, model.log_likelihood, model.x


def wrong_noise():
    data = LinearData(seed=2)
    encode, decode = data.optimum(1.0, 1.2)
    return encode, gaussian(decode, std=1.2), data.draw(2000)


MODELS = {
    "linear": linear,
    "lambda": with_lambda,
    "Gaussian maps, foreign": lambda: foreign("Gaussian", "[B, C, H, W]", 600),
    "Bernoulli, foreign": lambda: foreign("Bernoulli", "[B, D]", 2000),
    "decoder noise": wrong_noise,
}

_COLUMNS = (
    "kl", "std_mean", "std_spread", "sampling_std", "signal_power", "reconstruction_gradient", "snr_capacity",
    "decoder_capacity", "capacity_lost", "bound_gain",
)  # fmt: skip


def numbers(report):
    """What is held: every number as (value, standard error), every verdict and cause."""
    readings = {name: getattr(report.dimensions, name) for name in _COLUMNS}
    readings["gradient_ratio"] = report.dimensions.gradient_ratio.ratio
    found = {name: [reading.value.tolist(), reading.stderr.tolist()] for name, reading in readings.items()}
    found |= {name: [[float(r.value)], [float(r.stderr)]] for name, r in report.likelihood.items()}
    for name, one in report.importance.items():
        found[f"nll_iw.{name}"] = [[float(one.nll.value)], [float(one.nll.stderr)]]
    residual = report.residual
    return {
        "numbers": found,
        "verdicts": [str(label) for label in report.verdicts],
        "causes": [None if cause is None else str(cause) for cause in report.causes],
        "active_directions": report.active_directions,
        "residual_directions": None if residual is None else residual.directions,
        "residual_strongest": None if residual is None else residual.strongest,
    }


def measured(name, **options):
    """The numbers of one model's report."""
    return numbers(diagnose(*MODELS[name](), **options))


if __name__ == "__main__":
    from lambda_vae.runs.provenance import repository_state

    record = {
        "command": "PYTHONPATH=src:tests:tests/adapters python tests/diagnostics/five_reports.py",
        "commit": repository_state()[0],
        "iw_samples": 64,
        "reports": {name: measured(name, iw_samples=64) for name in MODELS},
    }
    BEFORE.write_text(json.dumps(record, indent=1) + "\n")
