"""The command line: it parses and calls; no maths."""

import difflib
import errno
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace
from rich.console import Console

from lambda_vae.errors import InputError
from lambda_vae.options import (
    PROGRAM,
    Parser,
    compare_parser,
    data_parser,
    diagnose_parser,
    fail,
    information_parser,
    process_number,
    reconstruct_parser,
    report_parser,
    reproduce_parser,
    sample_parser,
    theory_parser,
    train_parser,
    tune_parser,
)

if TYPE_CHECKING:
    from lambda_vae.diagnostics import CollapseReport

__all__ = ["main"]

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _say(console: Console, text: str) -> None:
    """Print text as it is: names from outside are never markup, and paths are not broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _train(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments import RunConfig, train
    from lambda_vae.experiments.config import checked_config

    out = Path(options.out)
    values = {name: getattr(options, name) for name in RunConfig.__dataclass_fields__}
    metrics = train(
        checked_config(values),
        out,
        resume=options.resume,
        fork=_path(options.fork),
        keep_checkpoints=tuple(options.keep_checkpoints),
        console=console,
    )
    _say(console, metrics["verdict"])
    if options.report and process_number() == 0:
        _write_report(out, console)


def _compare(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments import CompareConfig, RunConfig, compare
    from lambda_vae.experiments.compare import VARIED
    from lambda_vae.experiments.config import checked_config
    from lambda_vae.reports import load_comparison
    from lambda_vae.reports.console import print_comparison

    choice = CompareConfig(
        tuple(options.methods), tuple(options.delta), tuple(options.release_epochs), options.seeds, options.workers
    )
    out = Path(options.out)
    base = checked_config({name: getattr(options, name) for name in RunConfig.__dataclass_fields__.keys() - VARIED})
    rows = compare(base, choice, out, resume=options.resume, console=console)
    print_comparison(load_comparison(out), console)
    _write_report(out, console)
    _fail_if_any_failed(rows)


def _fail_if_any_failed(rows: Sequence[Mapping[str, Any]]) -> None:
    failed = [row["run"] for row in rows if row["status"] not in ("done", "waiting")]
    if failed:
        fail(f"{len(failed)} of {len(rows)} runs failed: {', '.join(failed)}; the report gives the reasons", code=1)


def _reproduce(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.reproduce import Reproduction, reproduce
    from lambda_vae.reports.publish import write_results

    known = tuple(Path(path) for path in options.known)
    names = ("table", "data", "scale", "optional", "seeds", "workers")
    settings = {name: getattr(options, name) for name in names}
    choice = Reproduction(**settings, only=tuple(options.only), known=known)
    out = _path(options.out) or choice.default_out
    rows = reproduce(choice, out, resume=options.resume, console=console)
    _say(console, f"table: {write_results(out, out / f'{choice.table}.md')}")
    _write_report(out, console)
    _fail_if_any_failed(rows)


def _tune(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments import RunConfig
    from lambda_vae.experiments.aims import aim_named
    from lambda_vae.experiments.config import checked_config
    from lambda_vae.experiments.listing import tuned_table
    from lambda_vae.experiments.tune import tune

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
    from lambda_vae.experiments import diagnose_run

    return diagnose_run(Path(options.run), iw_samples=options.iw_samples, data=options.data)


def _diagnosed_adapter(options: Namespace) -> "CollapseReport":
    from lambda_vae.adapters import diagnose, load_adapter
    from lambda_vae.adapters.named import named_batches

    adapter = load_adapter(options.adapter)
    data = adapter.data if options.data is None else named_batches(options.data)
    if data is None:
        raise InputError(f"{options.adapter} returns no data; add --data, or return encode, log_likelihood, data")
    dim = int(options.dim) if options.dim.isdigit() else options.dim
    samples = 64 if options.iw_samples is None else options.iw_samples
    return diagnose(adapter.encode, adapter.log_likelihood, data, dim=dim, iw_samples=samples)


def _information(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.information import information_tables, measure_information
    from lambda_vae.files import write_json

    report = measure_information(Path(options.run), examples=options.examples, draws=options.draws, seed=options.seed)
    for table in information_tables(report):
        console.print(table)
    if options.out is not None:
        write_json(Path(options.out), report.to_record())
        _say(console, f"numbers: {options.out}")


def _sample(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.draw import draw_samples

    path = draw_samples(Path(options.run), options.n, options.seed, _path(options.out))
    _say(console, f"samples: {path}")


def _reconstruct(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.draw import draw_reconstructions

    path = draw_reconstructions(Path(options.run), options.n, options.data, _path(options.out))
    _say(console, f"reconstructions: {path}")


def _report(options: Namespace, console: Console) -> None:
    from lambda_vae.reports.publish import write_results

    if options.results is not None:
        path = write_results(Path(options.run), Path(options.results), options.epochs)
        _say(console, f"results: {path}")
    _write_report(Path(options.run), console)


def _write_report(folder: Path, console: Console) -> None:
    from lambda_vae.reports import write_report
    from lambda_vae.reports.publish import write_figures

    write_figures(folder)
    _say(console, f"report: {write_report(folder)}")


def _theory(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.implications import draw_theory, theory_table

    table = theory_table(options.delta, options.latent_dim, options.max_exponent)
    if options.out is not None:
        draw_theory(options.delta, options.max_exponent, Path(options.out))
    console.print(table)
    if options.out is not None:
        _say(console, f"figure: {options.out}")


def _list(_options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.listing import methods_table

    console.print(methods_table())


def _data_list(_options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.listing import data_table

    console.print(data_table())


def _data_prepare(options: Namespace, console: Console) -> None:
    from lambda_vae.data import load

    for name in options.names:
        dataset = load(name)
        counts = f"{len(dataset.train)} train, {len(dataset.test)} test"
        _say(console, f"{dataset.name}: {counts}, shape {dataset.shape}, sha256 {dataset.sha256[:16]}")


def _data_verify(options: Namespace, console: Console) -> None:
    from lambda_vae.data import verify

    bad = []
    for name in options.names:
        for check in verify(name):
            _say(console, f"{'ok ' if check.ok else 'BAD'}  {check.what}: {check.detail}")
            bad += [] if check.ok else [check.what]
    if bad:
        fail(f"{len(bad)} checks failed ({', '.join(bad)}); remove those files and prepare the data again")


#: Every command: how to parse it, what it calls.
_COMMANDS: dict[str, tuple[Callable[[], Parser], Callable[[Namespace, Console], None]]] = {
    "compare": (compare_parser, _compare),
    "train": (train_parser, _train),
    "reproduce": (reproduce_parser, _reproduce),
    "tune": (tune_parser, _tune),
    "diagnose": (diagnose_parser, _diagnose),
    "information": (information_parser, _information),
    "sample": (sample_parser, _sample),
    "reconstruct": (reconstruct_parser, _reconstruct),
    "report": (report_parser, _report),
    "theory": (theory_parser, _theory),
    "list": (lambda: Parser(description="List the methods."), _list),
    "data list": (lambda: data_parser("list"), _data_list),
    "data prepare": (lambda: data_parser("prepare"), _data_prepare),
    "data verify": (lambda: data_parser("verify"), _data_verify),
}

_HELP = """lambda-vae: why a VAE's latent dimensions collapse, and what stops it

  lambda-vae compare --data mnist --methods vae warm-up lambda-vae --delta 1.01 1.19 --epochs 40 --seeds 3 \\
                     --out runs/mnist

