"""Text becomes sequences: files, parts, the vocabulary, what is too long, and what is no text."""

import gzip
import importlib
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from text_samples import molecules, sentences, write_lines

from lambda_vae.data import NAMED, SequenceOptions, describe, load, shown, verify
from lambda_vae.data import text as text_module
from lambda_vae.data.named import RawFile
from lambda_vae.errors import InputError


def texts(data, split):
    x = split.tensor()
    return [data.vocabulary.decode(x.index_select(0, torch.tensor([one]))[0].tolist()) for one in range(len(split))]


def loaded(path, cache, **options):
    return load(path, cache=cache, sequences=SequenceOptions(**options))


@pytest.mark.parametrize(
    ("name", "lines", "options"),
    [
        ("x.txt", sentences(50), {}),
        ("x.txt", sentences(50), {"tokeniser": "words"}),
        ("x.smi", molecules(50), {}),
        ("x.txt", ["é λ 漢字 🙂", *sentences(48), "é 漢"], {}),
    ],
)
def test_every_line_is_stored_once_and_comes_back(tmp_path, cache, name, lines, options):
    data = loaded(write_lines(tmp_path / name, lines), cache, **options)
    assert (data.kind, len(data.train), len(data.test)) == ("sequence", 45, 5)
    found = texts(data, data.train) + texts(data, data.test)
    if "é λ 漢字 🙂" not in lines:
        assert sorted(found) == sorted(lines)
    assert data.shape == (max(int(split.tensor().lengths.max()) for split in (data.train, data.test)),)
    assert all(check.ok for check in verify(tmp_path / name, cache=cache, sequences=SequenceOptions(**options)))
    assert shown(data, 2) == texts(data, data.test)[:2]


def test_defaults_suit_the_file(tmp_path, cache):
    assert load(write_lines(tmp_path / "a.txt", sentences(20)), cache=cache).vocabulary.tokeniser == "characters"
    smiles = load(write_lines(tmp_path / "a.smi", [f"{one} name of it" for one in molecules(20)]), cache=cache)
    assert smiles.vocabulary.tokeniser == "smiles"
    assert sorted(texts(smiles, smiles.train) + texts(smiles, smiles.test)) == sorted(molecules(20))
    assert {row.name: (row.kind, row.train, row.test) for row in describe(cache)}["a"] == ("sequence", 18, 2)


def test_the_vocabulary_is_that_of_the_training_part_alone(tmp_path, cache):
    write_lines(tmp_path / "my.train.txt", ["a b c"] * 5 + ["a b"])
    write_lines(tmp_path / "my.test.txt", ["a b c a b c a b c z"])
    data = loaded(tmp_path / "my.train.txt", cache, tokeniser="words")
    assert (len(data.train), len(data.test)) == (6, 1)
    assert data.vocabulary.tokens[3:] == ("a", "b", "c")
    assert texts(data, data.test) == ["a b c a b c a b c <unk>"]
    assert "my.test.txt as the test part" in data.source
    assert "10.00% of the test part unknown" in data.source


def test_empty_lines_and_carriage_returns_are_left_out_and_said(tmp_path, cache):
    (tmp_path / "x.txt").write_bytes(b"\xef\xbb\xbfab\r\n\r\n \t\nba\naab\n\nabb")
    data = load(tmp_path / "x.txt", cache=cache)
    assert sorted(texts(data, data.train) + texts(data, data.test)) == ["aab", "ab", "abb", "ba"]
    assert "3 empty lines left out" in data.source


def test_a_compressed_file_is_the_file(tmp_path, cache):
    plain = write_lines(tmp_path / "x.txt", sentences(20))
    (tmp_path / "y.txt.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert load(plain, cache=cache).sha256 == load(tmp_path / "y.txt.gz", cache=cache).sha256


def test_blocks_of_a_file_make_no_difference(tmp_path, cache, monkeypatch):
    path = write_lines(tmp_path / "x.txt", ["a long line with ä and 漢 " * 9, *sentences(30), ""])
    whole = load(path, cache=cache / "whole")
    monkeypatch.setattr("lambda_vae.data.lines._BLOCK", 7)
    assert load(path, cache=cache / "blocks").sha256 == whole.sha256


def test_the_hash_tells_tokenisers_and_vocabularies_apart(tmp_path, cache):
    path = write_lines(tmp_path / "x.txt", sentences(30))
    options = [{}, {"tokeniser": "words"}, {"tokeniser": "words", "vocabulary": 26}]
    assert len({loaded(path, cache, **one).sha256 for one in options}) == 3
    renamed = [write_lines(tmp_path / f"{word}.txt", [f"{word} b", word] * 9) for word in "ac"]  # the same ids
    assert len({loaded(path, cache, tokeniser="words").sha256 for path in renamed}) == 2


def test_what_is_too_long_is_refused_cut_or_left_out(tmp_path, cache):
    lines = ["a b", "a b c d e f", "b a", "c d e f", "a b c d e"] * 4
    path = write_lines(tmp_path / "x.txt", lines)
    with pytest.raises(
        InputError, match=r"has 8 sequences of more than 5 tokens, up to 7; use `longest=7` .*longer=cut"
    ):
        loaded(path, cache, tokeniser="words", longest=5)
    cut = loaded(path, cache, tokeniser="words", longest=5, longer="cut")
    assert cut.shape == (5,)
    assert sorted(texts(cut, cut.train) + texts(cut, cut.test)) == sorted([" ".join(one.split()[:4]) for one in lines])
    assert "8 sequences cut to 5 tokens" in cut.source
    dropped = loaded(path, cache, tokeniser="words", longest=5, longer="drop")
    assert set(texts(dropped, dropped.train) + texts(dropped, dropped.test)) == {"a b", "b a", "c d e f"}
    assert "8 sequences left out that exceed 5 tokens" in dropped.source


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=9), st.integers(2, 8), st.sampled_from(["refuse", "cut", "drop"])
)
def test_cutting_is_that_of_each_text_alone(lengths, longest, longer):
    ids = np.array([one for length in lengths for one in [*range(3, 3 + length), 1]])
    cut = {
        "refuse": lengths,
        "cut": [min(n, longest - 1) for n in lengths],
        "drop": [n for n in lengths if n < longest],
    }
    expected = [one for length in cut[longer] for one in [*range(3, 3 + length), 1]]
    assert text_module._fitted(ids, SequenceOptions(longest=longest, longer=longer)).tolist() == expected


