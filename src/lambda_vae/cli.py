"""The command line: it parses and calls; no maths."""

import difflib
import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace
from rich.console import Console

from lambda_vae.errors import InputError

__all__ = ["main"]

_PROGRAM = "lambda-vae"

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_NO_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


class _Parser(ArgumentParser):
    """Says what is wrong in one sentence, with the nearest name where one is misspelt."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - jsonargparse's own
        super().__init__(**settings, allow_abbrev=False)

    def parse_words(self, words: Sequence[str]) -> Namespace:
        """Return the options that the words stand for.

        Args:
            words: As typed after the command's name.
        """
        from lambda_vae.experiments.values import with_yaml_numbers

        numeric = {
            name
            for action in self._actions
            for name in action.option_strings
            if "float" in str(getattr(action, "_typehint", ""))
        }
        try:
            return self.parse_args(with_yaml_numbers(words, numeric))
        except (UnicodeDecodeError, OSError) as error:
            _fail(f"the config file cannot be read: {error}")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End the program with jsonargparse's complaint made plain.

        Args:
            message: Of jsonargparse.
            ex: Behind it.
        """
        from lambda_vae.experiments.values import plain_complaint

        hints = {action.dest: getattr(action, "_typehint", None) for action in self._actions}
        options = [name for action in self._actions for name in action.option_strings]
        _fail(f"{plain_complaint(message, hints, options)}; see {self.prog} --help")


def _process() -> int:
    """This process's number among those that a launcher started together."""
    return int(os.environ.get("RANK", "0"))


