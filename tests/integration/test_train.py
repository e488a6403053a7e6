"""`train` from data to result, and the commands that read a result."""

# ruff: noqa: F811 - fixtures come by import

import json

import numpy as np
import pytest
from cli_process import TINY, bars, cli, outcome, own_cache, tree  # noqa: F401
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


@pytest.fixture(scope="module")
def _folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def run(_folder, cli, bars):
    """One finished run that the tests of this file share and do not change."""
    out = _folder / "run"
    if not out.exists():
        said = cli("train", "--data", bars, "--epochs", 4, "--checkpoint_every", 2, *TINY, "--out", out)
        assert said.code == 0, said.err
        assert "report:" in said.out
    return out


def test_train_leaves_everything_in_its_folder(run):
    files = {path.name for path in run.iterdir()}
    assert files >= {
        "config.yaml", "metrics.json", "history.json", "provenance.json", "images.npz", "checkpoints",
        "model.safetensors", "report.html", "figures", "logs",
    }  # fmt: skip
    assert not [path for path in run.rglob("*") if ".tmp" in path.name]
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["status"] == "done"
    assert np.isclose(metrics["nll_bound"] - metrics["surrogate_nll"], metrics["excess_kl"], atol=1e-6)
    assert len(metrics["dimensions"]["kl"]) == metrics["latent_dim"] == 3
    assert json.loads((run / "history.json").read_text())["epochs"] == [1, 2, 3, 4]


def test_train_logs_to_tensorboard(run):
    events = EventAccumulator(str(run / "logs"))
    for path in (run / "logs").rglob("events.out.*"):
        events = EventAccumulator(str(path))
        events.Reload()
        if events.Tags()["scalars"]:
            break
    history = json.loads((run / "history.json").read_text())
    logged = events.Scalars("train/loss")
    assert [event.step for event in logged] == [1, 2, 3, 4]
    assert np.allclose([event.value for event in logged], history["loss"], rtol=1e-6)


def test_train_without_trackers_writes_no_logs(cli, bars, tmp_path):
    words = ("train", "--data", bars, "--epochs", 1, *TINY, "--trackers", "[]", "--report", "false")
    assert cli(*words, "--out", tmp_path / "run").code == 0
    assert not (tmp_path / "run" / "logs").exists()
    assert not (tmp_path / "run" / "report.html").exists()


def test_train_again_is_refused_and_with_resume_returns_the_result(run, cli, bars):
    before = tree(run)
    words = ("train", "--data", bars, "--epochs", 4, "--checkpoint_every", 2, *TINY, "--out", run)
    refused = cli(*words)
    assert refused.code == 2
    assert "add --resume" in refused.err
    assert tree(run) == before
    assert cli(*words, "--resume", "--report", "false").code == 0
    assert tree(run) == before


@pytest.mark.parametrize(
    ("words", "what"),
    [(["--epochs", 5], "epochs is 4, here it is 5"), (["--seed", 7], "seed is 0, here it is 7")],
)
def test_train_into_the_folder_of_another_run_is_refused(run, cli, bars, words, what):
    before = tree(run)
    start = ("train", "--data", bars, "--epochs", 4, "--checkpoint_every", 2, *TINY, "--out", run, "--resume")
    said = cli(*start, *words)
    assert said.code == 2
    assert what in said.err
    assert tree(run) == before


def test_train_twice_gives_the_same_bit_for_bit(run, cli, bars, tmp_path):
    words = ("train", "--data", bars, "--epochs", 4, "--checkpoint_every", 2, *TINY, "--report", "false")
    assert cli(*words, "--out", tmp_path / "again").code == 0
    assert outcome(tmp_path / "again") == outcome(run)


def test_diagnose_repeats_the_measures_of_training(run, cli, tmp_path):
    before = tree(run)
    said = cli("diagnose", run, "--json", tmp_path / "measures.json")
    assert said.code == 0
    metrics, again = (json.loads(path.read_text()) for path in (run / "metrics.json", tmp_path / "measures.json"))
    assert again == {name: metrics[name] for name in again}
    assert "nll_bound" in again
    assert metrics["verdict"] in said.out
    assert tree(run) == before


