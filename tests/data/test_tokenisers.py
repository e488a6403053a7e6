import re
import sys
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambda_vae.data import TOKENISERS, Vocabulary, tokeniser_named
from lambda_vae.errors import InputError
from lambda_vae.text import SPECIAL

#: Of Schwaller et al. 2019, doi:10.1021/acscentsci.9b00576, as others use it on valid SMILES.
PUBLISHED = re.compile(
    r"(\[[^\]]+]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\(|\)|\.|=|#|-|\+|\\|/|:|~|@|\?|>|\*|\$|%[0-9]{2}|[0-9])"
)
MOLECULES = [
    "CCCS(=O)c1ccc2[nH]c(=NC(=O)OC)[nH]c2c1",
    "CC(C)(C)C(=O)C(Oc1ccc(Cl)cc1)n1ccnc1",
    "C[C@@H](N)C(=O)[O-].[Na+]",
    "Brc1ccc2cnoc2c1",
    "C%12CCCCC%12",
    "F/C=C/F",
    "[13CH4]",
    "CSc1nccn1",
]


def learnt(name, texts, limit=300, min_count=1):
    tokens, model = TOKENISERS[name].learn([texts], limit, min_count, lambda ids: ids)
    return Vocabulary(name, (*SPECIAL, *tokens), model)


HERE = [name for name in TOKENISERS if name != "bpe" or find_spec("tokenizers")]
LINES = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))


@given(st.lists(LINES, min_size=1, max_size=5), st.sampled_from([name for name in HERE if name != "words"]))
def test_a_text_comes_back_as_it_was(texts, name):
    vocabulary = learnt(name, texts)
    assert [vocabulary.decode(vocabulary.encode(text)) for text in texts] == texts


@given(st.lists(LINES, min_size=1, max_size=5))
def test_words_come_back_with_single_blanks(texts):
    vocabulary = learnt("words", texts)
    assert [vocabulary.decode(vocabulary.encode(text)) for text in texts] == [" ".join(text.split()) for text in texts]


@given(st.lists(LINES, min_size=2, max_size=5), st.sampled_from(HERE))
def test_texts_together_are_texts_one_by_one(texts, name):
    vocabulary = learnt(name, texts)
    assert vocabulary.ids_of(texts).tolist() == [one for text in texts for one in vocabulary.encode(text)]


@pytest.mark.parametrize("molecule", MOLECULES)
def test_smiles_are_cut_as_published(molecule):
    vocabulary = learnt("smiles", MOLECULES)
    assert [vocabulary.tokens[one] for one in vocabulary.encode(molecule)[:-1]] == PUBLISHED.findall(molecule)


def test_outside_brackets_only_chlorine_and_bromine_have_two_letters():
    vocabulary = learnt("smiles", ["CSc1ccc(Cl)n1[nH]Br%12%(123)[Sc]"])
    cut = ["C", "S", "c", "1", "c", "c", "c", "(", "Cl", ")", "n", "1", "[nH]", "Br", "%12", "%(123)", "[Sc]"]
    assert [vocabulary.tokens[one] for one in vocabulary.encode("CSc1ccc(Cl)n1[nH]Br%12%(123)[Sc]")[:-1]] == cut


def test_the_most_frequent_tokens_are_kept_and_ties_are_by_the_alphabet():
    texts = ["b a b c", "d b a"]
    assert learnt("words", texts).tokens[3:] == ("b", "a", "c", "d")
    assert learnt("words", texts, limit=2).tokens[3:] == ("b", "a")
    assert learnt("words", texts, min_count=2).tokens[3:] == ("b", "a")


def test_what_is_unknown_is_2_and_said():
    vocabulary = learnt("words", ["a b"])
    assert vocabulary.encode("a x b") == [3, 2, 4, 1]
    assert vocabulary.decode([3, 2, 4, 1, 0]) == "a <unk> b"
    assert learnt("characters", ["ab"]).decode([3, 2]) == "a\N{REPLACEMENT CHARACTER}"


def test_the_names_of_the_first_three_are_no_tokens_of_a_text():
    vocabulary = learnt("words", ["a <pad> <end>"])
    assert vocabulary.encode("<end> <unk> <pad>") == [3, 2, 4, 1]
    assert vocabulary.decode(vocabulary.encode("<end> a")) == "<end> a"


def test_a_vocabulary_comes_back_as_it_was_written():
    vocabulary = learnt("smiles", MOLECULES)
    assert Vocabulary.of(vocabulary.to_record()) == vocabulary
    assert vocabulary.size == len(vocabulary.tokens)


def test_an_unknown_tokeniser_suggests_the_nearest():
    with pytest.raises(InputError, match=r"unknown tokeniser 'word' \(did you mean 'words'\?\)"):
        tokeniser_named("word")


def test_without_its_package_byte_pairs_are_refused_in_a_sentence_and_still_decoded(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(InputError, match=r"needs the package tokenizers; pip install 'lambda-vae\[text\]'"):
        learnt("bpe", ["a b"])
    vocabulary = Vocabulary("bpe", (*SPECIAL, "h", "Ã©", "Ġyou", "Ã"))
    assert vocabulary.decode([3, 4, 5, 1, 0]) == "hé you"
    assert vocabulary.decode([6, 2, 3]) == "\N{REPLACEMENT CHARACTER}?h"


def test_byte_pairs_are_those_of_the_package():
    library = pytest.importorskip("tokenizers")
    texts = ["the cat sees the old cat", "the dog sees the cat", "naïve 漢字 🙂 <pad>"] * 5
    vocabulary = learnt("bpe", texts, limit=280)
    assert vocabulary.size == 283
    outside = library.Tokenizer.from_str(vocabulary.model)
    outside.decoder = library.decoders.ByteLevel()
    for text in texts:
        ids = [one - 3 for one in vocabulary.encode(text)[:-1]]
        assert ids == outside.encode(text).ids
        assert vocabulary.decode(vocabulary.encode(text)) == outside.decode(ids) == text
    assert len(vocabulary.encode("the cat")) < len("the cat") + 1
