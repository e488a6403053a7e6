"""What each command may be told: the options, their defaults, their help, and one sentence for what is wrong."""

import os
import sys
from collections.abc import Sequence
from typing import Any, Literal, NoReturn

from jsonargparse import ArgumentParser, Namespace

__all__ = [
    "PROGRAM",
    "Parser",
    "compare_parser",
    "data_parser",
    "diagnose_parser",
    "export_parser",
    "fail",
    "generation_parser",
    "gradients_parser",
    "information_parser",
    "likelihood_parser",
    "predict_parser",
    "process_number",
    "reconstruct_parser",
    "report_parser",
    "reproduce_parser",
    "sample_parser",
    "share_parser",
    "theory_parser",
    "train_parser",
    "tune_parser",
]

PROGRAM = "lambda-vae"


class Parser(ArgumentParser):
    """Says what is wrong in one sentence, with the nearest name where one is misspelt."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - jsonargparse's own
        super().__init__(**settings, allow_abbrev=False)

    def parse_words(self, words: Sequence[str]) -> Namespace:
        """Return the options that the words stand for.

        Args:
            words: As typed after the command's name.
        """
        from lambda_vae.cli.complaints import with_yaml_numbers

        numeric = {
            name
            for action in self._actions
            for name in action.option_strings
            if "float" in str(getattr(action, "_typehint", ""))
        }
        try:
            return self.parse_args(with_yaml_numbers(words, numeric))
        except (UnicodeDecodeError, OSError) as error:
            fail(f"the config file cannot be read: {error}")

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End the program with jsonargparse's complaint made plain.

        Args:
            message: Of jsonargparse.
            ex: Behind it.
        """
        from lambda_vae.cli.complaints import plain_complaint

        hints = {action.dest: getattr(action, "_typehint", None) for action in self._actions}
        options = [name for action in self._actions for name in action.option_strings]
        fail(f"{plain_complaint(message, hints, options)}; see {self.prog} --help")


def process_number() -> int:
    """This process's number among those that a launcher started together."""
    return int(os.environ.get("RANK", "0"))