commands
  compare      train several methods on the same data, order and noise, and put them side by side
  reproduce    run a published table row by row, and put its figures beside ours
  tune         search δ and its release for a stated aim, on a validation split
  train        train one VAE, measure it, write a report
  diagnose     say which dimensions of a trained run, or of any VAE, collapsed, and why
  information  split the KL of a trained run: what z tells about x, redundancy, misfit to the prior
  sample       draw from the prior and decode
  reconstruct  decode the mean codes of test examples
  report       write the HTML report of a run or a comparison anew
  theory       what a δ implies: critical std, sampling noise, capacity, λ(σ)
  list         the methods
  data         list, prepare or verify data sets

`lambda-vae COMMAND --help` gives the options of each."""


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exit codes: 0 done; 1 training failed; 2 bad input, in one sentence on stderr; 130 interrupted, resumable.

    Args:
        words: Without the program's name; sys.argv's if None.
    """
    arguments = list(sys.argv[1:] if words is None else words)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_HELP)
        return
    if arguments[0] == "--version":
        print(f"{PROGRAM} {version(PROGRAM)}")
        return
    name = " ".join(arguments[:2]) if arguments[0] == "data" else arguments[0]
    if name not in _COMMANDS:
        near = difflib.get_close_matches(name, _COMMANDS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        fail(f"unknown command {name!r}{hint}; the commands are {', '.join(_COMMANDS)}")
    try:
        _run_command(name, arguments[len(name.split()) :])
    except KeyboardInterrupt:
        fail("interrupted; go on with --resume", code=130)


def _run_command(name: str, words: list[str]) -> None:
    make_parser, run = _COMMANDS[name]
    parser = make_parser()
    parser.prog = f"{PROGRAM} {name}"
    options = parser.parse_words(words)

    from safetensors import SafetensorError

    from lambda_vae.training import Diverged, Interrupted

    try:
        run(options, Console(quiet=process_number() > 0))
    except InputError as error:
        fail(str(error))
    except Diverged as error:
        fail(str(error), code=1)
    except Interrupted as error:
        fail(str(error), code=130)
    except OSError as error:
        _fail_unless_defect(error, error.errno, f"{error.filename or ''}: {error.strerror}")
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        _fail_unless_defect(error, int(number[1]) if number else None, f"model or checkpoint: {error}")


def _fail_unless_defect(error: Exception, number: int | None, what: str) -> None:
    """The disk's own refusals are input errors too; any other such error keeps its traceback."""
    if number in _NO_ROOM:
        fail(f"cannot write {what}; free some room and go on with --resume")
    if number in _NO_PLACE:
        fail(f"cannot write {what}; choose a place you may write to")
    raise error


if __name__ == "__main__":
    main()
