#!/usr/bin/env bash
# pythae 0.1.2: VAE.get_nll returns the log-likelihood, not its negative, and takes batch_size samples whatever n_samples says.
#
# One would guess: get_nll, "estimated negative log-likelihood", is positive where log p(x) is negative, and with n_samples=1
# it is one draw's estimate of the bound.
# It is: mean log p(x), with the sign of log p(x). With n_samples <= batch_size (100 by default) it draws batch_size
# samples, so that n_samples=1 and n_samples=100 are the same estimator. Smaller is not better in tables made of it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 pythae==0.1.2 numpy==2.2.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from pythae.models import VAE, VAEConfig

print("pythae", version("pythae"), "torch", torch.__version__)
torch.manual_seed(0)
model = VAE(VAEConfig(input_dim=(8,), latent_dim=2)).eval()
x = torch.rand(5, 8)
with torch.no_grad():
    drawn = []
    sample = model._sample_gauss
    model._sample_gauss = lambda mu, std: drawn.append(len(mu)) or sample(mu, std)
    value = model.get_nll(x, n_samples=1)
    # The same quantity by hand, 20,000 draws from the prior: log p(x) of N(decoder(z), I).
    z = torch.randn(20_000, 2)
    mean = model.decoder(z).reconstruction.flatten(1)
    log_p = torch.distributions.Normal(mean[:, None], 1.0).log_prob(x).sum(-1)  # [20000, 5]
    truth = (torch.logsumexp(log_p, 0) - torch.log(torch.tensor(20_000.0))).mean().item()
print(f"get_nll(x, n_samples=1) = {value:.3f}")
print(f"mean log p(x), by hand  = {truth:.3f}; its negative, the NLL, is {-truth:.3f}")
print("samples drawn for each x:", sorted(set(drawn)), "(n_samples was 1)")
assert abs(value - truth) < 0.1 and truth < 0, "get_nll is no longer +log p(x)"
assert set(drawn) == {100}, "n_samples=1 no longer draws batch_size samples"
PY
