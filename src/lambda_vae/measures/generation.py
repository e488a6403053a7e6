"""What a finished run generates, sampler by sampler: measured, written down, drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lambda_vae.checked import check_known
from lambda_vae.data import check_no_sequences, epoch_order
from lambda_vae.errors import InputError
from lambda_vae.estimation import Reading
from lambda_vae.estimation.moments import reading_of
from lambda_vae.files import write_json
from lambda_vae.generation import (
    FEATURES,
    FITTED,
    SAMPLERS,
    FeatureSpace,
    Judge,
    Sampler,
    SamplerRow,
    aggregate_codes,
    code_space,
    draw_examples,
    elbo_under,
    fidelity,
    pca_space,
    pixel_space,
    save_sampler,
)
from lambda_vae.generation.row import plain
from lambda_vae.measures.samplers import FITTED_ON, chance, sampler_of
from lambda_vae.reports.samples import samples_figure
from lambda_vae.reports.style import save_figure
from lambda_vae.runs.config import check_seed
from lambda_vae.runs.image_arrays import pixels, shown
from lambda_vae.runs.load import LoadedRun, load_run

__all__ = ["GenerationConfig", "measure_generation", "prior_elbos"]

_SHOWN = 36


@dataclass(frozen=True)
class GenerationConfig:
    """What is measured.

    Args:
        samplers: Of z: prior, gaussian, mixture, flow.
        n: Samples of each, and measured examples; fewer where there are fewer of the latter.
        features: Space of the distances: pixels, pca or codes.
        judge: Folder of another finished run on the same data that scores too.
        seed: Of fits and draws.

    Raises:
        InputError: An unknown name, n below 2, or a seed that no generator takes.
    """

    samplers: tuple[str, ...] = SAMPLERS
    n: int = 5000
    features: str = "pca"
    judge: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.samplers:
            check_known("sampler", name, SAMPLERS, "it is one of")
        check_known("feature space", self.features, FEATURES, "it is one of")
        if self.n < 2:
            raise InputError(f"n is {self.n}; it must be at least 2")
        check_seed(self.seed)


def measure_generation(path: Path, config: GenerationConfig, out: Path, *, save: bool = False) -> dict[str, Any]:
    """Return the record of what was measured, and write it as `generation.json`, with `samples.png` for images.

    Args:
        path: Folder of a finished run.
        config: What is measured.
        out: Where to write.
        save: Whether to write the fits too, as NAME.safetensors.

    Raises:
        InputError: No finished run, one of sequences, a judge of other data, or codes that carry no fit.
    """
    run = load_run(path)
    check_no_sequences(run.dataset, "measuring what a run generates")
    judges = _judges(run, config.judge)
    real = _measured(run, config.n)
    space = _space(run, config, judges[-1])
    samplers = [sampler_of(run, name, config.seed) for name in config.samplers]
    rows = []
    for name, note, x, density in _examples(run, samplers, real, config.seed):
        scores = {judge.name: elbo_under(judge, x, chance(config.seed, "judge")) for judge in judges}
        measured = fidelity(space.embed(real), space.embed(x), space.name, chance(config.seed, "subsets"))
        rows.append(SamplerRow(name, note, measured, scores, density))
    reference = {judge.name: plain(elbo_under(judge, real, chance(config.seed, "judge"))) for judge in judges}
    record = _record(run, config, rows, len(real)) | {"elbo_of_measured": reference}
    write_json(out / "generation.json", record)
    if run.dataset.kind == "image":
        save_figure(samples_figure(_pictures(run, samplers, real, config.seed)), out / "samples.png")
    for sampler in samplers if save else ():
        if sampler.name in FITTED:
            save_sampler(out / f"{sampler.name}.safetensors", sampler)
    return record


def prior_elbos(runs: Sequence[Path], judge: Path, n: int, seed: int = 0) -> list[tuple[Reading, Reading]]:
    """Return the ELBO of each run's draws from its prior, under a judge and under itself; nats per example.

    Args:
        runs: Folders of finished runs.
        judge: Folder of the run that scores them all.
        n: Draws of each.
        seed: Of the draws.

    Raises:
        InputError: No finished run, or one that saw other data than the judge.
    """
    found = []
    for path in runs:
        run = load_run(path)
        own, other = _judges(run, judge)
        x = draw_examples(run.vae, sampler_of(run, "prior", seed), n, chance(seed, "examples"))
        under, itself = (elbo_under(one, x, chance(seed, "judge")) for one in (other, own))
        found.append((under, itself))
    return found


def _measured(run: LoadedRun, n: int) -> Tensor:
    """A fixed random choice of what the run is measured on: in MNIST's file the cleaner half comes first."""
    view = run.measured
    chosen = view.index[epoch_order(len(view.index), seed=0, epoch=0)]
    return replace(view, index=chosen).head(n)


def _judges(run: LoadedRun, other: Path | None) -> list[Judge]:
    """The run itself, and the other one if there is one."""
    judges = [Judge(run.folder.path.resolve().name, run.vae)]
    if other is None:
        return judges
    judge = load_run(other)
    if _seen(judge) != _seen(run):
        raise InputError(f"{other} saw other data than {run.folder.path}; give a judge of the same data and likelihood")
    name = other.resolve().name
    return [*judges, Judge(name if name != judges[0].name else f"{name} (judge)", judge.vae)]


def _seen(run: LoadedRun) -> tuple[str, str, bool]:
    binary = run.binarisation != "none"
    return run.dataset.sha256, run.likelihood, binary


def _space(run: LoadedRun, config: GenerationConfig, judge: Judge) -> FeatureSpace:
    if config.features == "codes":
        return code_space(judge.vae, judge.name)
    return pixel_space() if config.features == "pixels" else pca_space(run.probe(FITTED_ON))


def _examples(
    run: LoadedRun, samplers: list[Sampler], real: Tensor, seed: int
) -> Iterator[tuple[str, str, Tensor, Reading | None]]:
    """What is compared with the measured examples: training examples, which show how high a value can be, and draws."""
    n = len(real)
    training = run.probe(n).head(n)
    yield "training data", f"{len(training)} training examples, for comparison", training, None
    codes = aggregate_codes(run.vae, torch.split(real, 500), chance(seed, "measured codes"))
    for sampler in samplers:
        reading = reading_of(sampler.log_prob(codes), "nats per example")
        yield sampler.name, sampler.note, draw_examples(run.vae, sampler, n, chance(seed, "examples")), reading


def _record(run: LoadedRun, config: GenerationConfig, rows: list[SamplerRow], n: int) -> dict[str, Any]:
    return {
        "schema": 1,
        "run": run.folder.path.resolve().name,
        "data": run.dataset.name,
        "data_sha256": run.dataset.sha256,
        "measured_on": run.dataset.measured_on,
        "n": n,
        "seed": config.seed,
        "space": rows[0].fidelity.space,
        "neighbours": rows[0].fidelity.neighbours,
        "rows": [row.to_record() for row in rows],
    }


@torch.no_grad()
def _pictures(run: LoadedRun, samplers: list[Sampler], real: Tensor, seed: int) -> dict[str, Any]:
    """p(x|z) of each sampler's first draws next to measured examples; runs of one seed share the noise of z."""
    groups = {f"{run.dataset.measured_on} data": pixels(real[:_SHOWN], run.dataset.shape)}
    for sampler in samplers:
        z = sampler.sample(_SHOWN, chance(seed, "pictures"))
        groups[sampler.name] = pixels(shown(run.vae.decode(z), seed), run.dataset.shape)
    return groups