def test_diagnose_with_other_numbers(run, cli, tmp_path, bars):
    assert cli("diagnose", run, "--iw_samples", 2, "--data", bars, "--json", tmp_path / "m.json").code == 0
    assert json.loads((tmp_path / "m.json").read_text())["nll_iw_samples"] == 2


def test_diagnose_without_importance_samples_in_little_memory(run, cli, tmp_path):
    said = cli("diagnose", run, "--iw_samples", 0, "--memory", "2MiB", "--json", tmp_path / "m.json")
    assert said.code == 0
    assert "not measured: no importance samples were asked for" in said.out
    measures = json.loads((tmp_path / "m.json").read_text())
    assert (measures["nll_iw"], measures["nll_iw_samples"], measures["nll_iw_proposal"]) == (None, 0, None)


def test_sample_and_reconstruct_draw_images(run, cli, tmp_path):
    assert cli("sample", run, "--n", 7, "--out", tmp_path / "s.npy").code == 0
    assert np.load(tmp_path / "s.npy").shape == (7, 30)
    assert cli("sample", run, "--n", 7, "--seed", 1, "--out", tmp_path / "t.npy").code == 0
    assert not np.array_equal(np.load(tmp_path / "s.npy"), np.load(tmp_path / "t.npy"))
    assert cli("reconstruct", run, "--n", 5, "--out", tmp_path / "r.npy").code == 0
    assert np.load(tmp_path / "r.npy").shape == (2, 5, 30)
    for command in ("sample", "reconstruct"):
        assert cli(command, run, "--n", 4, "--out", tmp_path / f"{command}.png").code == 0
        with Image.open(tmp_path / f"{command}.png") as image:
            assert image.mode == "L"
            assert min(image.size) > 6


def test_a_picture_beside_the_run_is_the_default(run, cli):
    said = cli("sample", run)
    assert said.code == 0
    assert f"samples: {run / 'figures' / 'samples.png'}" in said.out
    assert (run / "figures" / "samples.png").exists()


def test_report_writes_the_page_anew(run, cli):
    page = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    assert cli("report", run).code == 0
    assert (run / "report.html").read_bytes() == page


READS = {
    "n is 0": (["sample", "{run}", "--n", "0"], "n is 0; ask for at least one"),
    "wrong ending": (["sample", "{run}", "--out", "{run}/x.gif"], "ends in '.gif'; use .png or .npy"),
    "seed too large": (["sample", "{run}", "--seed", str(2**70)], "seed is"),
    "fewer than no importance samples": (["diagnose", "{run}", "--iw_samples", "-1"], "iw_samples is -1"),
    "memory for nothing": (["diagnose", "{run}", "--memory", "10B"], "the least that works is"),
    "memory in words": (["diagnose", "{run}", "--memory", "plenty"], "memory is 'plenty'; give bytes, or text such as"),
    "other data that is not there": (["reconstruct", "{run}", "--data", "minst"], "did you mean 'mnist'?"),
    "other data of another shape": (["reconstruct", "{run}", "--data", "digits"], "does not fit the run's model"),
    "results page that is no page": (["report", "{run}", "--results", "{run}/x.txt"], ".md"),
}


@pytest.mark.parametrize(("words", "what"), READS.values(), ids=READS.keys())
def test_reading_a_run_wrongly_is_refused(run, cli, words, what):
    before = tree(run)
    said = cli(*(word.format(run=run) for word in words))
    assert said.code == 2
    assert said.err.startswith("lambda-vae: ")
    assert said.err.count("\n") == 1
    assert what in said.err
    assert tree(run) == before


def copy_of(run, tmp_path):
    for name, content in tree(run).items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(content)
    return tmp_path / "copy"


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


