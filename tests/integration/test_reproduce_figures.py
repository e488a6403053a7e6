"""`reproduce figure1` to `figure9` end to end at smoke scale, and what is refused before anything is written."""

# ruff: noqa: F811 - fixtures come by import

import json
import shutil

import numpy as np
import pytest
from cli_process import cli, colours, own_cache  # noqa: F401

from lambda_vae.paper import FIGURES, FigureChoice, _reproduce_figure

SMOKE = ("--scale", "smoke")
DATA = {"figure4": ("--data", "digits"), "figure5": ("--data", "digits")}
OF_TABLES = {"figure6": "table2", "figure7": "table2", "figure8": "table2", "figure9": "table3"}


def pages(folder, name):
    return {ending: (folder / f"{name}{ending}").read_bytes() for ending in (".md", ".svg", ".pdf", ".json")}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_made_resumed_drawn_anew_and_published(cli, tmp_path, colours, name):
    out, page = tmp_path / "out", tmp_path / "results" / f"{name}.md"
    data = ("--data", colours) if name in OF_TABLES else DATA.get(name, ())
    said = cli("reproduce", name, *SMOKE, *data, "--out", out)
    assert said.code == 0, said.err
    first = pages(out, name)
    assert b"**" in first[".md"]
    said = cli("reproduce", name, *SMOKE, *data, "--out", out)
    assert (said.code, "add --resume" in said.err) == (2, True)
    said = cli("reproduce", name, *SMOKE, *data, "--out", out, "--resume")
    assert said.code == 0, said.err
    again = json.loads((out / f"{name}.json").read_text())
    assert again["numbers"] == json.loads(first[".json"])["numbers"]
    said = cli("report", out, "--results", page)
    assert said.code == 0, said.err
    assert page.with_suffix(".svg").read_bytes() == (out / f"{name}.svg").read_bytes()


def test_snapshots_are_measured_once_and_their_checkpoints_removed(cli, tmp_path):
    out = tmp_path / "out"
    assert cli("reproduce", "figure3", *SMOKE, "--out", out).code == 0
    runs = list(out.glob("gaussian-mixture-*/runs/*/"))
    assert len(runs) == 4
    for run in runs:
        readings = json.loads((run / "snapshots.json").read_text())["readings"]
        assert [reading["epoch"] for reading in readings] == [1, 2, 3, 4]
        assert all(-0.5 < reading["information"] <= reading["cap"] for reading in readings)
        assert len(list((run / "checkpoints").glob("*.safetensors"))) == 2
    (runs[0] / "snapshots.json").unlink()
    said = cli("reproduce", "figure3", *SMOKE, "--out", out, "--resume")
    assert said.code == 2
    assert "kept no checkpoint of epoch 1; remove the folder" in said.err