def _fail(message: str, code: int = 2) -> NoReturn:
    where = f" (process {_process()})" if _process() else ""
    print(f"{_PROGRAM}{where}: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def _add_out(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=str, required=True, help="folder for everything the command writes")
    parser.add_argument("--resume", action="store_true", help="go on with what lies in the folder")


def _train_parser() -> _Parser:
    from lambda_vae.experiments import RunConfig

    parser = _Parser(description="Train one VAE, measure it and write a report.")
    parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
    parser.add_class_arguments(RunConfig)
    _add_out(parser)
    parser.add_argument("--fork", type=str, default=None, help="start from this checkpoint of a run the same so far")
    parser.add_argument("--keep_checkpoints", type=int, nargs="*", default=[], help="epoch ends whose checkpoint stays")
    parser.add_argument("--report", type=bool, default=True, help="write report.html")
    return parser


def _compare_parser() -> _Parser:
    from lambda_vae.experiments import CompareConfig, RunConfig
    from lambda_vae.experiments.compare import VARIED

    default = CompareConfig()
    parser = _Parser(description="Train several methods on the same data, order and noise, and put them side by side.")
    parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
    parser.add_argument("--methods", type=str, nargs="+", default=list(default.methods), help="see `lambda-vae list`")
    per_value = "for methods with λ, one run a value"
    parser.add_argument("--delta", type=float, nargs="+", default=list(default.delta), help=per_value)
    parser.add_argument("--release_epochs", type=int, nargs="+", default=list(default.release_epochs), help=per_value)
    parser.add_argument("--seeds", type=int, default=default.seeds, help="how many seeds")
    parser.add_argument("--workers", type=int | None, default=None, help="processes at a time; one a core if not given")
    parser.add_class_arguments(RunConfig, skip=set(VARIED))
    _add_out(parser)
    return parser


def _run_parser(description: str) -> _Parser:
    parser = _Parser(description=description)
    parser.add_argument("run", type=str, help="folder of a run")
    return parser


def _diagnose_parser() -> _Parser:
    parser = _run_parser("Say which dimensions of a trained run collapsed, and why.")
    parser.add_argument("--data", type=str, default=None, help="other data than the run's own")
    parser.add_argument("--iw_samples", type=int | None, default=None, help="importance samples; else the run's number")
    parser.add_argument("--json", type=str, default=None, help="write the measures there too")
    return parser


def _sample_parser() -> _Parser:
    parser = _run_parser("Draw from the prior and decode.")
    parser.add_argument("--n", type=int, default=64, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--out", type=str, default=None, help=".png or .npy; else RUN/figures/samples.png")
    return parser


def _reconstruct_parser() -> _Parser:
    parser = _run_parser("Decode the mean codes of test examples.")
    parser.add_argument("--n", type=int, default=24, help="how many")
    parser.add_argument("--data", type=str, default=None, help="other data than the run's own")
    parser.add_argument("--out", type=str, default=None, help=".png or .npy; else RUN/figures/reconstructions.png")
    return parser


def _report_parser() -> _Parser:
    parser = _run_parser("Write the figures and the HTML report of a run or a comparison anew.")
    parser.add_argument("--results", type=str, default=None, help="write a results page (.md) with all rows, too")
    parser.add_argument("--epochs", type=int, nargs="*", default=[], help="epochs whose readings that page shows")
    return parser


def _theory_parser() -> _Parser:
    parser = _Parser(description="What a δ implies: critical std, sampling noise, capacity, λ(σ).")
    parser.add_argument("--delta", type=float, nargs="+", default=[1.01, 1.1, 1.19, 1.5, 3.0], help="values of δ")
    parser.add_argument("--latent_dim", type=int, default=30, help="for the predicted capacity")
    parser.add_argument("--max_exponent", type=float, default=20.0, help="largest λ")
    parser.add_argument("--out", type=str, default=None, help="draw the curves to this .svg, .pdf or .png")
    return parser


def _data_parser(action: str) -> _Parser:
    described = {
        "list": "List the named data sets and whether they are here.",
        "prepare": "Fetch, check and prepare data sets.",
        "verify": "Check raw and prepared files against their hashes.",
    }
    parser = _Parser(description=described[action])
    if action != "list":
        parser.add_argument("names", type=str, nargs="+", help="names or paths")
    return parser


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
    if options.report and _process() == 0:
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
    failed = [row["run"] for row in rows if row["status"] != "done"]
    if failed:
        _fail(f"{len(failed)} of {len(rows)} runs failed: {', '.join(failed)}; the report gives the reasons", code=1)


def _diagnose(options: Namespace, console: Console) -> None:
    from lambda_vae.experiments import diagnose_run
    from lambda_vae.files import write_json

    report = diagnose_run(Path(options.run), iw_samples=options.iw_samples, data=options.data)
    _say(console, str(report))
    if options.json is not None:
        write_json(Path(options.json), report.to_record())


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
        _fail(f"{len(bad)} checks failed ({', '.join(bad)}); remove those files and prepare the data again")


#: Every command: how to parse it, what it calls.
_COMMANDS: dict[str, tuple[Callable[[], _Parser], Callable[[Namespace, Console], None]]] = {
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

  lambda-vae compare --data mnist --methods vae warm-up lambda-vae --delta 1.01 1.19 --epochs 40 --seeds 3 \\
                     --out runs/mnist

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
    if arguments[0] == "--version":
        print(f"{_PROGRAM} {version(_PROGRAM)}")
        return
    name = " ".join(arguments[:2]) if arguments[0] == "data" else arguments[0]
    if name not in _COMMANDS:
        near = difflib.get_close_matches(name, _COMMANDS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        _fail(f"unknown command {name!r}{hint}; the commands are {', '.join(_COMMANDS)}")
    try:
        _run_command(name, arguments[len(name.split()) :])
    except KeyboardInterrupt:
        _fail("interrupted; go on with --resume", code=130)


def _run_command(name: str, words: list[str]) -> None:
    make_parser, run = _COMMANDS[name]
    parser = make_parser()
    parser.prog = f"{_PROGRAM} {name}"
    options = parser.parse_words(words)

    from safetensors import SafetensorError

    from lambda_vae.training import Diverged, Interrupted

    try:
        run(options, Console(quiet=_process() > 0))
    except InputError as error:
        _fail(str(error))
    except Diverged as error:
        _fail(str(error), code=1)
    except Interrupted as error:
        _fail(str(error), code=130)
    except OSError as error:
        _fail_unless_defect(error, error.errno, f"{error.filename or ''}: {error.strerror}")
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        _fail_unless_defect(error, int(number[1]) if number else None, f"model or checkpoint: {error}")


def _fail_unless_defect(error: Exception, number: int | None, what: str) -> None:
    """The disk's own refusals are input errors too; any other such error keeps its traceback."""
    if number in _NO_ROOM:
        _fail(f"cannot write {what}; free some room and go on with --resume")
    if number in _NO_PLACE:
        _fail(f"cannot write {what}; choose a place you may write to")
    raise error


if __name__ == "__main__":
    main()
