"""The table of named data sets: files, mirrors, hashes, licence, citation."""

from dataclasses import dataclass

from lambda_vae.checked import check_known
from lambda_vae.data.celeba import CELEBA_FILES
from lambda_vae.data.cifar import CIFAR_BATCHES, CIFAR_CLASSES, batches_sha256
from lambda_vae.data.dataset import Kind
from lambda_vae.data.idx import IDX_NAMES
from lambda_vae.data.mixtures import MIXTURES, TEST, TRAIN

__all__ = ["NAMED", "NamedDataset", "RawFile", "Rendition", "named"]


@dataclass(frozen=True)
class RawFile:
    """One file of a named data set.

    Attributes:
        name: Its name, below a folder of its own if it has one; for IDX files the one to download, which ends in `.gz`.
        sha256: Of the content, as `content_sha256` gives it: mirrors recompress. Empty if only `md5` is known.
        md5: Of the file as its authors publish it, or of another that is known to hold the same. Where both are given,
            either will do, and this one, which needs no unpacking, is looked at first.
    """

    name: str
    sha256: str = ""
    md5: str = ""


@dataclass(frozen=True)
class Rendition:
    """One set of files from which the data set can be prepared.

    Attributes:
        files: All of them are needed.
        mirrors: Base URLs, tried in turn; none if these files are never downloaded.
        source: Recorded as the data set's source.
    """

    files: tuple[RawFile, ...]
    mirrors: tuple[str, ...]
    source: str


@dataclass(frozen=True)
class NamedDataset:
    """A row of the table.

    Attributes:
        name: What the user types.
        title: What it is, in a few words.
        kind: "image", "vector" or "sequence".
        shape: Of one example; of sequences the longest, by the tokeniser that suits them.
        train: Number of training examples.
        test: Number of test examples.
        layout: The reader: "digits", "mixture", "idx", "mat", "cifar", "celeba" or "lines".
        renditions: The first that is found is used; the first one is downloaded. Empty for embedded data.
        licence: As its authors state it.
        citation: What to cite.
        classes: Names of the labels.
        home: Where the user gets files that are never downloaded, because their authors do not let others hand them on.
        tokeniser: What suits sequences.
    """

    name: str
    title: str
    kind: Kind
    shape: tuple[int, ...]
    train: int
    test: int
    layout: str
    renditions: tuple[Rendition, ...]
    licence: str
    citation: str
    classes: tuple[str, ...] | None = None
    home: str = ""
    tokeniser: str = ""


def _idx(*sha256s: str, md5s: tuple[str, ...] = ("", "", "", "")) -> tuple[RawFile, ...]:
    names = [f"{name}.gz" for part in IDX_NAMES.values() for name in part]
    return tuple(map(RawFile, names, sha256s, md5s))


_DIGITS = NamedDataset(
    name="digits",
    title="handwritten digits, 8x8, embedded in scikit-learn",
    kind="image",
    shape=(8, 8),
    train=1442,
    test=355,
    layout="digits",
    renditions=(),
    licence="CC BY 4.0",
    citation="Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI, doi:10.24432/C50P49",
    classes=tuple("0123456789"),
)

_MNIST = NamedDataset(
    name="mnist",
    title="handwritten digits, 28x28",
    kind="image",
    shape=(28, 28),
    train=60000,
    test=10000,
    layout="idx",
    renditions=(
        Rendition(
            files=_idx(
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "https://raw.githubusercontent.com/fgnt/mnist/master/",
            ),
            source="MNIST, the official IDX files (hashes checked)",
        ),
    ),
    licence="CC BY-SA 3.0 (as commonly stated; derived from NIST data)",
    citation="LeCun, Bottou, Bengio and Haffner 1998, Proc. IEEE 86(11), doi:10.1109/5.726791",
    classes=tuple("0123456789"),
)