def test_large_vocabularies_are_stored_wider(tmp_path, cache):
    path = write_lines(tmp_path / "x.txt", [f"w{i} w{i + 1}" for i in range(300)] * 10)
    data = loaded(path, cache, tokeniser="words")
    assert (data.train.x.dtype, data.vocabulary.size) == (np.int16, 304)
    assert sorted(set(texts(data, data.train)))[0] == "w0 w1"


def test_a_column_of_a_table_is_read(tmp_path, cache):
    lines = sentences(30)
    (tmp_path / "x.csv").write_text("id,text\n" + "".join(f'{i},"{one}"\n' for i, one in enumerate(lines)))
    (tmp_path / "y.csv").write_text("text\n" + "".join(f"{one}\n" for one in lines))
    for name in ("x.csv", "y.csv"):
        data = loaded(tmp_path / name, cache, column="text")
        assert sorted(texts(data, data.train) + texts(data, data.test)) == sorted(lines)
    with pytest.raises(InputError, match=r"unknown column of x.csv 'txt' \(did you mean 'text'\?\)"):
        loaded(tmp_path / "x.csv", cache, column="txt")


def test_a_column_of_parquet_is_read(tmp_path, cache):
    pytest.importorskip("pyarrow")
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({"n": list(range(30)), "smiles": [*molecules(29), None]})
    parquet.write_table(table, tmp_path / "x.parquet")
    data = loaded(tmp_path / "x.parquet", cache, column="smiles", tokeniser="smiles")
    assert sorted(texts(data, data.train) + texts(data, data.test)) == sorted(molecules(29))
    assert "1 empty line left out" in data.source


BAD = {
    "one line": ("x.txt", b"all of it in one line\n", {}, "has one line of text; it takes three at least"),
    "nothing": ("x.txt", b"\n \n", {}, "has no line of text"),
    "two lines": ("x.txt", b"a\na\n", {}, "x has 2 examples; 2 to train and 1 to test are the least"),
    "latin-1": ("x.txt", b"one\ntwo\ncaf\xe9\n", {}, r"x.txt, line 3, is not UTF-8 \(byte 0xe9\); save the whole file"),
    "mixed": ("x.txt", "é\nb\nc\n".encode() + b"\xe9\n", {}, "x.txt, line 4, is not UTF-8"),
    "binary": ("x.txt", b"PK\x03\x04\n\n\0\0\n", {}, "x.txt, line 3, holds a zero byte: it is no text"),
    "utf-16": ("x.txt", "a\nb\nc\n".encode("utf-16"), {}, "x.txt is UTF-16; save it as UTF-8"),
    "numbers": ("x.txt", b"1 2\n3 4\n5 6\n", {}, "holds numbers: a table of them is read under the name .csv"),
    "unknown": (
        "x.txt",
        b"a b\n" * 5 + b"c d e f\n" * 5,
        {"tokeniser": "words", "vocabulary": 2},
        "unknown to .*; use a larger `vocabulary`, `tokeniser=characters`, more training text",
    ),
    "few known": ("x.txt", b"ab\ncd\nef\ngh\n", {}, "unknown to .*; use more training text, or a test part of its kin"),
    "rare": ("x.txt", b"a\nb\nc\nd\n", {"min_count": 3}, "no token that occurs 3 times; use a smaller `min_count`$"),
    "all left out": (
        "x.txt",
        b"a b c d\n" * 9,
        {"longest": 3, "longer": "drop"},
        "every sequence of the training part .* has more than 3 tokens, up to 8, and is left out; use",
    ),
    "one too long": (
        "x.txt",
        b"a b\n" * 9 + b"a b c\n",
        {"longest": 4},
        "has 1 sequence of more than 4 tokens, up to 6",
    ),
    "damaged": ("x.txt.gz", gzip.compress(b"a\nb\nc\n" * 999)[:40], {}, "is truncated or corrupt"),
    "no column": ("x.txt", b"a\nb\nc\n", {"column": "text"}, "has no columns, and `column=text` was asked for"),
    "no text": ("x.csv", b"1,2\n3,4\n5,6\n", {"tokeniser": "words"}, "is no text; .*name the `column`"),
}


