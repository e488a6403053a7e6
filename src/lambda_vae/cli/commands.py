"""What each command does: options in, the library called, what came of it printed; no maths."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from rich.console import Console

from lambda_vae.cli import options as parsers
from lambda_vae.cli.options import Parser, fail, process_number
from lambda_vae.errors import InputError

if TYPE_CHECKING:
    from lambda_vae.comparisons.executor import Engine
    from lambda_vae.data import ImageOptions
    from lambda_vae.diagnostics import CollapseReport
    from lambda_vae.runs import RunConfig

__all__ = ["COMMANDS"]


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _say(console: Console, text: str) -> None:
    """Print text as it is: names from outside are never markup, and paths are not broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _train(options: Namespace, console: Console) -> None:
    from lambda_vae.runs import RunConfig, train
    from lambda_vae.runs.config import checked_config

    out = Path(options.out)
    config = checked_config({name: getattr(options, name) for name in RunConfig.__dataclass_fields__})
    if options.estimate:
        _estimate(config, console)
        return
    metrics = train(
        config,
        out,
        resume=options.resume,
        fork=_path(options.fork),
        keep_checkpoints=tuple(options.keep_checkpoints),
        console=console,
    )
    _say(console, metrics["verdict"])
    if options.report and process_number() == 0:
        _write_report(out, console)


def _estimate(config: "RunConfig", console: Console) -> None:
    from lambda_vae.runs.build import load_data
    from lambda_vae.runs.cost import cost_of, cost_table

    console.print(cost_table(cost_of(config, load_data(config)), f"{config.method} on {config.data}"))


def _compare(options: Namespace, console: Console) -> None:
    from lambda_vae.comparisons import CompareConfig, compare
    from lambda_vae.comparisons._compare import VARIED
    from lambda_vae.comparisons.executors import engine_named
    from lambda_vae.records import load_comparison
    from lambda_vae.reports.console import print_comparison
    from lambda_vae.runs import RunConfig
    from lambda_vae.runs.config import checked_config

    choice = CompareConfig(
        tuple(options.methods), tuple(options.delta), tuple(options.release_epochs), options.seeds, options.workers
    )
    out = Path(options.out)
    base = checked_config({name: getattr(options, name) for name in RunConfig.__dataclass_fields__.keys() - VARIED})
    engine = engine_named(options.engine, options.ray_address)
    known = tuple(Path(path) for path in options.known)
    rows = compare(base, choice, out, resume=options.resume, known=known, console=console, engine=engine)
    print_comparison(load_comparison(out), console)
    _write_report(out, console)
    _fail_if_any_failed(rows)


def _fail_if_any_failed(rows: Sequence[Mapping[str, Any]]) -> None:
    failed = [row["run"] for row in rows if row["status"] not in ("done", "waiting")]
    if failed:
        fail(f"{len(failed)} of {len(rows)} runs failed: {', '.join(failed)}; the report gives the reasons", code=1)


def _reproduce(options: Namespace, console: Console) -> None:
    from lambda_vae.comparisons.executors import engine_named
    from lambda_vae.paper._reproduce import Reproduction, reproduce
    from lambda_vae.paper.figures import FIGURES
    from lambda_vae.reports.publish import write_results

    engine = engine_named(options.engine, options.ray_address)
    if options.table in FIGURES:
        _reproduce_figure(options, console, engine)
        return
    if options.runs:
        raise InputError(f"{options.table} is no figure; leave out --runs, or give --known an archive")
    known = tuple(Path(path) for path in options.known)
    settings = {name: getattr(options, name) for name in ("table", "scale", "optional", "seeds", "workers")}
    choice = Reproduction(**settings, data=options.data or "", only=tuple(options.only), known=known)
    out = _path(options.out) or choice.default_out
    rows = reproduce(choice, out, resume=options.resume, console=console, engine=engine)
    _say(console, f"table: {write_results(out, out / f'{choice.table}.md')}")
    _write_report(out, console)
    _fail_if_any_failed(rows)


