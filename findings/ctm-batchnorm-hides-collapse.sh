#!/usr/bin/env bash
# contextualized-topic-models 2.6.1: every latent dimension has Var(mu) near 1, trained or not, used or not.
#
# One would guess: a topic nobody needs collapses to the prior, as in other VAEs, and Var(mu) finds it.
# It is: mu goes through a BatchNorm without scale or shift, and so does the logarithm of the variance. Of an encoder with random
# weights, and even of one whose mu differs from document to document by 0.005, the variance of mu is near 1.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 numpy==2.2.6
install --no-deps contextualized-topic-models==2.6.1

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from contextualized_topic_models.networks.inference_network import ContextualInferenceNetwork

print("contextualized-topic-models", version("contextualized-topic-models"), "torch", torch.__version__)
torch.manual_seed(0)
x = torch.randn(1000, 32)
for scale in (1.0, 0.1):
    network = ContextualInferenceNetwork(10, 32, 20, (100, 100))
    with torch.no_grad():
        network.f_mu.weight.mul_(scale)  # what the layer gives before its norm shrinks by so much
        mu, logvar = network(x, x)
        raw = network.f_mu(network.dropout_enc.eval()(network.hiddens(network.activation(network.input_layer(x)))))
    print(f"weights of mu times {scale}: variance before the norm {raw.var(0).mean():.2e}; Var(mu) from {mu.var(0).min():.3f} to "
          f"{mu.var(0).max():.3f}; mean log variance {logvar.mean():.4f}")
    assert 0.3 < mu.var(0).min() and mu.var(0).max() < 1.1, "mu is no longer normalised"
    assert abs(logvar.mean()) < 1e-3, "log variance is no longer normalised"
assert raw.var(0).max() < 1e-4
PY
