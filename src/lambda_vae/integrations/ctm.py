"""contextualized-topic-models: CombinedTM and ZeroShotTM diagnosed under their learned prior, and equalized."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.utils.data import DataLoader

from lambda_vae.diagnostics import CollapseReport
from lambda_vae.equalizing import HostEqualizer, equalize
from lambda_vae.errors import InputError
from lambda_vae.integrations.host import Batches, report_on
from lambda_vae.integrations.tested import needed
from lambda_vae.likelihoods import multinomial

__all__ = ["diagnose_ctm", "equalize_ctm"]

_NORMALISED = (
    "The encoder ends in a BatchNorm without scale, of mu and of ln sigma^2: whatever the topics are worth, every mu "
    "varies by 1 and sigma is about 1 over the training documents, so being active says nothing here; directions, "
    "and what is worth less than nothing, do."
)


def diagnose_ctm(model: Any, dataset: Any, **options: Any) -> CollapseReport:
    """Return every measure of a contextualized topic model on some documents, and a verdict on each latent dimension.

    log p(x|z) is the model's own: the words of a document, drawn from softmax(BatchNorm(softmax(z) beta)), or for
    model_type="LDA" from softmax(z) softmax(BatchNorm(beta)), without dropout and without the multinomial's
    coefficient, as in its loss. The prior is the learned one, N(prior_mean, prior_variance); signal and sigma are in
    units of its standard deviation. Causes are derived from loss_weights["beta"].

    Args:
        model: CombinedTM or ZeroShotTM, fitted, without labels.
        dataset: Documents as the package takes them, a CTMDataset.

    Source:
        contextualized-topic-models 2.6.1, models/ctm.py, `_loss`, and networks/decoding_network.py, `forward`.
    """
    network = _network(model, "diagnosed").eval()  # as the package's own get_thetas does, and leaves it
    if options.get("kl_weight") is None:  # as a history: gradients balance at no weight where BatchNorm fixes sigma
        options.setdefault("history", {"kl_weight": [float(model.weights["beta"])]})
    if options.get("train_data") is not None:
        options["train_data"] = _documents(model, options["train_data"])

    def words(z: Tensor) -> Tensor:
        theta = torch.softmax(z, 1)
        if network.model_type == "LDA":
            return theta @ torch.softmax(network.beta_batchnorm(network.beta), 1)
        return torch.softmax(network.beta_batchnorm(theta @ network.beta), 1)

    prior = Normal(network.prior_mean.detach(), _prior_std(network))
    likelihood, data = multinomial(words, coefficient=False), _documents(model, dataset)
    return report_on(network.inf_net, likelihood, data, options, prior=prior, model=network, notes=[_NORMALISED])


def equalize_ctm(model: Any, delta: float, **settings: Any) -> HostEqualizer:
    """Return the equalizer that narrows the noise of a contextualized topic model in its trainings from now on.

    lambda is refreshed after each epoch of `fit`. sigma is taken in units of the prior's own standard deviation, which
    the package learns. The KL stays the package's own, and topics, thetas and validation loss are never narrowed. A
    BatchNorm holds ln sigma^2 near 0 on average whatever lambda is, so that lambda does not make sigma itself smaller,
    as it does elsewhere.

    Args:
        model: CombinedTM or ZeroShotTM, before `fit`.
        settings: Of `VarianceEqualizer`, such as release_epochs; total_epochs is the model's num_epochs.

    Source:
        contextualized-topic-models 2.6.1, networks/decoding_network.py, `reparameterize`.
    """
    network = _network(model, "equalized")
    settings.setdefault("total_epochs", int(model.num_epochs))
    equalizer = equalize(network, int(model.n_components), delta, method="reparameterize", takes="logvar", **settings)
    equalizer.sites[0].unit = partial(_prior_std, network)
    equalizer.end_epochs_with(model, "_train_epoch")
    return equalizer


def _network(model: Any, wanted: str) -> Any:
    module = "contextualized_topic_models.models.ctm"
    kinds = needed("ctm", f"{module}.CombinedTM", f"{module}.ZeroShotTM")
    if type(model) not in kinds:
        raise InputError(
            f"a {type(model).__name__} cannot be {wanted}; give the CombinedTM or ZeroShotTM itself, which holds its "
            "network and how it is trained"
        )
    if hasattr(model.model, "label_classification"):
        raise InputError(
            f"the {type(model).__name__} has label_size={model.model.label_classification.out_features}: its encoder "
            "sees the labels, and its loss has their cross-entropy, which is no part of a bound; leave label_size out"
        )
    return model.model


def _documents(model: Any, dataset: Any) -> Batches:
    (kind,) = needed("ctm", "contextualized_topic_models.datasets.dataset.CTMDataset")
    if not isinstance(dataset, kind):
        raise InputError(f"data is a {type(dataset).__name__}; give CTMDataset(X_contextual, X_bow, idx2token)")
    found = dataset.X_bow.shape[1], dataset.X_contextual.shape[1]
    if found != (model.bow_size, model.contextual_size):
        raise InputError(
            f"the documents have {found[0]} words and embeddings of {found[1]}, and the model takes {model.bow_size} "
            f"and {model.contextual_size}; make them with the TopicModelDataPreparation of the training"
        )
    return Batches(
        DataLoader(dataset, model.batch_size), lambda batch: (batch["X_bow"].flatten(1), batch["X_contextual"])
    )


def _prior_std(network: Any) -> Tensor:
    variance: Tensor = network.prior_variance.detach()
    if not bool((variance > 0).all()):
        raise InputError(
            f"the learned prior_variance is {float(variance.min()):.3g} in dimension {int(variance.argmin())}, and no "
            "Gaussian's is; train with learn_priors=False, or a lower lr"
        )
    return variance.sqrt()