def test_a_figure_is_drawn_from_the_runs_of_a_comparison(cli, tmp_path):
    base = tmp_path / "base"
    assert cli("reproduce", "figure5", *SMOKE, *DATA["figure5"], "--out", base).code == 0
    for name in ("figure4", "figure5"):
        out = tmp_path / name
        said = cli("reproduce", name, "--runs", base / "digits", "--out", out)
        assert said.code == 0, said.err
        record = json.loads((out / f"{name}.json").read_text())
        assert record["notes"][-1] == "These runs have 4 epochs; the paper's have 200."
        assert "λ-VAE δ=1.01" in [run["label"] for run in record["numbers"]["runs"]]
        assert not (out / "runs").exists()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("figur3",), "unknown table or figure 'figur3' (did you mean 'figure3'?)"),
        (("figure10",), "unknown table or figure 'figure10'"),
        (("figure1", "--data", "mnist"), "figure1 is theory and takes no data; leave out --data mnist"),
        (("figure3", "--data", "digits"), "is made on gaussian-mixture-2 and gaussian-mixture-4; leave out --data"),
        (("figure5", "--data", "gaussian-mixture-2"), "shows pictures and gaussian-mixture-2 holds vectors"),
        (("figure4", "--data", "mnst"), "unknown data set 'mnst'"),
        (("figure4", "--scale", "big"), "unknown scale 'big'"),
        (("figure4", "--only", "vae"), "figure4 is a figure; --only is for tables"),
        (("figure3", "--runs", "x"), "figure3 is not drawn from the runs of others"),
        (("table1", "--runs", "x"), "table1 is no figure; leave out --runs"),
        (("figure4", "--runs", "nowhere"), "nowhere"),
        (("figure4", "--runs", "x", "y"), "figure4 is drawn from one comparison; give one of --runs x y"),
        (("figure6", "--data", "digits"), "Figure 6 is of RGB images and digits holds grey images of shape (8, 8)"),
        (("figure7", "--data", "gaussian-mixture-2"), "Figure 7 is of RGB images and gaussian-mixture-2 holds vectors"),
        (("figure9", "--scale", "quick"), "the scales of figure9 are smoke, steps, cpu, paper"),
    ],
)
def test_bad_words_are_refused_before_anything_is_written(cli, tmp_path, words, what):
    said = cli("reproduce", *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert what in said.err
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def tables(own_cache, tmp_path_factory, colours):
    """Both tables of images at smoke scale, made once."""
    from lambda_vae.paper import Reproduction, reproduce

    made = {}
    for table in ("table2", "table3"):
        made[table] = tmp_path_factory.mktemp(table) / "out"
        reproduce(Reproduction(table, str(colours), "smoke"), made[table])
    return made


@pytest.fixture
def drawn(cli, tables, tmp_path):
    """`drawn("figure7")` draws from a table's runs and returns the record, and the runs' folders by method."""

    def draw(name):
        said = cli("reproduce", name, "--runs", tables[OF_TABLES[name]], "--out", tmp_path / name)
        assert said.code == 0, said.err
        record = json.loads((tmp_path / name / f"{name}.json").read_text())
        assert record["notes"][-1] == "These runs have 2 epochs; the paper's have 400."
        assert str(tmp_path) not in json.dumps(record["numbers"])
        (panel,) = record["numbers"]["panels"]
        folders = {run["method"]: tables[OF_TABLES[name]] / "runs" / run["run"] for run in panel["runs"]}
        assert folders.keys() == {"vae", "lambda-vae"}
        return panel, folders

    return draw


def of(panel, method):
    return next(run for run in panel["runs"] if run["method"] == method)


def test_capacities_over_training_are_eq_7_of_the_history(drawn):
    panel, folders = drawn("figure6")
    for method, folder in folders.items():
        tracks = json.loads((folder / "history.json").read_text())["dimensions"]
        last = [
            0.5 * np.log(1 + s / n**2)
            for s, n in zip(tracks["signal_power"][-1], tracks["sampling_std"][-1], strict=True)
        ]
        run = of(panel, method)
        assert run["snr_capacity_by_epoch"][-1] == pytest.approx(sum(last), rel=1e-4)
        assert run["decoder_capacity_by_epoch"][-1] == pytest.approx(sum(tracks["decoder_capacity"][-1]), rel=1e-4)


def test_the_running_sigma_is_the_moving_average_of_the_historys(drawn):
    panel, folders = drawn("figure7")
    run, history = of(panel, "lambda-vae"), json.loads((folders["lambda-vae"] / "history.json").read_text())
    running = None
    for seen in history["dimensions"]["std_mean"]:  # smoke scale refreshes after every epoch
        running = np.array(seen) if running is None else 0.9 * running + 0.1 * np.array(seen)
    assert run["running_std"] == pytest.approx(running.tolist(), rel=1e-5)
    assert of(panel, "vae")["running_std"] is None
    assert set(of(panel, "vae")["exponent"]) == {1.0}


@pytest.mark.parametrize("name", ["figure8", "figure9"])
def test_reconstructions_are_those_that_the_run_itself_drew(drawn, name):
    panel, folders = drawn(name)
    for method, folder in folders.items():
        images, run = np.load(folder / "images.npz"), of(panel, method)
        shown = run["reconstructions"] if name == "figure8" else run["modes"]["greedy"]["reconstructions"]
        assert panel["originals"] == images["originals"][:10].tolist()
        assert np.abs(np.array(shown) - images["reconstructions"][:10].astype(int)).max() <= 1
        errors = run["squared_error"] if name == "figure8" else run["modes"]["greedy"]["squared_error"]
        pixels = [images[which][:10] / 255 for which in ("originals", "reconstructions")]
        expected = np.square(pixels[0] - pixels[1]).reshape(10, -1).mean(1)
        assert errors[:10] == pytest.approx(expected.tolist(), abs=0.005)


def test_a_code_is_swapped_for_anothers(tables):
    """With codes of two images exchanged, each image's error is that of the other one's reconstruction."""
    from lambda_vae.paper.decoded import Codes
    from lambda_vae.paper.figure9 import _mode
    from lambda_vae.records.read import load_comparison

    codes = Codes.of(load_comparison(tables["table2"]).runs[0].path, 2)
    codes.mu.mul_(10)  # little as it has learnt, the decoder tells these apart
    mode = _mode(codes, None)
    own = codes.decoded(codes.mu)
    assert not np.allclose(own[0], own[1])
    assert mode["squared_error_of_other_code"] == pytest.approx(codes.errors(own.flip(0)), rel=1e-4)
    assert mode["squared_error"] == pytest.approx(codes.errors(own), rel=1e-4)


def test_two_comparisons_are_two_rows_of_a_figure(cli, tables, tmp_path):
    other = tmp_path / "other"
    words = ("--runs", tables["table2"], tables["table2"], "--out", other)
    said = cli("reproduce", "figure6", *words)
    assert (said.code, "are both on colours; leave out one of them" in said.err) == (2, True)
    assert not other.exists()


def test_runs_of_another_network_and_of_grey_images_are_refused(cli, tables, tmp_path):
    said = cli("reproduce", "figure9", "--runs", tables["table2"], "--out", tmp_path / "out")
    assert said.code == 2
    assert "holds no finished run with network pixelcnn that figure9 shows; it shows vae, lambda-vae" in said.err
    grey = shutil.copytree(tables["table2"], tmp_path / "grey")
    for path in grey.glob("runs/*/images.npz"):
        images = dict(np.load(path))
        np.savez(path, **{**images, "originals": images["originals"][..., 0]})
    said = cli("reproduce", "figure8", "--runs", grey, "--out", tmp_path / "out")
    assert (said.code, "Figure 8 is of RGB images" in said.err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_other_data_of_the_papers_is_drawn_where_it_is_there(monkeypatch):
    monkeypatch.setattr(_reproduce_figure, "_is_there", lambda _name: True)
    assert FigureChoice("figure6").all_data == ("cifar10", "celeba64")
    assert FigureChoice("figure9").all_data == ("cifar10",)
    monkeypatch.setattr(_reproduce_figure, "_is_there", lambda _name: False)
    choice = FigureChoice("figure6")
    assert choice.all_data == ("cifar10",)
    assert _reproduce_figure._notes(choice, {}) == [
        "celeba64 is left out, for it is not here; `lambda-vae data prepare celeba64`."
    ]
    assert FigureChoice("figure6", "celeba64").all_data == ("celeba64",)


def test_other_folders_are_left_alone(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    said = cli("reproduce", "figure1", "--out", tmp_path, "--resume")
    assert "is not empty and holds no figure" in said.err
    out = tmp_path / "out"
    assert cli("reproduce", "figure1", "--out", out).code == 0
    said = cli("reproduce", "figure2", "--out", out, "--resume")
    assert said.code == 2
    assert "its figure is 'figure1', here it is 'figure2'" in said.err
