"""The batches of training: rows of the data as the model sees them, with all the noise of a step."""

from collections.abc import Callable, Mapping

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from lambda_vae.data.order import epoch_order, in_buckets
from lambda_vae.errors import InputError
from lambda_vae.model import VAE
from lambda_vae.rng import METHOD_SEED
from lambda_vae.text.sequences import Sequences
from lambda_vae.training.batch import Batch
from lambda_vae.training.options import TrainOptions

__all__ = ["Draws", "View"]

#: Rows [B, F], their indices in the data [B], and the generator -> what the model sees, float [B, F] or ids [B, L].
View = Callable[[Tensor, Tensor, torch.Generator], Tensor]

#: Data of fewer bytes stay in the memory of an accelerator, so that no step waits for a transfer.
_RESIDENT_BYTES = 2**31


class Draws:
    """Draws the batches of a run, and every random number that its steps use.

    Each batch is drawn for all processes together, and each process takes its share, so that every number of processes
    sees the same data, order and noise. What only some methods need comes from a second generator, so that all methods
    see the same data, order and noise too.

    Args:
        x: The training data, [N, F]; may be a memory map. Or sequences.
        view: What the model sees of a batch (binarisation).
        vae: Whose latent space the noise is for.
        options: Batch size, number of samples and seed.
        accelerator: Device and processes.
        rows: Which of the N rows to train on, int64 [n]; all if left out.
        draws_prior: Whether batches bring noise for draws from the prior.

    Raises:
        InputError: A batch is larger than the data.
    """

    def __init__(
        self,
        x: Tensor | Sequences,
        view: View,
        vae: VAE,
        options: TrainOptions,
        accelerator: Accelerator,
        *,
        rows: Tensor | None = None,
        draws_prior: bool = False,
    ) -> None:
        self.view, self.vae, self.options = view, vae, options
        self.device: torch.device = accelerator.device
        self.process = accelerator.process_index
        self.rows, self.draws_prior = rows, draws_prior
        self.joint_batch = options.batch_size * accelerator.num_processes
        self.examples = len(x) if rows is None else len(rows)
        self.steps = self.examples // self.joint_batch
        if self.steps < 1:
            raise InputError(
                f"a batch of {self.joint_batch} is larger than the data ({self.examples} examples); "
                f"use `batch_size={self.examples // accelerator.num_processes or 1}` or less"
            )
        self.x = x.to(self.device) if x.nbytes < _RESIDENT_BYTES and self.device.type != "cpu" else x
        self.generator = torch.Generator(self.device).manual_seed(options.seed)
        self.method_generator = torch.Generator(self.device).manual_seed(options.seed + METHOD_SEED)

    def epoch(self, epoch: int) -> Int64[Tensor, "steps joint_batch"]:
        """Return the row indices of each step of an epoch, which are counted from 0; sequences go by length."""
        seed, used = self.options.seed, self.steps * self.joint_batch
        order = self.row_indices(epoch_order(self.examples, seed=seed, epoch=epoch))[:used]
        if isinstance(self.x, Sequences):
            order = in_buckets(order, self.x.lengths[order], self.joint_batch, seed, epoch)
        return order.view(self.steps, self.joint_batch)

    def row_indices(self, chosen: Int64[Tensor, " n"]) -> Int64[Tensor, " n"]:
        """Return the indices in `x` of examples given by their numbers among those trained on, on the device of `x`."""
        return (chosen if self.rows is None else self.rows[chosen.to(self.rows.device)]).to(self.x.device)

    def batch(self, rows: Tensor, kl_weight: float, step: int, generator: torch.Generator | None = None) -> Batch:
        """Return this process's share of the batch of one step.

        Args:
            rows: Of the joint batch, from `epoch`.
            kl_weight: Of the schedule.
            step: Position in the epoch.
            generator: Of what all methods draw; the first one if left out.
        """
        generator = generator or self.generator
        latent, extra = self.vae.latent_dim, self.method_generator
        x = self._seen(rows, generator)
        # Further samples are drawn apart: methods with one sample and with many see the same data and the same first.
        eps = self._normal(generator, 1, self.joint_batch, latent)
        if self.options.samples > 1:
            eps = torch.cat((eps, self._normal(extra, self.options.samples - 1, self.joint_batch, latent)))
        xi = prior_eps = dropped = None
        if share := getattr(self.vae.likelihood, "word_dropout", 0.0):
            dropped = self._share(torch.rand(x.shape, generator=generator, device=self.device) < share)
        if self.vae.posterior.mixing_dim:
            xi = self._share(self._normal(extra, self.joint_batch, self.vae.posterior.mixing_dim))
        if self.draws_prior:
            prior_eps = self._share(self._normal(extra, self.joint_batch, self.vae.p_z().noise_dim))
        return Batch(self._share(x), self._share(eps, 1), kl_weight, xi, prior_eps, step, dropped)

    def extra_batch(self, batch: Batch) -> Batch:
        """Return a further batch for a strategy, of the size and KL weight of the epoch's own."""
        # With replacement: a permutation of all examples would cost more than the step.
        chosen = torch.randint(self.examples, (self.joint_batch,), generator=self.method_generator, device=self.device)
        rows = self.row_indices(chosen)
        return self.batch(rows, batch.kl_weight, batch.step, self.method_generator)

    def noise(self, batch: Batch) -> Float[Tensor, "K B D"]:
        """Return further noise of z for a batch, for a strategy; as many samples as it has."""
        joint = self._normal(self.method_generator, len(batch.eps), self.joint_batch, self.vae.latent_dim)
        return self._share(joint, 1)

    def fixed(self, examples: int) -> tuple[Shaped[Tensor, "n F"], torch.Generator]:
        """Return training examples, binarised the same every time, and the generator for noise that is the same too.

        They are those that "epoch 0" under seed 0 visits first; every process gets all of them.

        Args:
            examples: How many, at most.
        """
        generator = torch.Generator(self.device).manual_seed(self.options.seed)
        rows = self.row_indices(epoch_order(self.examples, seed=0, epoch=0)[:examples])
        return self._seen(rows, generator), generator

    def _seen(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        x = self.x.index_select(0, rows).to(self.device, non_blocking=True)
        return self.view(x, rows.to(self.device), generator)

    def _normal(self, generator: torch.Generator, *shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=self.device)

    def _share(self, joint: Tensor, dim: int = 0) -> Tensor:
        size = self.options.batch_size
        return joint.narrow(dim, self.process * size, size)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the states of the two generators."""
        return {"generator": self.generator.get_state(), "spare": self.method_generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from the states of two generators."""
        self.generator.set_state(state["generator"])
        self.method_generator.set_state(state["spare"])
