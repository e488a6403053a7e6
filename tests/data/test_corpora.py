"""The files of named corpora, as their authors hand them out."""

import zipfile

from lambda_vae.data.corpora import corpus_lines


def all_lines(lines):
    return [line for block in lines.blocks() for line in block if line.strip()]


def test_brown_is_read_from_its_archive_without_tags(tmp_path):
    names = [f"brown/c{letter}{number:02}" for letter in "ab" for number in range(1, 21)]
    with zipfile.ZipFile(tmp_path / "brown.zip", "w") as archive:
        archive.writestr("brown/README", "not a text")
        archive.writestr("brown/cats.txt", "ca01 news")
        for name in reversed(names):
            archive.writestr(name, f"\n\n\tIn/in {name[6:]}/nn 1/2/cd ``/`` A/B/nn-tl ./.\n\n\tSo/rb ./.\n")
    train, test = corpus_lines([tmp_path / "brown.zip"])
    assert all_lines(test) == ["In ca20 1/2 `` A/B .", "So .", "In cb20 1/2 `` A/B .", "So ."]
    seen = all_lines(train)
    assert len(seen) == 2 * 36
    assert not any(held in line for line in seen for held in ("ca10", "cb10", "ca20", "cb20"))
    assert seen[0] == "In ca01 1/2 `` A/B ."


CONLLU = """# text = Don't go to New York
1-2\tDon't\t_\t_
1\tDo\tdo\tAUX
2\tn't\tnot\tPART
3\tgo\tgo\tVERB
3.1\tgone\tgo\tVERB

# text = 1 , 2
1\t1\t1\tNUM
2\t,\t,\tPUNCT
3\t2\t2\tNUM

"""


def test_a_treebank_gives_its_syntactic_words(tmp_path, monkeypatch):
    for part in ("train", "test"):
        (tmp_path / f"x-{part}.conllu").write_text(CONLLU)
    monkeypatch.setattr("lambda_vae.data.lines._BLOCK", 20)  # sentences go on from block to block
    train, test = corpus_lines([tmp_path / "x-train.conllu", tmp_path / "x-test.conllu"])
    assert all_lines(train) == all_lines(test) == ["Do n't go", "1 , 2"]
