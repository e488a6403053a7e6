"""Runs on text: their vocabulary stays theirs, they resume, and the command line says in a sentence what is wrong."""

import pytest
import torch
from cli_process import bars, cli, own_cache  # noqa: F401
from flat_runs import run_of
from text_samples import sentences, write_lines

from lambda_vae.any_vae import predict
from lambda_vae.any_vae.named import named_batches
from lambda_vae.data import Vocabulary
from lambda_vae.errors import InputError
from lambda_vae.files import read_json
from lambda_vae.runs import load_run, train
from lambda_vae.runs.folder import RunFolder
from lambda_vae.runs.resolve import Run
from lambda_vae.sharing import from_pretrained, share_run

# ruff: noqa: F811 - fixtures come by import

SMALL = {"network": "gru", "embedding": 4, "width": 8, "latent_dim": 2, "batch_size": 10, "iw_samples": 2, "epochs": 1}
CALM = {"trackers": [], "evaluate_every": 0, "method": "vae", "tokeniser": "words"}


def texts(data, split):
    return [data.vocabulary.decode(row.tolist()) for row in split.tensor()[split.index()]]


def run_on(path, **values):
    return run_of(data=str(path), **{**SMALL, **CALM, **values})


def test_a_run_keeps_its_vocabulary_and_refuses_another(tmp_path, own_cache):
    path = write_lines(tmp_path / "x.txt", sentences(40))
    train(run_on(path), tmp_path / "run")
    kept = Vocabulary.of(read_json(tmp_path / "run" / "vocabulary.json"))
    loaded = load_run(tmp_path / "run")
    assert loaded.dataset.vocabulary == kept
    write_lines(path, [one.replace("cat", "fox") for one in sentences(40)])
    for again in (lambda: load_run(tmp_path / "run"), lambda: train(run_on(path), tmp_path / "run", resume=True)):
        with pytest.raises(InputError, match=r"trained with another vocabulary \(words, \d+ ids\)"):
            again()


def test_other_text_is_read_in_the_tokens_of_the_run(tmp_path, own_cache):
    train(run_on(write_lines(tmp_path / "x.txt", sentences(40))), tmp_path / "run")
    other = write_lines(tmp_path / "y.txt", ["the fox sees the dog today .", *sentences(19, seed=1)])
    loaded = load_run(tmp_path / "run", str(other))
    assert loaded.dataset.vocabulary == load_run(tmp_path / "run").dataset.vocabulary
    found = [text for split in (loaded.dataset.train, loaded.dataset.test) for text in texts(loaded.dataset, split)]
    assert sorted(found) == sorted(["the <unk> sees the dog today .", *sentences(19, seed=1)])
    with pytest.raises(InputError, match="are unknown to a vocabulary of"):
        load_run(tmp_path / "run", str(write_lines(tmp_path / "z.txt", ["ein ganz anderer Satz"] * 9)))


def test_other_options_of_the_text_are_another_run(tmp_path, own_cache):
    path = write_lines(tmp_path / "x.txt", sentences(40))
    train(run_on(path), tmp_path / "run")
    with pytest.raises(InputError, match="holds another run: its tokeniser is 'words', here it is 'characters'"):
        train(run_on(path, tokeniser="characters"), tmp_path / "run", resume=True)


def test_what_the_model_sees_are_the_ids(tmp_path, own_cache):
    path = write_lines(tmp_path / "x.txt", sentences(40))
    run = Run.resolve(run_on(path, validation=8))
    x = run.measured.head(3)
    assert x.dtype == torch.int64
    texts = [run.dataset.vocabulary.decode(row.tolist()) for row in x]
    assert set(texts) <= set(sentences(40))
    assert len(run.measured.index) == 8
    assert run.probe(5).head(5).shape[0] == 5


def test_what_is_of_numbers_refuses_text_in_a_sentence(tmp_path, own_cache):
    path = write_lines(tmp_path / "x.txt", sentences(40))
    with pytest.raises(InputError, match="a prediction takes images and vectors, and x holds sequences"):
        predict(path)
    with pytest.raises(InputError, match="takes images and vectors, and x holds sequences"):
        named_batches(path)


BAD = {
    "one line": (b"all in one line\n", "has one line of text; it takes three at least"),
    "another encoding": (b"a\nb\n\xe9\n", "line 3, is not UTF-8 (byte 0xe9); save the whole file as UTF-8"),
    "binary": (b"PK\0\0\n\n", "it is no text"),
    "too long": (b"a b c d e f g\n" * 9, "use --longest 8 to keep them whole, --longer cut or --longer drop"),
}


@pytest.mark.parametrize(("content", "what"), BAD.values(), ids=BAD.keys())
def test_the_command_ends_before_training_with_one_sentence(tmp_path, own_cache, cli, content, what):
    (tmp_path / "x.txt").write_bytes(content)
    words = ["--network", "gru", "--tokeniser", "words", "--longest", "5", "--out", str(tmp_path / "run")]
    said = cli("train", "--data", str(tmp_path / "x.txt"), *words)
    assert said.code == 2
    assert what in " ".join(said.err.split())
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_prepare_shows_examples_as_text(tmp_path, own_cache, cli):
    path = write_lines(tmp_path / "x.txt", sentences(40))
    said = cli("data", "prepare", str(path), "--tokeniser", "words", "--vocabulary", "100")
    assert "x: 36 train, 4 test" in said.out
    assert sum(line.strip() in sentences(40) for line in said.out.splitlines()) == 3
    assert cli("data", "verify", str(path), "--tokeniser", "words", "--vocabulary", "100").out.count("ok ") == 6


def test_a_model_that_is_handed_on_turns_its_tokens_into_text(tmp_path, own_cache):
    path = write_lines(tmp_path / "x.txt", sentences(40))
    train(run_on(path), tmp_path / "run")
    folder = share_run(tmp_path / "run", tmp_path / "shared")
    path.unlink()
    shared = from_pretrained(folder)
    assert shared.vocabulary == RunFolder(tmp_path / "run").read_vocabulary()
    drawn = shared.vae.decode(torch.zeros(2, shared.config.latent_dim)).sample(torch.Generator().manual_seed(0))
    assert all(isinstance(shared.vocabulary.decode(row), str) for row in drawn.tolist())
