"""What `equalize` owes every host of drawing_hosts.py: the plain host at lambda = 1, Eq. 9 and 11 above it.

`outcome(cell)` tries all of it: "narrowed" if everything holds, "refused" with the sentence, "wrong" with what breaks.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from drawing_forms import made, settings
from drawing_hosts import LATENTS, Cell, batch, flattened, part, truth
from drawing_widths import DETACHED, UNUSUAL
from torch import nn

from lambda_vae.equalizing import equalize
from lambda_vae.errors import InputError

EXPONENTS = torch.tensor([1.0, 1.5, 3.0, 2.0])
STEPS = 2
EPS = {torch.float32: 2e-6, torch.float64: 1e-6, torch.bfloat16: 2**-7}


def size(cell):
    """Examples in a batch: where z is read from the draws themselves, or two draws are compared, enough to tell."""
    return 1024 if cell.form.startswith(("inline", "twice")) else 16


@dataclass(frozen=True)
class Outcome:
    verdict: str
    said: str = ""


class Broken(Exception):
    """The contract is."""


def need(holds, what):
    if not holds:
        raise Broken(what)


def bits(one, other):
    """Whether two lists of tensors are the same to the last bit, shape and dtype."""
    return len(one) == len(other) and all(
        a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(one, other, strict=True)
    )


@dataclass
class Step:
    """All that a step of training shows."""

    z: torch.Tensor
    returned: list
    loss: torch.Tensor
    kl: torch.Tensor
    gradients: list
    chance: list

    @property
    def everything(self):
        return [self.z, *self.returned, self.loss, self.kl, *self.gradients, *self.chance]


def seeded(inner, seed):
    torch.default_generator.manual_seed(seed)  # of the CPU alone, which is faster
    np.random.seed(seed)
    inner.draw.generator.manual_seed(seed)


def stepped(host: nn.Module, x, seed: int) -> Step:
    inner = part(host)
    seeded(inner, seed)
    out = host.step(x)
    host.zero_grad()
    out["loss"].backward()
    gradients = [torch.zeros(()) if one.grad is None else one.grad.clone() for one in host.parameters()]
    z, returned = inner.decoder.entered[-1], flattened(out["returned"])
    chance = [torch.get_rng_state(), inner.draw.generator.get_state(), torch.tensor(np.random.get_state()[2])]
    return Step(z, returned, out["loss"].detach(), out["kl"], gradients, chance)


def outcome(cell: Cell, seed: int = 0) -> Outcome:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            _as_plain(cell, seed)
            _narrowed(cell, seed)
        except (InputError, UserWarning) as sentence:
            return Outcome("refused", str(sentence))
        except Broken as what:
            return Outcome("wrong", str(what))
        except Exception as error:
            return Outcome("traceback", f"{type(error).__name__}: {error}")
    return Outcome("narrowed")


def _as_plain(cell: Cell, seed: int) -> None:
    """delta = inf: the plain host, bit for bit, and the very tensor that it drew."""
    plain, host, x = made(cell, seed), made(cell, seed), batch(cell, seed, size(cell))
    equalizer = equalize(host, LATENTS, math.inf, refresh_every=1, **settings(cell))
    for step in range(STEPS):
        theirs, ours = stepped(plain, x, step), stepped(host, x, step)
        need(bits(theirs.everything, ours.everything), f"delta = inf is not the plain host in step {step}")
        need(any(ours.z is one for one in part(host).draw.made), "delta = inf gives another tensor than the host drew")
        if step == 0:
            equalizer.end_epoch()


def _narrowed(cell: Cell, seed: int) -> None:
    plain, host, x = made(cell, seed), made(cell, seed), batch(cell, seed, size(cell))
    equalizer = equalize(host, LATENTS, 1.05, refresh_every=1, **settings(cell))
    for step in range(STEPS):
        need(
            bits(stepped(plain, x, step).everything, stepped(host, x, step).everything),
            f"not plain at lambda = 1, step {step}",
        )
    equalizer.end_epoch()
    _observed(cell, equalizer, plain, x)
    equalizer.exponent.copy_(EXPONENTS)
    theirs, ours = stepped(plain, x, 9), stepped(host, x, 9)
    need(bits(theirs.chance, ours.chance), "the generators are not where the host leaves them")
    need(torch.equal(theirs.kl, ours.kl), "the KL is not the host's to the last bit")
    _beside(cell, theirs, ours)
    _equation_9(cell, plain, host, x, theirs, ours)
    _equation_11(cell, host, x, theirs, ours)
    host.eval(), plain.eval()
    need(bits(stepped(plain, x, 10).everything, stepped(host, x, 10).everything), "eval mode is not the plain host's")
    host.train(), plain.train()
    equalizer.remove()
    need(
        bits(stepped(plain, x, 11).everything, stepped(host, x, 11).everything), "remove() does not give the host back"
    )


def _beside(cell, theirs, ours):
    """Of what is returned z alone is another; where the decoder's input is narrowed, not even z."""
    need(len(theirs.returned) == len(ours.returned), "another number of tensors is returned")
    for a, b in zip(theirs.returned, ours.returned, strict=True):
        if a is theirs.z and not cell.form.startswith("inline"):
            need(b is ours.z, "z is returned that is not the one decoded")
        else:
            need(bits([a], [b]), "what is returned beside z is not the host's to the last bit")