DAMAGED = {
    "no run": (lambda run: (run / "config.yaml").unlink(), "is {run} the folder of a run?"),
    "not finished": (lambda run: (run / "model.safetensors").unlink(), "not finished; go on with --resume"),
    "model cut": (lambda run: cut(run / "model.safetensors"), "does not hold this run's model"),
    "model of text": (lambda run: (run / "model.safetensors").write_text("hello"), "does not hold this run's model"),
    "model is a folder": (
        lambda run: ((run / "model.safetensors").unlink(), (run / "model.safetensors").mkdir()),
        "does not hold this run's model",
    ),
    "config of another model": (
        lambda run: (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("- 16", "- 17")),
        "does not hold this run's model (size mismatch",
    ),
    "config is not YAML": (
        lambda run: (run / "config.yaml").write_text("a: [1\nb: }"),
        "is not valid YAML",
    ),
    "config is binary": (lambda run: (run / "config.yaml").write_bytes(b"\xff\xfe\x00"), "is not valid YAML"),
    "config is a list": (lambda run: (run / "config.yaml").write_text("- 1"), "holds no mapping"),
    "config is empty": (lambda run: (run / "config.yaml").write_text(""), "holds no mapping"),
    "config key": (
        lambda run: (run / "config.yaml").write_text("epoch: 3"),
        "'epoch' (did you mean 'epochs'?)",
    ),
    "config value": (
        lambda run: (run / "config.yaml").write_text("epochs: many"),
        "epochs is 'many'; it must be",
    ),
    "history is not JSON": (lambda run: (run / "history.json").write_text("{"), "history.json is not valid JSON"),
    "history is a list": (lambda run: (run / "history.json").write_text("[]"), "history.json holds no history"),
    "history of a list": (lambda run: (run / "history.json").write_text('{"epochs": 3}'), "'epochs' must be a list"),
}


