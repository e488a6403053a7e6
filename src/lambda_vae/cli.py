"""The command line: it parses and calls; no maths."""

import difflib
import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from lambda_vae.errors import InputError

__all__ = ["main"]

_PROGRAM = "lambda-vae"


class _Parser(ArgumentParser):  # type: ignore[misc]
    """Says what is wrong in one sentence, with the nearest option where one is misspelt."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        words = [word.split("=")[0] for word in sys.argv if word.startswith("--")]
        known = [option for action in self._actions for option in action.option_strings]
        hints = []
        for word in words:
            if word in message and word not in known:
                hints += difflib.get_close_matches(word, known, n=1)
        hint = f"; did you mean {' or '.join(dict.fromkeys(hints))}?" if hints else ""
        _fail(" ".join(message.split()) + hint)


def _fail(message: str, code: int = 2) -> NoReturn:
    print(f"{_PROGRAM}: {message}", file=sys.stderr)
    raise SystemExit(code)


def _add_out(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder for everything the command writes")
    parser.add_argument("--resume", action="store_true", help="go on with what lies in the folder")


def _train_parser() -> ArgumentParser:
    from lambda_vae.experiments import RunConfig

    parser = _Parser(description="Train one VAE, measure it and write a report.")
    parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
    parser.add_class_arguments(RunConfig)
    _add_out(parser)
    parser.add_argument(
        "--fork", type=Path, default=None, help="start from this checkpoint of a run that is the same so far"
    )
    parser.add_argument("--keep_checkpoints", type=int, nargs="*", default=[], help="epoch ends whose checkpoint stays")
    return parser


def _compare_parser() -> ArgumentParser:
    from lambda_vae.experiments import CompareConfig, RunConfig

    varied = {"method", "delta", "release_epochs"}
    default = CompareConfig()
    parser = _Parser(description="Train several methods on the same data, order and noise, and put them side by side.")
    parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
    parser.add_argument("--methods", nargs="+", default=list(default.methods), help="names, see `lambda-vae list`")
    parser.add_argument(
        "--delta", type=float, nargs="+", default=list(default.delta), help="for methods with λ, one run a value"
    )
    parser.add_argument(
        "--release_epochs",
        type=int,
        nargs="+",
        default=list(default.release_epochs),
        help="for methods with λ, one run a value",
    )
    parser.add_argument("--seeds", type=int, default=default.seeds, help="how many seeds")
    parser.add_argument("--workers", type=int, default=None, help="processes at a time; one a core if not given")
    parser.add_class_arguments(RunConfig, skip=varied)
    _add_out(parser)
    return parser


def _run_parser(description: str) -> ArgumentParser:
    parser = _Parser(description=description)
    parser.add_argument("run", type=Path, help="folder of a run")
    return parser


def _diagnose_parser() -> ArgumentParser:
    parser = _run_parser("Say which dimensions of a trained run collapsed, and why.")
    parser.add_argument("--data", type=str, default=None, help="other data than the run's own")
    parser.add_argument(
        "--iw_samples", type=int, default=None, help="importance samples; the run's own number if not given"
    )
    parser.add_argument("--json", type=Path, default=None, help="write the measures there too")
    return parser


def _sample_parser() -> ArgumentParser:
    parser = _run_parser("Draw from the prior and decode.")
    parser.add_argument("--n", type=int, default=64, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--out", type=Path, default=None, help=".png or .npy; RUN/figures/samples.png if not given")
    return parser


def _reconstruct_parser() -> ArgumentParser:
    parser = _run_parser("Decode the mean codes of test examples.")
    parser.add_argument("--n", type=int, default=24, help="how many")
    parser.add_argument("--data", type=str, default=None, help="other data than the run's own")
    parser.add_argument(
        "--out", type=Path, default=None, help=".png or .npy; RUN/figures/reconstructions.png if not given"
    )
    return parser


def _report_parser() -> ArgumentParser:
    parser = _run_parser("Write the figures and the HTML report of a run or a comparison anew.")
    parser.add_argument("--results", type=Path, default=None, help="write a results page (.md) with its rows and frontier too")
    parser.add_argument("--epochs", type=int, nargs="*", default=[], help="epochs whose readings the results page shows")
    return parser


def _theory_parser() -> ArgumentParser:
    parser = _Parser(description="What a δ implies: critical std, sampling noise, capacity, λ(σ).")
    parser.add_argument("--delta", type=float, nargs="+", default=[1.01, 1.1, 1.19, 1.5, 3.0], help="values of δ")
    parser.add_argument("--latent_dim", type=int, default=30, help="for the predicted capacity")
    parser.add_argument("--max_exponent", type=float, default=20.0, help="largest λ")
    parser.add_argument("--out", type=Path, default=None, help="draw the curves to this .svg, .pdf or .png")
    return parser


def _data_parser(action: str) -> ArgumentParser:
    described = {
        "list": "List the named data sets and whether they are here.",
        "prepare": "Fetch, check and prepare data sets.",
        "verify": "Check raw and prepared files against their hashes.",
    }
    parser = _Parser(description=described[action])
    if action != "list":
        parser.add_argument("names", nargs="+", help="names or paths")
    return parser


def _train(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments import RunConfig, train

    values = {name: getattr(options, name) for name in RunConfig.__dataclass_fields__}
    keep = tuple(options.keep_checkpoints)
    metrics = train(
        RunConfig(**values),
        options.out,
        resume=options.resume,
        fork=options.fork,
        keep_checkpoints=keep,
        console=console,
    )
    console.print(metrics["verdict"], markup=False, highlight=False)
    if console.is_terminal or options.fork is None:
        _write_report(options.out, console)


def _compare(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments import CompareConfig, RunConfig, compare
    from lambda_vae.reports import load_comparison
    from lambda_vae.reports.console import print_comparison

    choice = CompareConfig(
        tuple(options.methods), tuple(options.delta), tuple(options.release_epochs), options.seeds, options.workers
    )
    varied = {"method", "delta", "release_epochs"}
    base = RunConfig(**{name: getattr(options, name) for name in RunConfig.__dataclass_fields__ if name not in varied})
    rows = compare(base, choice, options.out, resume=options.resume, console=console)
    print_comparison(load_comparison(options.out), console)
    _write_report(options.out, console)
    failed = [row["run"] for row in rows if row["status"] != "done"]
    if failed:
        _fail(f"{len(failed)} of {len(rows)} runs failed: {', '.join(failed)}; the report gives the reasons", code=1)


def _diagnose(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments import diagnose_run
    from lambda_vae.files import write_json

    report = diagnose_run(options.run, iw_samples=options.iw_samples, data=options.data)
    console.print(str(report), markup=False, highlight=False, soft_wrap=True)
    if options.json is not None:
        write_json(options.json, report.to_record())


def _sample(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.draw import draw_samples

    path = draw_samples(options.run, options.n, options.seed, options.out)
    console.print(f"samples: {path}", markup=False, highlight=False, soft_wrap=True)


def _reconstruct(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.draw import draw_reconstructions

    path = draw_reconstructions(options.run, options.n, options.data, options.out)
    console.print(f"reconstructions: {path}", markup=False, highlight=False, soft_wrap=True)


def _report(options: Namespace, console: Console) -> None:
    from lambda_vae.reports.publish import write_results

    if options.results is not None:
        path = write_results(options.run, options.results, options.epochs)
        console.print(f"results: {path}", markup=False, highlight=False, soft_wrap=True)
    _write_report(options.run, console)


def _write_report(folder: Path, console: Console) -> None:
    from lambda_vae.reports import write_report
    from lambda_vae.reports.publish import write_figures

    write_figures(folder)
    console.print(f"report: {write_report(folder)}", markup=False, highlight=False, soft_wrap=True)


def _theory(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments.implications import draw_theory, theory_table

    console.print(theory_table(options.delta, options.latent_dim, options.max_exponent))
    if options.out is not None:
        draw_theory(options.delta, options.max_exponent, options.out)
        console.print(f"figure: {options.out}", markup=False, highlight=False, soft_wrap=True)


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
        line = f"{dataset.name}: {len(dataset.train)} train, {len(dataset.test)} test, shape {dataset.shape}, sha256 {dataset.sha256[:16]}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _data_verify(options: Namespace, console: Console) -> None:
    from lambda_vae.data import verify

    bad = []
    for name in options.names:
        for check in verify(name):
            line = f"{'ok ' if check.ok else 'BAD'}  {check.what}: {check.detail}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
            bad += [] if check.ok else [check.what]
    if bad:
        _fail(f"{len(bad)} checks failed ({', '.join(bad)}); remove those files and prepare the data again")


#: Every command: how to parse it, what it calls.
_COMMANDS: dict[str, tuple[Callable[[], ArgumentParser], Callable[[Namespace, Console], None]]] = {
    "compare": (_compare_parser, _compare),
    "train": (_train_parser, _train),
    "diagnose": (_diagnose_parser, _diagnose),
    "sample": (_sample_parser, _sample),
    "reconstruct": (_reconstruct_parser, _reconstruct),
    "report": (_report_parser, _report),
    "theory": (_theory_parser, _theory),
    "list": (lambda: _Parser(description="List the methods."), _list),
    "data list": (lambda: _data_parser("list"), _data_list),
    "data prepare": (lambda: _data_parser("prepare"), _data_prepare),
    "data verify": (lambda: _data_parser("verify"), _data_verify),
}

_HELP = """lambda-vae: why a VAE's latent dimensions collapse, and what stops it

  lambda-vae compare --data mnist --methods vae warm-up lambda-vae --delta 1.01 1.19 --epochs 40 --seeds 3 --out runs/mnist