def _reproduce_figure(options: Namespace, console: Console, engine: "Engine") -> None:
    from lambda_vae.paper.figures import FigureChoice, reproduce_figure

    of_tables = [f"--{name}" for name in ("only", "optional", "seeds", "known") if getattr(options, name)]
    if of_tables:
        raise InputError(f"{options.table} is a figure; {', '.join(of_tables)} is for tables, leave it out")
    runs = tuple(Path(path) for path in options.runs)
    choice = FigureChoice(options.table, options.data, options.scale, options.workers, runs)
    out = _path(options.out) or choice.default_out
    rows = reproduce_figure(choice, out, resume=options.resume, console=console, engine=engine)
    _say(console, f"figure: {out / f'{choice.name}.svg'}")
    _say(console, f"claims: {out / f'{choice.name}.md'}")
    _fail_if_any_failed(rows)


def _tune(options: Namespace, console: Console) -> None:
    from lambda_vae.cli.tables import tuned_table
    from lambda_vae.comparisons._tune import tune
    from lambda_vae.comparisons.aims import aim_named
    from lambda_vae.runs import RunConfig
    from lambda_vae.runs.config import checked_config

    names = RunConfig.__dataclass_fields__.keys() - {"delta", "release_epochs"}
    base, out = checked_config({name: getattr(options, name) for name in names}), Path(options.out)
    aim = aim_named(options.aim, within=options.within, capacity=options.capacity, latent_dim=base.latent_dim)
    settings = {name: getattr(options, name) for name in ("budget", "seeds", "release", "workers", "final", "resume")}
    found = tune(base, aim, out, **settings, console=console)
    console.print(tuned_table(found))
    _write_report(out, console)
    _say(console, f"the run to train: lambda-vae train --config {out / 'tuned.yaml'} --out DIR")


def _diagnose(options: Namespace, console: Console) -> None:
    from lambda_vae.files import write_json

    if options.run is None and options.adapter is None:
        raise InputError(
            "RUN is missing; give the folder of a run, or --adapter package.module:function of a VAE of yours"
        )
    if options.run is not None and options.adapter is not None:
        raise InputError(f"both a run ({options.run}) and --adapter {options.adapter} were given; choose one")
    report = _diagnosed_adapter(options) if options.run is None else _diagnosed_run(options)
    _say(console, str(report))
    if options.json is not None:
        write_json(Path(options.json), report.to_record())
    if options.html is not None:
        _say(console, f"report: {report.to_html(options.html, title=options.adapter or Path(options.run).name)}")


def _diagnosed_run(options: Namespace) -> "CollapseReport":
    from lambda_vae.runs import diagnose_run

    return diagnose_run(Path(options.run), iw_samples=options.iw_samples, data=options.data)


def _diagnosed_adapter(options: Namespace) -> "CollapseReport":
    from lambda_vae.any_vae import diagnose, load_adapter
    from lambda_vae.any_vae.named import named_batches

    adapter = load_adapter(options.adapter)
    data = adapter.data if options.data is None else named_batches(options.data)
    if data is None:
        raise InputError(f"{options.adapter} returns no data; add --data, or return encode, log_likelihood, data")
    dim = int(options.dim) if options.dim.isdigit() else options.dim
    samples = 64 if options.iw_samples is None else options.iw_samples
    try:
        return diagnose(*adapter.callables, data, **{"dim": dim, "iw_samples": samples, **adapter.options})
    except TypeError as error:
        if not str(error).startswith("diagnose() "):  # the user's own code's
            raise
        raise InputError(f"{options.adapter}: {error}") from None


def _information(options: Namespace, console: Console) -> None:
    from lambda_vae.files import write_json
    from lambda_vae.measures.information import information_tables, measure_information
    from lambda_vae.reports.informations import informations_page
    from lambda_vae.reports.side_by_side import check_places, write_results

    check_places(options.runs, options.out, _path(options.results))
    records = []
    for run in options.runs:
        begun = time.monotonic()
        report = measure_information(Path(run), examples=options.examples, draws=options.draws, seed=options.seed)
        records.append(report.to_result(time.monotonic() - begun))
        for table in information_tables(report):
            console.print(table)
        if options.out is not None:
            write_json(Path(options.out), report.to_record())
            _say(console, f"numbers: {options.out}")
    if options.results is not None:
        _say(console, f"results: {write_results(records, informations_page(records), Path(options.results))}")


