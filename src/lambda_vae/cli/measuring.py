"""Commands that measure what was trained, and hand it on."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from rich.table import Table

from lambda_vae import any_vae, measures, runs, sharing
from lambda_vae.any_vae import load_adapter
from lambda_vae.any_vae.named import named_batches
from lambda_vae.cli.ending import process_number
from lambda_vae.diagnostics import CollapseReport
from lambda_vae.errors import InputError
from lambda_vae.estimation.shares import Shares
from lambda_vae.files import write_json
from lambda_vae.measures.gradients import gradients_table
from lambda_vae.measures.information import information_tables
from lambda_vae.measures.likelihood_record import likelihood_table
from lambda_vae.reports.informations import informations_page
from lambda_vae.reports.likelihoods import likelihoods_page
from lambda_vae.reports.samples import generation_notes, generation_table
from lambda_vae.reports.side_by_side import check_places, write_measurements
from lambda_vae.runs.processes import launched
from lambda_vae.sharing.hub import check_push

__all__ = [
    "diagnose",
    "export",
    "generation",
    "gradients",
    "information",
    "likelihood",
    "reconstruct",
    "sample",
    "share",
]


def diagnose(
    run: Path | None = None,
    *,
    adapter: str | None = None,
    dim: str = "channel",
    data: str | None = None,
    html: Path | None = None,
    iw_samples: int | None = None,
    json: Path | None = None,
    memory: str | None = None,
) -> Iterator[str]:
    """Say which dimensions of a trained run, or of any VAE, collapsed, and why.

    Args:
        run: folder of a run; else --adapter
        adapter: package.module:function that returns encode, log_likelihood (and data) of a VAE of yours
        dim: of an adapter's latents: channel, site or an axis
        data: other data than the run's or the adapter's own
        html: write the report as a page there too
        iw_samples: importance samples, 0 for none; else a run's own number, of an adapter the two draws at hand
        json: write the measures there too
        memory: that the work may take besides model and data, such as 1GiB; else about as an ELBO pass
    """
    if run is not None and adapter is not None:
        raise InputError(f"both a run ({run}) and --adapter {adapter} were given; choose one")
    options: dict[str, Any] = {"memory": memory, "progress": True}
    if iw_samples is not None:
        options["iw_samples"] = iw_samples
    if run is None and adapter is None:
        raise InputError(
            "RUN is missing; give the folder of a run, or --adapter package.module:function of a VAE of yours"
        )
    with launched() as group:
        options["process_group"] = group
        if run is not None:
            report = runs.diagnose_run(run, data=data, **options)
        else:
            report = _diagnose_adapter(str(adapter), dim, data, options)
    if process_number() > 0:  # one speaks and writes for all
        return
    yield str(report)
    if json is not None:
        write_json(json, report.to_record())
    if html is not None:
        yield f"report: {report.to_html(html, title=adapter or (run or html).name)}"


def _diagnose_adapter(name: str, dim: str, data: str | None, options: dict[str, Any]) -> CollapseReport:
    with Shares(options["process_group"]):  # what one cannot read, all hear of
        adapter = load_adapter(name)
        x = adapter.data if data is None else named_batches(data)
        if x is None:
            raise InputError(f"{name} returns no data; add --data, or return encode, log_likelihood, data")
    settings = {"dim": int(dim) if dim.isdigit() else dim, **options, **adapter.options}
    try:
        return any_vae.diagnose(*adapter.callables, x, **settings)
    except TypeError as error:
        if not str(error).startswith("diagnose() "):  # the user's own code's
            raise
        raise InputError(f"{name}: {error}") from None


def information(
    runs: Sequence[Path],
    *,
    out: Path | None = None,
    results: Path | None = None,
    **settings: Annotated[Any, measures.measure_information],
) -> Iterator[str | Table]:
    """Split the KL of trained runs: what z tells about x, redundancy, misfit to the prior.

    Args:
        out: write all numbers of one run to this .json
        results: write a results page (.md) of all runs, too
    """
    check_places(runs, out, results)
    records = []
    for run in runs:
        begun = time.monotonic()
        report = measures.measure_information(run, **settings)
        records.append(report.to_result(time.monotonic() - begun))
        yield from information_tables(report)
        if out is not None:
            write_json(out, report.to_record())
            yield f"numbers: {out}"
    if results is not None:
        yield f"results: {write_measurements(records, informations_page(records), results)}"


def likelihood(
    runs: Sequence[Path],
    choice: measures.LikelihoodChoice,
    *,
    results: Path | None = None,
    out: Path | None = None,
    **settings: Annotated[Any, measures.measure_likelihood],
) -> Iterator[str | Table]:
    """Estimate -ln p(x) of trained runs by every means there is, and from two sides.

    Args:
        out: write to this .json; else RUN/likelihood.json
        results: write a results page (.md) of all runs, too
    """
    check_places(runs, out, results)
    records = []
    for run in runs:
        records.append(measures.measure_likelihood(run, choice, out, **settings))
        yield likelihood_table(records[-1])
    if results is not None:
        yield f"results: {write_measurements(records, likelihoods_page(records), results)}"


def gradients(
    run: Path, *, out: Path | None = None, **settings: Annotated[Any, measures.measure_gradients]
) -> Iterator[str | Table]:
    """Proposition 1 and 2 in trained runs: decay exponent α, ρ_crit, attenuation c.

    Args:
        run: folder of a run or a comparison
        out: write everything to this .json
    """
    found = measures.measure_gradients(run, **settings)
    yield from map(gradients_table, filter(None, (found.pooled, found.runs)))
    yield from found.remarks
    if out is not None:
        write_json(out, found.to_record())
        yield f"written: {out}"


def generation(
    run: Path, choice: measures.GenerationConfig, *, save_samplers: bool = False, out: Path | None = None
) -> Iterator[str | Table]:
    """Measure what a run generates: from its prior, and from distributions fitted to its training codes.

    Args:
        save_samplers: write the fits too, as safetensors
        out: folder for table and picture; else RUN/generation
    """
    record = measures.measure_generation(run, choice, out or run / "generation", save=save_samplers)
    yield generation_table(record)
    yield from generation_notes(record)
    yield f"generation: {out or run / 'generation'}"


def sample(run: Path, **settings: Annotated[Any, measures.draw_samples]) -> Iterator[str]:
    """Draw from the prior, or from a distribution fitted to the training codes, and decode."""
    yield f"samples: {measures.draw_samples(run, **settings)}"


def reconstruct(run: Path, **settings: Annotated[Any, measures.draw_reconstructions]) -> Iterator[str]:
    """Decode the mean codes of test examples."""
    yield f"reconstructions: {measures.draw_reconstructions(run, **settings)}"


def share(run: Path, out: Path, *, push: str | None = None, private: bool = False) -> Iterator[str]:
    """Write a run as a folder to hand on: weights, config with the diagnosis, model card.

    Args:
        out: a new folder
        push: send it to the hub too, as OWNER/NAME
        private: --push: hide a new repository from others
    """
    if private and push is None:
        raise InputError("--private says how to push; add --push OWNER/NAME, or leave it out")
    if push is not None:
        check_push(push)
    yield f"shared: {sharing.share_run(run, out)}"
    if push is not None:
        yield f"pushed: {sharing.push_to_hub(out, push, private=private)}"


def export(run: Path, out: Path, **settings: Annotated[Any, sharing.export_run]) -> Iterator[str]:
    """Write encoder and decoder as programmes that run without lambda-vae, checked against the model.

    Args:
        out: a new folder
    """
    yield from (f"exported: {path}" for path in sharing.export_run(run, out, **settings))
