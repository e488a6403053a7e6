"""The raw files of named text and molecules as lines: each as its authors hand it out, or one sentence a line."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lambda_vae.data.lines import Lines, text_lines

__all__ = ["corpus_lines"]

#: The 500 texts of the Brown Corpus; of each twenty in the order of their names the last is for testing, the tenth for
#: validation.
_BROWN, _TWENTY, _TENTH = re.compile(r"brown/c[a-r]\d\d"), 20, 9


def _brown(path: Path, part: str) -> Lines:
    """The sentences of NLTK's brown.zip without their tags."""

    def blocks() -> Iterator[list[str]]:
        with zipfile.ZipFile(path) as archive:
            for number, name in enumerate(sorted(filter(_BROWN.fullmatch, archive.namelist()))):
                place = number % _TWENTY
                if (part == "test") == (place == _TWENTY - 1) and place != _TENTH:
                    lines = archive.read(name).decode("ascii").splitlines()
                    yield [" ".join(word.rpartition("/")[0] for word in line.split()) for line in lines]

    return Lines(str(path), blocks)


def _conllu(path: Path) -> Lines:
    """The sentences of a treebank in CoNLL-U: the form of each syntactic word."""
    rows = text_lines(path)

    def blocks() -> Iterator[list[str]]:
        words: list[str] = []
        for block in rows.blocks():
            sentences = []
            for row in block:
                number, _, rest = row.partition("\t")
                if number.isdigit():
                    words.append(rest.partition("\t")[0])
                elif not row and words:
                    sentences.append(" ".join(words))
                    words = []
            yield sentences

    return Lines(str(path), blocks)


def corpus_lines(paths: list[Path]) -> tuple[Lines, Lines]:
    """The training and the test lines of a named set.

    Args:
        paths: Of its raw files: one archive of both parts, or training and test.

    Returns:
        The two parts; whoever reads them meets an InputError where a file is damaged.
    """
    if len(paths) == 1 and paths[0].suffix == ".whl":
        train, test = (
            text_lines(paths[0], "SMILES", f"moses/dataset/data/{part}.csv.gz") for part in ("train", "test")
        )
        return train, test
    if len(paths) == 1:
        return _brown(paths[0], "train"), _brown(paths[0], "test")
    if ".conllu" in paths[0].suffixes:
        return _conllu(paths[0]), _conllu(paths[1])
    header = "SMILES" if ".csv" in paths[0].suffixes else None
    return text_lines(paths[0], header), text_lines(paths[1], header)
