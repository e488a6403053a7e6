"""Tables as others write them: the same numbers from each, and one sentence for what is no number."""

import bz2
import gzip
import io
import sys

import numpy as np
import pytest

from lambda_vae.data import load
from lambda_vae.errors import InputError

X = np.random.RandomState(0).randn(30, 3).round(4)
KINDS = ["ant", "bee", "owl"] * 10
ALONE = "; a tenth split off as the test part"


def lines(rows, separator=",", header=None):
    return "".join(separator.join(map(str, row)) + "\n" for row in ([header] if header else []) + list(rows))


def savetxt(**options):
    stream = io.StringIO()
    np.savetxt(stream, X, **options)
    return stream.getvalue()


def pandas_table(index):
    """What DataFrame.to_csv writes of an array without names."""
    header = [*([""] if index else []), *map(str, range(3))]
    return lines(([*([i] if index else []), *row] for i, row in enumerate(X)), header=header)


TABLES = {
    "header": (lines(X, header="abc"), "mine.csv", ", 3 columns"),
    "no header": (lines(X), "mine.csv", " without a header, 3 columns"),
    "semicolons": (lines(X, ";", "abc"), "mine.csv", ", 3 columns"),
    "tabs": (lines(X, "\t", "abc"), "mine.tsv", ", 3 columns"),
    "tabs under csv": (lines(X, "\t", "abc"), "mine.csv", ", 3 columns"),
    "savetxt": (savetxt(), "mine.csv", " without a header, 3 columns"),
    "savetxt with its header": (savetxt(delimiter=",", header="a,b,c"), "mine.csv", ", 3 columns"),
    "comments": ("# made by hand\n# in May, 2020\n" + lines(X, header="abc"), "mine.csv", ", 3 columns"),
    "comments above names": ("# made by hand\n# " + lines(X, header="abc"), "mine.csv", ", 3 columns"),
    "numbered columns": (pandas_table(False), "mine.csv", ", 3 columns"),
    "numbered rows": (pandas_table(True), "mine.csv", f", 3 columns{ALONE}; row numbers left out: column 1"),
    "an id": (
        lines(([i + 1, *row] for i, row in enumerate(X)), header=["id", *"abc"]), "mine.csv",
        f", 3 columns{ALONE}; row numbers left out: id",
    ),
    "years as names": (lines(([*row] for row in X), header=["y", "2019", "2020"]), "mine.csv", ", 3 columns"),
    "byte order mark": ("\ufeff" + lines(X, header="abc"), "mine.csv", ", 3 columns"),
    "Windows": (lines(X, header="abc").replace("\n", "\r\n") + "\r\n", "mine.csv", ", 3 columns"),
    "quoted": (lines(([f'"{v}"' for v in row] for row in X), header=['"a, b"', "c", "d"]), "mine.csv", ", 3 columns"),
    "upper case ending": (lines(X, header="abc"), "MINE.CSV", ", 3 columns"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "name", "said"), TABLES.values(), ids=TABLES.keys())