@pytest.mark.parametrize(("name", "content", "options", "what"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_sentence(tmp_path, cache, name, content, options, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=what):
        loaded(tmp_path / name, cache, **options)
    assert not [path for path in cache.glob("*")]


def test_byte_pairs_need_a_token_for_each_byte(tmp_path, cache):
    with pytest.raises(InputError, match="vocabulary is 200; the tokeniser bpe needs at least 256"):
        loaded(write_lines(tmp_path / "x.txt", sentences(9)), cache, tokeniser="bpe", vocabulary=200)


def test_options_out_of_range_are_refused():
    for options, what in [
        ({"vocabulary": 0}, "vocabulary is 0; it must be at least 1"),
        ({"longest": 1}, "longest is 1; it must be at least 2"),
        ({"min_count": 0}, "min_count is 0"),
        ({"tokeniser": "smile"}, "unknown tokeniser 'smile' .did you mean 'smiles'"),
    ]:
        with pytest.raises(InputError, match=what):
            SequenceOptions(**options)


def test_options_of_text_are_refused_for_other_data(cache):
    with pytest.raises(InputError, match="digits has no text; leave out `tokeniser` and such"):
        load("digits", cache=cache, sequences=SequenceOptions(tokeniser="words"))
    with pytest.raises(InputError, match="hf:x is read for its images"):
        load("hf:x", cache=cache, sequences=SequenceOptions(tokeniser="words"))


@pytest.fixture
def tiny_moses(monkeypatch, tmp_path, no_shared_data):
    """The name "moses" stands for small tables; gives their contents."""
    tables = {part: "\n".join(["SMILES", *molecules(n, n), ""]).encode() for part, n in (("train", 40), ("test", 8))}
    wheel = tmp_path / "molsets-0.3.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for part, table in tables.items():
            archive.writestr(f"moses/dataset/data/{part}.csv.gz", gzip.compress(table))
    files = tuple(RawFile(f"{part}.csv.gz", sha256(table).hexdigest()) for part, table in tables.items())
    own, packed = NAMED["moses"].renditions
    renditions = (
        replace(own, files=files),
        replace(packed, files=(RawFile(wheel.name, sha256(wheel.read_bytes()).hexdigest()),)),
    )
    monkeypatch.setitem(NAMED, "moses", replace(NAMED["moses"], renditions=renditions))
    return tables, wheel


def test_moses_is_read_from_tables_a_wheel_or_an_installed_package(tiny_moses, tmp_path, cache, monkeypatch):
    tables, wheel = tiny_moses
    hashes = []
    for place in ("given", "wheels"):
        folder = tmp_path / place / "moses"
        folder.mkdir(parents=True)
        if place == "wheels":
            (folder / wheel.name).write_bytes(wheel.read_bytes())
        else:
            for part, table in tables.items():
                (folder / f"{part}.csv.gz").write_bytes(gzip.compress(table))
        monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path / place))
        data = load("moses", cache=cache / place, download=False)
        assert texts(data, data.test) == molecules(8, 8)
        hashes.append(data.sha256)
        assert all(check.ok for check in verify("moses", cache=cache / place))
    monkeypatch.delenv("LAMBDA_VAE_DATA")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "site" / "molsets-0.3.1.dist-info").mkdir()
    (tmp_path / "site" / "molsets-0.3.1.dist-info" / "METADATA").write_text("Name: molsets\nVersion: 0.3.1\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    importlib.invalidate_caches()
    hashes.append(load("moses", cache=cache / "installed", download=False).sha256)
    assert "moses" not in sys.modules
    assert len(set(hashes)) == 1


def test_moses_that_is_not_here_says_how_to_get_it(tiny_moses, cache):
    with pytest.raises(InputError, match=r"could not be had .*`pip install --no-deps molsets==0.3.1`"):
        load("moses", cache=cache, download=False)


def test_other_tables_than_the_published_are_refused(tiny_moses, tmp_path, cache, monkeypatch):
    folder = tmp_path / "data" / "moses"
    folder.mkdir(parents=True)
    for part in ("train", "test"):
        (folder / f"{part}.csv.gz").write_bytes(gzip.compress(b"SMILES\nC\nN\nO\n"))
    monkeypatch.setenv("LAMBDA_VAE_DATA", str(tmp_path / "data"))
    with pytest.raises(InputError, match="this is not the published moses"):
        load("moses", cache=cache, download=False)
