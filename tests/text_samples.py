"""Text for the tests: sentences of a small grammar, and small SMILES."""

import numpy as np

NOUNS = ["cat", "dog", "old man", "tall tree", "house of wood"]
VERBS = ["sees", "likes", "hardly knows"]
ENDS = ["", " today", " and waits for a long time", " because nobody else wants to do it"]
ATOMS = ["C", "N", "O", "Cl", "c1ccccc1", "[nH]", "S", "Br"]


def sentences(n, seed=0):
    chance = np.random.RandomState(seed)

    def pick(words):
        return words[chance.randint(len(words))]

    return [f"the {pick(NOUNS)} {pick(VERBS)} the {pick(NOUNS)}{pick(ENDS)} ." for _ in range(n)]


def molecules(n, seed=0):
    chance = np.random.RandomState(seed)
    return ["".join(ATOMS[one] for one in chance.randint(len(ATOMS), size=chance.randint(1, 12))) for _ in range(n)]


def write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