def fail(message: str, code: int = 2) -> NoReturn:
    """End the program with one sentence on stderr.

    Args:
        message: The sentence.
        code: Exit code.
    """
    where = f" (process {process_number()})" if process_number() else ""
    print(f"{PROGRAM}{where}: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(code)


def _add_out(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=str, required=True, help="folder for everything the command writes")
    parser.add_argument("--resume", action="store_true", help="go on with what lies in the folder")


def _add_known(parser: ArgumentParser) -> None:
    parser.add_argument("--known", type=str, nargs="+", default=[], help="results/NAME.json whose runs count as done")


def _add_engine(parser: ArgumentParser) -> None:
    from lambda_vae.comparisons.executors import ENGINES

    parser.add_argument("--workers", type=int | None, default=None, help="runs at a time; one a core if not given")
    parser.add_argument("--engine", type=str, default="local", help=f"where runs are trained: {', '.join(ENGINES)}")
    address = "cluster of --engine ray: HOST:PORT, auto, or local for one of this machine alone; else RAY_ADDRESS"
    parser.add_argument("--ray_address", type=str | None, default=None, help=address)


def train_parser() -> Parser:
    """Return the options of `train`."""
    from lambda_vae.runs import RunConfig

    parser = Parser(description="Train one VAE, measure it and write a report.")
    parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
    parser.add_class_arguments(RunConfig)
    _add_out(parser)
    parser.add_argument("--estimate", action="store_true", help="print FLOPs, memory and hours, and train nothing")
    parser.add_argument("--fork", type=str, default=None, help="start from this checkpoint of a run the same so far")
    parser.add_argument("--keep_checkpoints", type=int, nargs="*", default=[], help="epoch ends whose checkpoint stays")
    parser.add_argument("--report", type=bool, default=True, help="write report.html")
    return parser


def compare_parser() -> Parser:
    """Return the options of `compare`."""
    from lambda_vae.comparisons import CompareConfig
    from lambda_vae.comparisons._compare import VARIED
    from lambda_vae.runs import RunConfig

    default = CompareConfig()
    parser = Parser(description="Train several methods on the same data, order and noise, and put them side by side.")
    parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
    parser.add_argument("--methods", type=str, nargs="+", default=list(default.methods), help="see `lambda-vae list`")
    per_value = "for methods with λ, one run a value"
    parser.add_argument("--delta", type=float, nargs="+", default=list(default.delta), help=per_value)
    parser.add_argument("--release_epochs", type=int, nargs="+", default=list(default.release_epochs), help=per_value)
    parser.add_argument("--seeds", type=int, default=default.seeds, help="how many seeds")
    _add_known(parser)
    _add_engine(parser)
    parser.add_class_arguments(RunConfig, skip=set(VARIED))
    _add_out(parser)
    return parser


def reproduce_parser() -> Parser:
    """Return the options of `reproduce`."""
    from lambda_vae.paper.tables import PUBLISHED

    parser = Parser(description="Make a published table or figure anew, and put what was published beside ours.")
    scales = dict.fromkeys(name for table in PUBLISHED.values() for name in table.scales)
    parser.add_argument("table", type=str, help=f"one of {', '.join(PUBLISHED)}")
    parser.add_argument("--data", type=str | None, default=None, help="other data than the table's or figure's own")
    parser.add_argument("--scale", type=str, default="paper", help=f"one of {', '.join(scales)}")
    parser.add_argument("--runs", type=str, nargs="+", default=[], help="draw a figure from these comparisons")
    parser.add_argument("--only", type=str, nargs="+", default=[], help="names of rows; all but optional ones else")
    parser.add_argument("--optional", action="store_true", help="the optional rows too: compositions with λ")
    parser.add_argument("--seeds", type=int | None, default=None, help="of each row at most so many now; else all")
    _add_known(parser)
    _add_engine(parser)
    parser.add_argument("--out", type=str, default=None, help="folder for everything; else one in runs/")
    parser.add_argument("--resume", action="store_true", help="go on with what lies in the folder")
    return parser


def tune_parser() -> Parser:
    """Return the options of `tune`."""
    from lambda_vae.runs import RunConfig

    parser = Parser(description="Search δ, and the release, for a stated aim, on a validation split.")
    parser.add_argument("--config", action="config", help="a YAML file with any of the options below")
    parser.add_argument("--aim", type=str, default="bound", help="bound, active or capacity")
    parser.add_argument("--within", type=float | None, default=None, help="active: nats from the best bound; 1 else")
    parser.add_argument("--capacity", type=float | None, default=None, help="capacity: the nats wanted")
    parser.add_argument("--budget", type=int, default=12, help="at most so many runs")
    parser.add_argument("--seeds", type=int, default=1, help="runs a point")
    parser.add_argument("--release", type=bool, default=True, help="try a release over half of the epochs too")
    parser.add_argument("--final", action="store_true", help="train the winner on all data and measure it on test")
    parser.add_argument("--workers", type=int | None, default=None, help="processes at a time; one a core if not given")
    parser.add_class_arguments(RunConfig, skip={"delta", "release_epochs"})
    _add_out(parser)
    return parser


def run_parser(description: str) -> Parser:
    parser = Parser(description=description)
    parser.add_argument("run", type=str, help="folder of a run")
    return parser


def diagnose_parser() -> Parser:
    """Return the options of `diagnose`."""
    parser = Parser(description="Say which dimensions of a trained run, or of any VAE, collapsed, and why.")
    parser.add_argument("run", type=str | None, nargs="?", default=None, help="folder of a run; else --adapter")
    adapter = "package.module:function that returns encode, log_likelihood (and data) of a VAE of yours"
    parser.add_argument("--adapter", type=str | None, default=None, help=adapter)
    parser.add_argument("--dim", type=str, default="channel", help="of an adapter's latents: channel, site or an axis")
    parser.add_argument("--data", type=str, default=None, help="other data than the run's or the adapter's own")
    parser.add_argument("--html", type=str, default=None, help="write the report as a page there too")
    parser.add_argument("--iw_samples", type=int | None, default=None, help="importance samples; else the run's number")
    parser.add_argument("--json", type=str, default=None, help="write the measures there too")
    return parser


def likelihood_parser() -> Parser:
    """Return the options of `likelihood`."""
    from lambda_vae.measures.likelihood import LikelihoodChoice

    parser = Parser(description="Estimate -ln p(x) of trained runs by every means there is, and from two sides.")
    parser.add_argument("runs", type=str, nargs="+", help="folders of runs")
    parser.add_argument("--data", type=str, default=None, help="other data than the run's own")
    default = list(LikelihoodChoice().proposals)
    parser.add_argument("--proposals", type=str, nargs="+", default=default, help="what importance samples come from")
    parser.add_class_arguments(LikelihoodChoice, skip={"proposals"})
    parser.add_argument("--out", type=str, default=None, help=".json; else RUN/likelihood.json")
    parser.add_argument("--results", type=str, default=None, help="write a results page (.md) of all runs, too")
    parser.add_argument("--resume", action="store_true", help="go on with what the file holds")
    return parser


def sample_parser() -> Parser:
    """Return the options of `sample`."""
    from lambda_vae.generation import SAMPLERS

    parser = run_parser("Draw from the prior, or from a law fitted to the training codes, and decode.")
    parser.add_argument("--n", type=int, default=64, help="how many")
    where = f"{', '.join(SAMPLERS)}, or a file that generation --save_samplers wrote"
    parser.add_argument("--sampler", type=str, default="prior", help=where)
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--out", type=str, default=None, help=".png or .npy; else RUN/figures/samples.png")
    return parser


def generation_parser() -> Parser:
    """Return the options of `generation`."""
    from lambda_vae.generation import FEATURES, SAMPLERS

    parser = run_parser("Measure what a run generates: from its prior, and from laws fitted to its training codes.")
    parser.add_argument("--samplers", type=str, nargs="+", default=list(SAMPLERS), help="of z")
    parser.add_argument("--n", type=int, default=5000, help="samples of each, and test examples")
    parser.add_argument("--features", type=str, default="pca", help=f"space of the distances: {', '.join(FEATURES)}")
    parser.add_argument("--judge", type=str, default=None, help="another run on the same data that scores too")
    parser.add_argument("--seed", type=int, default=0, help="of fits and draws")
    parser.add_argument("--save_samplers", action="store_true", help="write the fits too, as safetensors")
    parser.add_argument("--out", type=str, default=None, help="folder for table and picture; else RUN/generation")
    return parser


def reconstruct_parser() -> Parser:
    """Return the options of `reconstruct`."""
    parser = run_parser("Decode the mean codes of test examples.")
    parser.add_argument("--n", type=int, default=24, help="how many")
    parser.add_argument("--data", type=str, default=None, help="other data than the run's own")
    parser.add_argument("--out", type=str, default=None, help=".png or .npy; else RUN/figures/reconstructions.png")
    return parser


def information_parser() -> Parser:
    """Return the options of `information`."""
    parser = Parser(description="Split the KL of trained runs: what z tells about x, redundancy, misfit to the prior.")
    parser.add_argument("runs", type=str, nargs="+", help="folders of runs")
    parser.add_argument("--examples", type=int | None, default=None, help="the first so many; else the whole test set")
    parser.add_argument("--draws", type=int, default=1, help="of each example")
    parser.add_argument("--seed", type=int, default=0, help="of the draws")
    parser.add_argument("--out", type=str, default=None, help="write all numbers of one run to this .json")
    parser.add_argument("--results", type=str, default=None, help="write a results page (.md) of all runs, too")
    return parser


def report_parser() -> Parser:
    """Return the options of `report`."""
    parser = run_parser("Write the figures and the HTML report of a run or a comparison anew.")
    parser.add_argument("--results", type=str, default=None, help="write a results page (.md) with all rows, too")
    parser.add_argument("--epochs", type=int, nargs="*", default=[], help="epochs whose readings that page shows")
    return parser


def share_parser() -> Parser:
    """Return the options of `share`."""
    parser = run_parser("Write a run as a folder to hand on: weights, config with the diagnosis, model card.")
    parser.add_argument("--out", type=str, required=True, help="a new folder")
    parser.add_argument("--push", type=str, default=None, help="send it to the hub too, as OWNER/NAME")
    parser.add_argument("--private", action="store_true", help="--push: hide a new repository from others")
    return parser


def export_parser() -> Parser:
    """Return the options of `export`."""
    from lambda_vae.sharing.export import ExportFormat

    parser = run_parser(
        "Write encoder and decoder as programmes that run without lambda-vae, checked against the model."
    )
    parser.add_argument("--format", type=ExportFormat, default="onnx", help="onnx, or torch for torch.export's")
    parser.add_argument("--out", type=str, required=True, help="a new folder")
    return parser


def gradients_parser() -> Parser:
    """Return the options of `gradients`."""
    from lambda_vae.diagnostics.information import REFERENCE_STD

    parser = Parser(description="Proposition 1 and 2 in trained runs: decay exponent α, ρ_crit, attenuation c.")
    parser.add_argument("run", type=str, help="folder of a run or a comparison")
    parser.add_argument("--reference_std", type=float, default=REFERENCE_STD, help="the noise c is measured against")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap behind the errors of ρ_crit")
    parser.add_argument("--out", type=str, default=None, help="write everything to this .json")
    return parser


def predict_parser() -> Parser:
    """Return the options of `predict`."""
    parser = Parser(description="Say, before any training, how many latent dimensions a loss can keep alive.")
    parser.add_argument("--data", type=str, required=True, help="a named set, a path or hf:NAME; its training part")
    noise = "std of the decoder's Gaussian, or learned; a bare squared error, which is 0.7071, if not given"
    parser.add_argument("--noise", type=float | Literal["learned"] | None, default=None, help=noise)
    parser.add_argument("--beta", type=float, default=1.0, help="weight of the KL in the loss")
    over = "what the loss does over the features of an example: sum or mean"
    parser.add_argument("--reduction", type=str, default="sum", help=over)
    parser.add_argument(
        "--latent_dim", type=int | None, default=None, help="latent dimensions; else as many as it takes"
    )
    parser.add_argument(
        "--likelihood", type=str, default="gaussian", help="gaussian, or bernoulli for values in [0, 1]"
    )
    drawn = "bernoulli: the training draws 0 or 1 from grey values, as `lambda-vae train` does"
    parser.add_argument("--binarised", action="store_true", help=drawn)
    parser.add_argument("--out", type=str | None, default=None, help="draw survivors against noise: .svg, .pdf or .png")
    parser.add_argument("--json", type=str | None, default=None, help="write all numbers there too")
    return parser


def theory_parser() -> Parser:
    """Return the options of `theory`."""
    parser = Parser(description="What a δ implies: critical std, sampling noise, capacity, λ(σ).")
    parser.add_argument("--delta", type=float, nargs="+", default=[1.01, 1.1, 1.19, 1.5, 3.0], help="values of δ")
    parser.add_argument("--latent_dim", type=int, default=30, help="for the predicted capacity")
    parser.add_argument("--max_exponent", type=float, default=20.0, help="largest λ")
    parser.add_argument("--out", type=str, default=None, help="draw the curves to this .svg, .pdf or .png")
    return parser


def data_parser(action: str) -> Parser:
    """Return the options of `data ACTION`.

    Args:
        action: list, prepare or verify.
    """
    from lambda_vae.data.pictures import Colour, Unfit

    described = {
        "list": "List the named data sets and whether they are here.",
        "prepare": "Fetch, check and prepare data sets.",
        "verify": "Check raw and prepared files against their hashes.",
    }
    parser = Parser(description=described[action])
    if action != "list":
        parser.add_argument("names", type=str, nargs="+", help="names, paths, or hf:NAME")
        parser.add_argument("--image_size", type=int | None, default=None, help="crop and resize images to a square")
        parser.add_argument("--image_colour", type=Colour, default="kept", help="turn images into grey or rgb")
        parser.add_argument("--unfit_images", type=Unfit, default="refuse", help="broken and odd files: refuse or skip")
    return parser