commands
  compare      train several methods on the same data, order and noise, and put them side by side
  train        train one VAE, measure it, write a report
  diagnose     say which dimensions of a trained run collapsed, and why
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
    name = " ".join(arguments[:2]) if arguments[0] == "data" else arguments[0]
    if name not in _COMMANDS:
        near = difflib.get_close_matches(name, _COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        _fail(f"unknown command {name!r}; {hint}the commands are {', '.join(_COMMANDS)}")
    make_parser, run = _COMMANDS[name]
    _run_command(make_parser, run, name, arguments[len(name.split()) :])


def _run_command(
    make_parser: Callable[[], ArgumentParser], run: Callable[[Namespace, Console], None], name: str, words: list[str]
) -> None:
    from lambda_vae.training import Diverged, Interrupted

    parser = make_parser()
    parser.prog = f"{_PROGRAM} {name}"
    options = parser.parse_args(words)
    try:
        run(options, Console())
    except InputError as error:
        _fail(str(error))
    except Diverged as error:
        _fail(str(error), code=1)
    except Interrupted as error:
        _fail(str(error), code=130)
    except KeyboardInterrupt:
        _fail("interrupted; go on with --resume", code=130)
    except OSError as error:
        _fail_unless_defect(error)


def _fail_unless_defect(error: OSError) -> Any:  # noqa: ANN401 - never returns
    """The disk's own refusals are input errors too; any other OSError keeps its traceback."""
    remedies = {
        errno.ENOSPC: "the disk is full; free some room and go on with --resume",
        errno.EDQUOT: "the disk quota is used up; free some room and go on with --resume",
        errno.EACCES: "choose a folder you may write to",
        errno.EROFS: "choose a folder you may write to",
    }
    if error.errno not in remedies:
        raise error
    _fail(f"cannot write {error.filename or ''}: {error.strerror}; {remedies[error.errno]}")


if __name__ == "__main__":
    main()