@pytest.mark.parametrize(("damage", "what"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_run_is_refused(run, cli, tmp_path, damage, what):
    folder = copy_of(run, tmp_path)
    damage(folder)
    said = cli("diagnose", folder)
    assert said.code == 2
    assert said.err.startswith("lambda-vae: ")
    assert said.err.count("\n") == 1
    assert what.format(run=folder) in said.err


def test_a_damaged_checkpoint_is_refused_and_the_one_before_goes_on(run, cli, tmp_path, bars):
    folder = copy_of(run, tmp_path)
    (folder / "metrics.json").unlink()
    newest = sorted((folder / "checkpoints").iterdir())[-1]
    words = ("train", "--data", bars, "--epochs", 4, "--checkpoint_every", 2, *TINY, "--out", folder, "--resume")
    cut(newest)
    said = cli(*words)
    assert said.code == 2
    assert f"{newest} is damaged" in said.err
    assert "remove it to go on from the checkpoint before it" in said.err
    newest.unlink()
    assert cli(*words, "--report", "false").code == 0
    assert outcome(folder) == outcome(run)


def test_a_checkpoint_of_another_model_is_refused(run, cli, tmp_path, bars):
    folder = copy_of(run, tmp_path)
    (folder / "metrics.json").unlink()
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("latent_dim: 3", "latent_dim: 2"))
    start = ("train", "--data", bars, "--epochs", 4, "--checkpoint_every", 2, *TINY, "--out", folder, "--resume")
    said = cli(*start, "--latent_dim", 2)
    assert said.code == 2
    assert "the checkpoint belongs to another model" in said.err


def test_planted_collapse_is_found(cli, tmp_path):
    words = ("--report", "false", "--epochs", 3, "--method", "beta-vae", "--beta", 1000, "--learning_rate", 0.01, *TINY)
    said = cli("train", "--data", "digits", *words, "--out", tmp_path / "run")
    assert said.code == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["active_units"] == 0
    assert metrics["dimensions"]["verdict"] == ["collapsed"] * 3
    assert metrics["verdict_counts"]["collapsed"] == 3


def test_own_vectors_train_under_a_gaussian(cli, tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(90, 2)) @ random.normal(size=(2, 7)) * 3
    np.savez(tmp_path / "vectors.npz", train=x[:60], test=x[60:])
    run = tmp_path / "run"
    assert cli("train", "--data", tmp_path / "vectors.npz", "--epochs", 2, *TINY, "--out", run).code == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["status"] == "done"
    assert metrics["linear_probe_accuracy"] is None  # no labels, no probe
    assert not (run / "images.npz").exists()
    assert cli("sample", run, "--n", 3).code == 0
    assert np.load(run / "figures" / "samples.npy").shape == (3, 7)
    assert cli("reconstruct", run, "--n", 3).code == 0
    refused = cli("sample", run, "--out", tmp_path / "x.png")
    assert (refused.code, "use .npy" in refused.err) == (2, True)


def test_an_own_folder_of_images_trains(cli, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    random = np.random.default_rng(0)
    for number in range(30):
        Image.fromarray(random.integers(0, 256, (5, 4, 3), dtype=np.uint8)).save(images / f"{number:02}.png")
    run = tmp_path / "run"
    assert cli("train", "--data", images, "--epochs", 2, *TINY, "--report", "false", "--out", run).code == 0
    assert json.loads((run / "provenance.json").read_text())["data"]["train"] == 27
    assert np.load(run / "images.npz")["originals"].shape == (3, 5, 4, 3)
    assert cli("sample", run, "--n", 5).code == 0
    with Image.open(run / "figures" / "samples.png") as image:
        assert image.mode == "RGB"


def test_hostile_names_stay_text(cli, tmp_path, bars):
    data = tmp_path / "[bold red]x[/] <script>alert(1)</script>.npz".replace("/", "\u2215")
    data.write_bytes(bars.read_bytes())
    out = tmp_path / "[link=x]run[-]"
    said = cli("train", "--data", data, "--epochs", 1, *TINY, "--out", out)
    assert said.code == 0
    assert f"report: {out / 'report.html'}" in said.out
    assert "<script>alert" not in (out / "report.html").read_text()
    assert cli("diagnose", out).code == 0
    prepared = cli("data", "prepare", data)
    assert prepared.code == 0
    verified = cli("data", "verify", data)
    assert (verified.code, "BAD" in verified.out) == (0, False)


def test_a_diverging_run_says_so_and_is_marked(cli, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 5)) * 1e18
    np.savez(tmp_path / "huge.npz", train=x[:40], test=x[40:])
    run = tmp_path / "run"
    said = cli("train", "--data", tmp_path / "huge.npz", "--epochs", 2, *TINY, "--out", run)
    assert said.code == 1
    assert "training diverged in epoch 1 at step 1" in said.err
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["status"] == "failed"
    happened, advice = metrics["failure"].split(" Try ")
    assert happened in said.err
    assert "`clip_norm=1.0`" in advice  # a record is read from Python; the command line names its options
    assert "--clip_norm 1.0" in said.err
    assert cli("report", run).code == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--precision", "bfloat16"],
        ["--method", "lambda-vae+cyclical", "--cycles", "2"],
        ["--samples", "2"],
        ["--measure", "false"],
        ["--binarisation", "none", "--method", "warm-up"],
        ["--likelihood", "gaussian", "--clip_norm", "1"],
        ["--delta", "inf"],
        ["--delta=inf"],
    ],
    ids=" ".join,
)
def test_options_train_to_the_end(cli, tmp_path, bars, words):
    start = ("train", "--data", bars, "--epochs", 2, *TINY, "--trackers", "[]", "--report", "false")
    said = cli(*start, *words, "--out", tmp_path / "run")
    assert said.code == 0, said.err
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "done"


def test_infinite_delta_is_the_plain_vae(cli, tmp_path, bars):
    start = ("train", "--data", bars, "--epochs", 3, *TINY, "--report", "false")
    assert cli(*start, "--delta", "inf", "--out", tmp_path / "inf").code == 0
    assert cli(*start, "--method", "vae", "--out", tmp_path / "vae").code == 0
    ours, plain = (outcome(tmp_path / name) for name in ("inf", "vae"))
    del ours["weights"]["exponent"]
    assert ours["weights"] == plain["weights"]
    assert ours["metrics"]["nll_bound"] == plain["metrics"]["nll_bound"]
