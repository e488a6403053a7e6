#!/usr/bin/env bash
# mlcolvar 1.3.1: how many latent variables of its VAE survive depends on the units of the data, although it normalises them.
#
# One would guess: VariationalAutoEncoderCV standardises its inputs, so that angstroms and nanometres give the same model.
# It is: the decoder's output is turned back to the data's units before the squared error, a mean over the features. The
# same data in tenths, ones and tens keep 0, 1 and 2 of 2 latent variables. The mean assumes a noise variance of
# F/2 = 5 in the units of the data (its docstring says 1).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
install torch==2.13.0 mlcolvar==1.3.1 numpy==2.2.6

"$work/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from mlcolvar.cvs import VariationalAutoEncoderCV

print("mlcolvar", version("mlcolvar"), "torch", torch.__version__)
torch.set_num_threads(1)
g = torch.Generator().manual_seed(0)
rotation = torch.linalg.qr(torch.randn(10, 10, generator=g))[0][:2]
data = (torch.randn(2000, 2, generator=g) * torch.tensor([3.0, 1.3])) @ rotation + 0.1 * torch.randn(2000, 10, generator=g)


def survivors(x):
    torch.manual_seed(0)
    model = VariationalAutoEncoderCV(n_cvs=2, encoder_layers=[10, 32, 16])  # beta = 1, normalisation on: the defaults
    model.norm_in.set_from_stats({"mean": x.mean(0), "std": x.std(0)})
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(60):
        for batch in x[torch.randperm(len(x))].split(100):
            mean, log_variance, x_hat = model.encode_decode(batch)
            loss = model.loss_fn(target=batch, output=x_hat, mean=mean, log_variance=log_variance, beta=model.beta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return int((model.encode_decode(x)[0].var(0) > 0.01).sum())


found = {unit: survivors(unit * data) for unit in (0.1, 1.0, 10.0)}
for unit, count in found.items():
    print(f"the same data times {unit:>4}: {count} of 2 latent variables vary with the input")
assert list(found.values()) == [0, 1, 2], "the units no longer decide"
PY