_FASHION = NamedDataset(
    name="fashion-mnist",
    title="articles of clothing, 28x28",
    kind="image",
    shape=(28, 28),
    train=60000,
    test=10000,
    layout="idx",
    renditions=(
        Rendition(
            files=_idx(
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
                md5s=("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "", "bef4ecab320f06d8554ea6380940ec79", ""),
            ),
            mirrors=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
            source="Fashion-MNIST, the official IDX files (hashes checked)",
        ),
    ),
    licence="MIT",
    citation="Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747",
    classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

_OMNIGLOT = NamedDataset(
    name="omniglot",
    title="handwritten characters of 50 alphabets, 28x28",
    kind="image",
    shape=(28, 28),
    train=24345,
    test=8070,
    layout="mat",
    renditions=(
        Rendition(
            files=(RawFile("chardata.mat", md5="21ecaf34373511aa7691cf2e0802aa3d"),),
            mirrors=(
                "https://raw.githubusercontent.com/yburda/iwae/master/datasets/OMNIGLOT/",
                "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/",
            ),
            source="OMNIGLOT, Burda et al.'s chardata.mat (MD5 checked); rounded to k/255",
        ),
        Rendition(
            files=(
                RawFile(
                    "omniglot28_burda_layout.mat",
                    "f8b3325eb0f549fc24e1a1db73f6cd77d581b530a802549d254b2e74828b9304",
                    md5="d0e7534df10d2ede637ea9d65bf1d378",
                ),
            ),
            mirrors=(),
            source="OMNIGLOT, a rendering in the layout of chardata.mat that is not Burda et al.'s file: area average "
            "of 105x105 and a split of its own over images; not comparable with published figures",
        ),
    ),
    licence="MIT",
    citation="Lake, Salakhutdinov and Tenenbaum 2015, Science 350; 28x28: Burda et al. 2016, arXiv:1509.00519",
)

_MIXTURES = tuple(
    NamedDataset(
        name=name,
        title=f"mixture of {len(mixture.means)} Gaussians in the plane, drawn from a fixed seed",
        kind="vector",
        shape=(2,),
        train=TRAIN,
        test=TEST,
        layout="mixture",
        renditions=(),
        licence="Apache-2.0",
        citation="after Demisse, λ-VAE: Variance Equalization for Posterior Collapse, 6.1; the numbers are ours",
        classes=tuple(f"component {k}" for k in range(len(mixture.means))),
    )
    for name, mixture in MIXTURES.items()
)

_CIFAR_HASHES = dict(
    zip(
        CIFAR_BATCHES,
        (
            "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
            "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
            "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
            "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
            "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
            "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
        ),
        strict=True,
    )
)

_CIFAR10 = NamedDataset(
    name="cifar10",
    title="colour photographs of ten classes, 32x32",
    kind="image",
    shape=(32, 32, 3),
    train=50000,
    test=10000,
    layout="cifar",
    renditions=(
        Rendition(
            files=(
                RawFile(
                    "cifar-10-binary.tar.gz", batches_sha256(_CIFAR_HASHES), md5="c32a1d4ab5d03f1284b67883e8d87530"
                ),
            ),
            mirrors=("https://www.cs.toronto.edu/~kriz/",),
            source="CIFAR-10, the official binary version (hash checked)",
        ),
        Rendition(
            files=tuple(RawFile(f"cifar-10-batches-bin/{name}", sha256) for name, sha256 in _CIFAR_HASHES.items()),
            mirrors=(),
            source="CIFAR-10, the batches of the official binary version (hashes checked)",
        ),
        Rendition(
            files=(
                RawFile(
                    "cifar-10-binary.tar.xz", batches_sha256(_CIFAR_HASHES), md5="26ce8dd550e83df9a050a029613aad87"
                ),
            ),
            mirrors=(),
            source="CIFAR-10, the official batches packed anew (hash checked)",
        ),
    ),
    licence="none stated; its author asks to be cited",
    citation="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
    classes=CIFAR_CLASSES,
)

_CELEBA64 = NamedDataset(
    name="celeba64",
    title="faces, 64x64",
    kind="image",
    shape=(64, 64, 3),
    train=162770,
    test=19962,
    layout="celeba",
    renditions=(
        Rendition(
            files=(
                RawFile(CELEBA_FILES[0], md5="00d2c5bc6d35e252742224ab0c1e8fcb"),
                RawFile(CELEBA_FILES[1], md5="d32c9cbf5e040fd4025c592c306e6668"),
            ),
            mirrors=(),
            source="CelebA, aligned faces (MD5 checked); the centred 148x148 pixels resized to 64x64; the authors' "
            "training and test parts",
        ),
    ),
    licence="for research that is not commercial; may not be handed on",
    citation="Liu, Luo, Wang and Tang 2015, Deep Learning Face Attributes in the Wild, ICCV, arXiv:1411.7766",
    home="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
)

_MOSES = NamedDataset(
    name="moses",
    title="drug-like molecules, as SMILES",
    kind="sequence",
    shape=(55,),
    train=1584663,
    test=176074,
    layout="lines",
    renditions=(
        Rendition(
            files=(
                RawFile("train.csv.gz", "cc9d6e8e9534e25a7a36361529ae739ddda8036e9072b2fc5cea6930a0592144"),
                RawFile("test.csv.gz", "0248e682a9c29ca7649184dd88a4edc83f48f0e84af6b923990069c3da4501b6"),
            ),
            mirrors=("https://media.githubusercontent.com/media/molecularsets/moses/master/moses/dataset/data/",),
            source="MOSES, the tables of molsets 0.3.1 (hashes checked); its test set of scaffolds stays out",
        ),
        Rendition(
            files=(
                RawFile(
                    "molsets-0.3.1-py3-none-any.whl",
                    "7f4450e3ebecebe79c3a2a55950c93daddee071120daf64a163d03481e811d34",
                ),
            ),
            mirrors=(),
            source="MOSES, the wheel of molsets 0.3.1 (hash checked); its test set of scaffolds stays out",
        ),
    ),
    licence="MIT (of the package; the molecules are of ZINC)",
    citation="Polykovskiy et al. 2020, Molecular Sets (MOSES), Frontiers in Pharmacology 11, arXiv:1811.12823",
    tokeniser="smiles",
)


def _sentences(source: str, own: tuple[RawFile, ...], mirror: str, lines: tuple[RawFile, ...]) -> tuple[Rendition, ...]:
    """As its authors hand it out; and the same, one sentence a line."""
    source = f"{source} (hashes checked); its validation part stays out"
    return (Rendition(own, (mirror,), source), Rendition(lines, (), source))


_BROWN = NamedDataset(
    name="brown",
    title="the Brown Corpus, sentences of American English",
    kind="sequence",
    shape=(181,),
    train=51698,
    test=2841,
    layout="lines",
    renditions=_sentences(
        "The Brown Corpus as NLTK has it, without tags; of each twenty texts the last tests",
        (RawFile("brown.zip", "9b275f9b3b95d7bd66ccfb7cd259f445a13bbe5d1f4107aba09fd3e8364bafa6"),),
        "https://raw.githubusercontent.com/nltk/nltk_data/5db857e6f7df11eabb5e5665836db9ec8df07e28/packages/corpora/",
        (
            RawFile("brown.train.txt", "cdd00a13e5cc0fab3c4b23f9d4d28d8bf4f35890cde347abab8231e2b4b25f99"),
            RawFile("brown.test.txt", "726f48c426cb8b980206601416b5b7e6d7a55f72f014dd4f65c6a6cbc56a3f4b"),
        ),
    ),
    tokeniser="words",
    licence="may be used for non-commercial purposes, redistribution permitted",
    citation="Francis and Kucera 1964/1979, A Standard Corpus of Present-Day Edited American English",
)

_EWT = NamedDataset(
    name="ewt",
    title="the English Web Treebank, sentences of blogs, mail, reviews and answers",
    kind="sequence",
    shape=(160,),
    train=12544,
    test=2077,
    layout="lines",
    renditions=_sentences(
        "The syntactic words of the English Web Treebank, in its own parts",
        (
            RawFile("en_ewt-ud-train.conllu", "3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b"),
            RawFile("en_ewt-ud-test.conllu", "e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd"),
        ),
        "https://raw.githubusercontent.com/UniversalDependencies/UD_English-EWT/15d613d8447b3478787d4c278730a1e48a945efb/",
        (
            RawFile("ewt.train.txt", "a60c393259789949542dbe8bf7460e9d907b100e334f7151fe198a75a3a4e32b"),
            RawFile("ewt.test.txt", "97389c01a4f4a99107156861b8f098cb36d2362c16dd9a38c078f094b7a8b4f4"),
        ),
    ),
    tokeniser="words",
    licence="CC BY-SA 4.0",
    citation="Silveira et al. 2014, A Gold Standard Dependency Corpus for English, LREC",
)

_ROWS = (_DIGITS, _MNIST, _FASHION, _OMNIGLOT, _CIFAR10, _CELEBA64, _MOSES, _BROWN, _EWT, *_MIXTURES)

NAMED: dict[str, NamedDataset] = {row.name: row for row in _ROWS}
"""All named data sets, by name."""


def named(name: str) -> NamedDataset:
    """The row of the table called `name`.

    Raises:
        InputError: There is none; the message suggests the nearest name.
    """
    check_known("data set", name, NAMED, "give a path that exists, or one of")
    return NAMED[name]