def _factor(std, cell):
    """sigma^(lambda - 1) where sigma < 1, along the latent axis."""
    exponent = EXPONENTS.to(torch.float64).view(-1, 1, 1) if cell.shape == "maps" else EXPONENTS.to(torch.float64)
    std = std.to(torch.float64)
    return torch.where(std < 1, std.clamp(max=1) ** (exponent - 1), 1.0)


def _equation_9(cell, plain, host, x, theirs, ours):
    mu, std = (one.detach() for one in truth(plain, x))
    # a sigma that was read as a usual one may be so to within a hundredth
    factor, slack = _factor(std, cell), 5e-3 if cell.width in UNUSUAL else EPS[x.dtype]
    expected = mu.double() + factor * (theirs.z.detach().double() - mu.double())
    error = (ours.z.detach().double() - expected).abs()
    scale = mu.double().abs() + theirs.z.detach().double().abs() + 0.1
    need(ours.z.shape == theirs.z.shape and ours.z.dtype == theirs.z.dtype, "z has another shape or dtype")
    need(bool((error <= 2 * slack * scale).all()), f"z is off Eq. 9 by up to {float(error.max()):.3g}")


def _observed(cell, equalizer, plain, x):
    _, std = truth(plain, x)
    dim = part(plain).dim
    true = std.detach().double().movedim(dim, -1).reshape(-1, LATENTS).mean(0)
    slack = 1e-2 if x.dtype == torch.bfloat16 or cell.width in UNUSUAL else 1e-5
    seen = equalizer.running_std.double()
    need(torch.allclose(seen, true, rtol=slack), f"sigma is observed as {seen.tolist()}, and is {true.tolist()}")


def _equation_11(cell, host, x, theirs, ours):
    """The gradient of a random sum of z in the encoder's weights, against that of mu + sigma^lambda eps."""
    if x.dtype == torch.bfloat16:
        return
    mu, std = truth(host, x)
    eps = ((theirs.z - mu) / std).detach()
    exponent = EXPONENTS.to(x.dtype).view(-1, 1, 1) if cell.shape == "maps" else EXPONENTS.to(x.dtype)
    reference = mu + torch.where(std < 1, std.clamp(max=1) ** exponent, std) * eps
    slack = 1e-2 if cell.width in UNUSUAL else 1e-4
    weights = torch.randn(reference.shape, generator=torch.Generator().manual_seed(4)).to(x.dtype)
    inputs = [one for name, one in host.named_parameters() if ".mean." in f".{name}" or ".raw." in f".{name}"]
    wanted = torch.autograd.grad((weights * reference).sum(), inputs, allow_unused=True, materialize_grads=True)
    got = _gradients(host, x, weights, inputs) if ours.z.requires_grad else [0 * one for one in wanted]
    if cell.noise in DETACHED:  # no gradient goes through the host's own z
        wanted = [0 * one for one in wanted]
    for name, a, b in zip(("mu", "mu", "sigma", "sigma"), wanted, got, strict=True):
        need(
            torch.allclose(a, b, rtol=slack, atol=slack * float(a.abs().max())),
            f"the gradient to {name} is not Eq. 11's",
        )


def _gradients(host, x, weights, inputs):
    inner = part(host)
    seeded(inner, 9)
    host.step(x)
    return torch.autograd.grad(
        (weights * inner.decoder.entered[-1]).sum(), inputs, allow_unused=True, materialize_grads=True
    )