@pytest.mark.parametrize(("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress)])
def test_the_same_numbers_come_from_each_way_to_write_them(tmp_path, cache, text, name, said, ending, pack):
    (tmp_path / f"{name}{ending}").write_bytes(pack(text.encode()))
    data = load(tmp_path / f"{name}{ending}", cache=cache)
    assert (data.kind, data.shape, data.train.y) == ("vector", (3,), None)
    assert sorted(map(bytes, [*data.train.x, *data.test.x])) == sorted(map(bytes, X.astype(np.float32)))
    assert data.source.startswith(f"table {name}{ending}{said}")


def test_numbered_columns_of_integers_are_no_example(tmp_path, cache):
    counts = np.random.RandomState(0).poisson(3, (30, 3))
    (tmp_path / "x.csv").write_text(lines(counts, header="012"))
    data = load(tmp_path / "x.csv", cache=cache)
    assert len(data.train) + len(data.test) == 30


@pytest.mark.parametrize("name", ["label", "Class"])
@pytest.mark.parametrize("labels", [KINDS, [0, 1, 2] * 10])
def test_a_column_of_labels_is_no_feature(tmp_path, cache, name, labels):
    rows = ([*row, label] for row, label in zip(X, labels, strict=True))
    (tmp_path / "x.csv").write_text(lines(rows, header=[*"abc", name]))
    data = load(tmp_path / "x.csv", cache=cache)
    assert data.shape == (3,)
    assert data.classes == (("ant", "bee", "owl") if labels is KINDS else None)
    number = {bytes(row): i % 3 for i, row in enumerate(X.astype(np.float32))}
    assert [number[bytes(row)] for row in data.train.x] == data.train.y.tolist()
    assert f"labels from {name}" in data.source


def test_truth_values_are_numbers_and_scales_are_said(tmp_path, cache):
    rows = ([a * 1000, b > 0, 7] for a, b, _ in X)
    (tmp_path / "x.csv").write_text(lines(rows, header=["income", "owner", "country"]))
    data = load(tmp_path / "x.csv", cache=cache)
    deviations = np.std(X[:, 0] * 1000), np.std(X[:, 1] > 0)
    assert data.source.endswith(
        f"; constant: country; standard deviations from {deviations[1]:.3g} (owner) to {deviations[0]:.3g} (income), "
        "not standardised"
    )
    assert set(np.unique(data.train.x[:, 1])) == {0, 1}


def test_pixels_in_columns_are_said_to_be_no_image(tmp_path, cache):
    pixels = np.random.RandomState(0).randint(0, 256, (20, 64))
    rows = ([i % 10, *row] for i, row in enumerate(pixels))
    (tmp_path / "x.csv").write_text(lines(rows, header=["label", *(f"pixel{i}" for i in range(64))]))
    data = load(tmp_path / "x.csv", cache=cache)
    assert (data.kind, data.shape, sorted(set(data.train.y))) == ("vector", (64,), list(range(10)))
    assert data.source.endswith("; whole numbers up to 255, as vectors: save images as [N, H, W] of uint8 in an .npy")


def edited(row, column, cell, width=3):
    table = [[str(v) for v in r[:width]] for r in X]
    table[row][column] = cell
    return lines(table, header="abc"[:width])


WORDS = lines(([*row, kind] for row, kind in zip(X, KINDS, strict=True)), header=[*"abc", "species"])

BAD = {
    "words": (WORDS, r"not numbers: species \('ant'\); name one label .*get_dummies\(pandas.read_csv\('x.csv'\)"),
    "words without a header": (WORDS.partition("\n")[2], r"not numbers: column 4 \('ant'\)"),
    "dates": (lines(([v, "2020-01-01"] for v in X[:, 0]), header="ab"), r"not numbers: b \('2020-01-01'\)"),
    "an empty cell": (edited(4, 1, ""), r"missing values: b 1 \(first in row 4\); fill them in, or leave out"),
    "NA": (edited(5, 2, "NA"), r"missing values: c 1 \(first in row 5\)"),
    "gaps and words": (edited(5, 2, "NA") .replace(str(X[3, 0]), "x"), r"missing .* c 1 .*; and columns .* a \('x'\)"),
    "infinity": (edited(5, 2, "inf"), "has NaN or infinity .* in row 5"),
    "a row too short": ("a,b\n1,2\n3\n", "x.csv, line 3, has 1 cells where the first has 2"),
    "a row too long": ("a,b\n1,2\n3,4,5\n", "x.csv, line 3, has 3 cells where the first has 2"),
    "decimal commas": ("a;b\n1,5;2,5\n3,5;4,5\n", r"not numbers: a \('1,5'\).* sep=';', decimal=','\)\.to_csv"),
    "thousands": ('a,b\n"1,000",2\n"1,250,000",4\n', r"a \('1,000'\).*\('x.csv', thousands=','\)"),
    "underscores": ("a,b\n1_0,2\n2_0,4\n", r"not numbers: a \('1_0'\)"),
    "seconds since 1970": (
        lines(([1.7e9 + i, v] for i, v in enumerate(X[:, 0])), header=["time", "v"]),
        r"x.csv, time, has values up to 1.7e\+09 that differ by 8.66, .* step there is 128; subtract the column's mean",
    ),
    "a header alone": ("a,b\n", "x.csv has no rows"),
    "empty": ("", "x.csv has no rows"),
    "labels alone": ("label\n1\n0\n1\n", "has no column of numbers besides labels and row numbers"),
    "another encoding": (edited(0, 0, "1").replace("a", "é").encode("latin-1"), "x.csv is not UTF-8"),
    "a zero byte": (b"a,b\n1,\0\n", "missing values: b 1"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_what_is_no_number_is_named(tmp_path, cache, text, message):
    (tmp_path / "x.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path / "x.csv", cache=cache)
    assert "\n" not in str(caught.value)


def test_a_cut_table_is_refused(tmp_path, cache):
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(lines(X, header="abc").encode())[:-30])
    with pytest.raises(InputError, match="is truncated or no table"):
        load(tmp_path / "x.csv.gz", cache=cache)


def test_the_line_that_is_advised_makes_the_table_readable(tmp_path, cache, monkeypatch):
    pandas = pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text(WORDS)
    pandas.get_dummies(pandas.read_csv("x.csv"), dtype=float).to_csv("numbers.csv", index=False)
    data = load(tmp_path / "numbers.csv", cache=cache)
    assert data.shape == (6,)
    assert np.array_equal(np.unique(data.train.x[:, 3:]), [0, 1])


def test_long_tables_are_read_in_pieces(tmp_path, cache, monkeypatch):
    monkeypatch.setattr("lambda_vae.data.separated._ROWS", 7)
    text = lines(([i, 1e6 + i % 5, 2] for i in range(30)), header="abc")
    (tmp_path / "x.csv").write_text(text)
    data = load(tmp_path / "x.csv", cache=cache)
    assert (data.shape, len(data.train), len(data.test)) == ((2,), 27, 3)
    assert data.source.endswith("; row numbers left out: a; constant: c")
    (tmp_path / "y.csv").write_text(text.replace("\n22,", "\n,"))
    with pytest.raises(InputError, match=r"missing values: a 1 \(first in row 22\)"):
        load(tmp_path / "y.csv", cache=cache)


@pytest.fixture
def arrow():
    return pytest.importorskip("pyarrow", reason="the extra lambda-vae[table] is not installed")


def write_parquet(path, **columns):
    from pyarrow import parquet, table

    parquet.write_table(table(columns), path)


def test_parquet_is_read_as_csv_is(arrow, tmp_path, cache):
    write_parquet(
        tmp_path / "x.parquet", a=X[:, 0], b=X[:, 1].astype(np.float32), c=list(range(5, 35)), row=list(range(30)),
        d=[True, False] * 15, label=arrow.array(KINDS).dictionary_encode(),
    )  # fmt: skip
    data = load(tmp_path / "x.parquet", cache=cache)
    assert (data.shape, data.classes) == ((4,), ("ant", "bee", "owl"))
    rows = np.stack([X[:, 0], X[:, 1], np.arange(5, 35), [1, 0] * 15], axis=1).astype(np.float32)
    assert sorted(map(bytes, [*data.train.x, *data.test.x])) == sorted(map(bytes, rows))
    assert "labels from label; row numbers left out: row" in data.source


def test_parquet_of_other_things_is_refused(arrow, tmp_path, cache):
    path = tmp_path / "x.parquet"
    write_parquet(path, a=X[:, 0], kind=KINDS, code=[[1.0, 2.0]] * 30)
    with pytest.raises(
        InputError, match=r"not numbers: kind \('ant'\), code \('list<.*images are read as hf:x.parquet"
    ):
        load(path, cache=cache)
    write_parquet(path, a=arrow.array([1.0, None, float("nan")] * 10), b=arrow.array([1, 2, None] * 10))
    with pytest.raises(InputError, match=r"a 20 \(first in row 1\), b 10 \(first in row 2\)"):
        load(path, cache=cache)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="is not a readable Parquet file"):
        load(path, cache=cache)


def test_without_the_package_the_extra_is_named(tmp_path, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"needs the package pyarrow; pip install 'lambda-vae\[table\]'"):
        load(tmp_path / "x.parquet", cache=cache)