def _likelihood(options: Namespace, console: Console) -> None:
    from lambda_vae.measures.likelihood import LikelihoodChoice, measure_likelihood
    from lambda_vae.measures.likelihood_record import likelihood_table
    from lambda_vae.reports.likelihoods import likelihoods_page
    from lambda_vae.reports.side_by_side import check_places, write_results

    values = {name: getattr(options, name) for name in LikelihoodChoice.__dataclass_fields__}
    choice = LikelihoodChoice(**{**values, "proposals": tuple(options.proposals)})
    check_places(options.runs, options.out, _path(options.results))
    records = []
    for run in options.runs:
        settings = {"data": options.data, "resume": options.resume, "console": console}
        records.append(measure_likelihood(Path(run), choice, _path(options.out), **settings))
        console.print(likelihood_table(records[-1]))
    if options.results is not None:
        _say(console, f"results: {write_results(records, likelihoods_page(records), Path(options.results))}")


def _gradients(options: Namespace, console: Console) -> None:
    from lambda_vae.files import write_json
    from lambda_vae.measures.gradients import gradients_table, measure_gradients

    found = measure_gradients(Path(options.run), reference_std=options.reference_std, seed=options.seed)
    for rows in filter(None, (found.pooled, found.runs)):
        console.print(gradients_table(rows))
    for sentence in found.remarks:
        _say(console, sentence)
    if options.out is not None:
        write_json(Path(options.out), found.to_record())
        _say(console, f"written: {options.out}")


def _sample(options: Namespace, console: Console) -> None:
    from lambda_vae.measures.decode import draw_samples

    path = draw_samples(Path(options.run), options.n, options.seed, _path(options.out), options.sampler)
    _say(console, f"samples: {path}")


def _generation(options: Namespace, console: Console) -> None:
    from lambda_vae.measures.generation import GenerationConfig, measure_generation
    from lambda_vae.reports.samples import generation_notes, generation_table

    names, judge = tuple(options.samplers), _path(options.judge)
    config = GenerationConfig(names, options.n, options.features, judge, options.seed)
    out = _path(options.out) or Path(options.run) / "generation"
    record = measure_generation(Path(options.run), config, out, save=options.save_samplers)
    console.print(generation_table(record))
    for note in generation_notes(record):
        _say(console, note)
    _say(console, f"generation: {out}")


def _reconstruct(options: Namespace, console: Console) -> None:
    from lambda_vae.measures.decode import draw_reconstructions

    path = draw_reconstructions(Path(options.run), options.n, options.data, _path(options.out))
    _say(console, f"reconstructions: {path}")


def _share(options: Namespace, console: Console) -> None:
    from lambda_vae.sharing.hub import check_push, push_to_hub
    from lambda_vae.sharing.share import share_run

    if options.private and options.push is None:
        raise InputError("--private says how to push; add --push OWNER/NAME, or leave it out")
    if options.push is not None:
        check_push(options.push)
    _say(console, f"shared: {share_run(options.run, options.out)}")
    if options.push is not None:
        _say(console, f"pushed: {push_to_hub(options.out, options.push, private=options.private)}")


def _export(options: Namespace, console: Console) -> None:
    from lambda_vae.sharing.export import export_run

    for path in export_run(options.run, options.out, options.format):
        _say(console, f"exported: {path}")


def _report(options: Namespace, console: Console) -> None:
    from lambda_vae.paper.drawings import find_drawing, write_drawing
    from lambda_vae.reports.publish import write_results

    drawn = find_drawing(Path(options.run))
    if drawn is not None:
        page = Path(options.results or Path(options.run) / f"{drawn['figure']}.md")
        _say(console, f"figure: {write_drawing(drawn, page)}")
        return
    if options.results is not None:
        path = write_results(Path(options.run), Path(options.results), options.epochs)
        _say(console, f"results: {path}")
    _write_report(Path(options.run), console)


def _write_report(folder: Path, console: Console) -> None:
    from lambda_vae.reports import write_report
    from lambda_vae.reports.publish import write_figures

    write_figures(folder)
    _say(console, f"report: {write_report(folder)}")


def _predict(options: Namespace, console: Console) -> None:
    from lambda_vae.any_vae import predict
    from lambda_vae.files import write_json
    from lambda_vae.reports.prediction import prediction_table
    from lambda_vae.reports.style import check_ending

    if options.out is not None:
        check_ending(Path(options.out))
    settings = {name: getattr(options, name) for name in ("reduction", "latent_dim", "likelihood", "binarised")}
    found = predict(options.data, noise_std=options.noise, kl_weight=options.beta, **settings)
    for sentence in found.sentences:
        _say(console, sentence)
    console.print(prediction_table(found.to_dict()))
    if options.json is not None:
        write_json(Path(options.json), found.to_dict())
    if options.out is not None:
        _say(console, f"figure: {found.plot(options.out)}")


def _theory(options: Namespace, console: Console) -> None:
    from lambda_vae.measures.theory import draw_theory, theory_table

    table = theory_table(options.delta, options.latent_dim, options.max_exponent)
    if options.out is not None:  # a path that cannot be written is refused before anything is shown
        draw_theory(options.delta, options.max_exponent, Path(options.out))
    console.print(table)
    if options.out is not None:
        _say(console, f"figure: {options.out}")


def _list(_options: Namespace, console: Console) -> None:
    from lambda_vae.cli.tables import methods_table

    console.print(methods_table())


def _data_list(_options: Namespace, console: Console) -> None:
    from lambda_vae.cli.tables import data_table

    console.print(data_table())


def _image_options(options: Namespace) -> "ImageOptions":
    from lambda_vae.data import ImageOptions

    return ImageOptions(options.image_size, options.image_colour, options.unfit_images)


def _data_prepare(options: Namespace, console: Console) -> None:
    from lambda_vae.data import load

    for name in options.names:
        dataset = load(name, images=_image_options(options))
        what = f"{len(dataset.train)} train, {len(dataset.test)} test, shape {dataset.shape}"
        _say(console, f"{dataset.name}: {what}, sha256 {dataset.sha256[:16]}\n  {dataset.source}")


def _data_verify(options: Namespace, console: Console) -> None:
    from lambda_vae.data import verify

    bad = []
    for name in options.names:
        for check in verify(name, images=_image_options(options)):
            _say(console, f"{'ok ' if check.ok else 'BAD'}  {check.what}: {check.detail}")
            bad += [] if check.ok else [check.what]
    if bad:
        fail(f"{len(bad)} checks failed ({', '.join(bad)}); remove those files and prepare the data again")


#: Every command: how to parse it, what it calls.
COMMANDS: dict[str, tuple[Callable[[], Parser], Callable[[Namespace, Console], None]]] = {
    "compare": (parsers.compare_parser, _compare),
    "train": (parsers.train_parser, _train),
    "reproduce": (parsers.reproduce_parser, _reproduce),
    "tune": (parsers.tune_parser, _tune),
    "diagnose": (parsers.diagnose_parser, _diagnose),
    "information": (parsers.information_parser, _information),
    "likelihood": (parsers.likelihood_parser, _likelihood),
    "gradients": (parsers.gradients_parser, _gradients),
    "sample": (parsers.sample_parser, _sample),
    "generation": (parsers.generation_parser, _generation),
    "reconstruct": (parsers.reconstruct_parser, _reconstruct),
    "share": (parsers.share_parser, _share),
    "export": (parsers.export_parser, _export),
    "report": (parsers.report_parser, _report),
    "predict": (parsers.predict_parser, _predict),
    "theory": (parsers.theory_parser, _theory),
    "list": (lambda: Parser(description="List the methods."), _list),
    "data list": (lambda: parsers.data_parser("list"), _data_list),
    "data prepare": (lambda: parsers.data_parser("prepare"), _data_prepare),
    "data verify": (lambda: parsers.data_parser("verify"), _data_verify),
}
