"""The published tables that there are recipes for: what their runs share, and how much of them may be run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from lambda_vae.data import Dataset
from lambda_vae.data.dataset import Kind
from lambda_vae.errors import InputError

__all__ = ["SCALES", "TABLES", "Scale", "Table"]


@dataclass(frozen=True)
class Scale:
    """How much of a table is run.

    Args:
        shorter: Epochs, and settings counted in epochs, are divided by this.
        seeds: At most so many.
        settings: Fields of a run that differ from the recipe's.
        note: What the reader must know.
        here: Whether the runs are so short that a process for each would take longer than the run.
        rows: The first so many examples of the training and of the test set; all if left out.
    """

    shorter: int = 1
    seeds: int | None = None
    settings: Mapping[str, Any] | None = None
    note: str = ""
    here: bool = False
    rows: tuple[int, int] | None = None


#: As many as the digits have.
_SMOKE_ROWS = (1_442, 355)
_SMOKE = "Smoke scale: tiny networks, few epochs, little data. It shows that everything runs; its figures mean nothing."

#: How much of a table is run, by its name on the command line.
SCALES: dict[str, Scale] = {
    "smoke": Scale(
        50,
        1,
        {"hidden": (16, 16), "latent_dim": 6, "iw_samples": 8, "checkpoint_every": 100, "trackers": ()},
        _SMOKE,
        here=True,
        rows=_SMOKE_ROWS,
    ),
    "quick": Scale(10, 1, None, "Quick scale: a tenth of the epochs and one seed, for a first look."),
    "paper": Scale(),
}

#: The paper's recipe for images, 6.1. Eight processes make its 8e-4, on which its cosine ends at 1e-5.
_IMAGES: dict[str, Any] = {
    "likelihood": "logistic-mixture",
    "latent_dim": 512,
    "batch_size": 100,
    "learning_rate": 1e-4,
    "scale_learning_rate": True,
    "learning_rate_schedule": "cosine",
    "learning_rate_floor": 1e-5,
    "learning_rate_warm_up_epochs": 5.0,
    "clip_norm": 1.0,
    "refresh_every": 5,
    "iw_samples": 16,
}
_SMOKE_IMAGES: dict[str, Any] = {
    "encoder_width": 4, "decoder_width": 8, "decoder_blocks": 1, "pixelcnn_layers": 1, "latent_dim": 16,
    "batch_size": 50, "iw_samples": 2, "evaluate_every": 0, "checkpoint_every": 100, "trackers": (), "refresh_every": 1,
}  # fmt: skip
#: Half the encoder, a quarter of the decoder; one process at the paper's effective rate; lambda still learns 40 times.
_CPU_IMAGES: dict[str, Any] = {
    "encoder_width": 8, "decoder_width": 16, "decoder_blocks": 1, "pixelcnn_layers": 3,
    "learning_rate": 8e-4, "batch_size": 50, "refresh_every": 1, "evaluate_every": 5, "iw_samples": 4,
}  # fmt: skip
_CPU = (
    "CPU scale: an encoder of width 8 and a decoder of width 16 with one block a stage, the paper's 512 latent "
    "dimensions, the first 10,000 training and 2,000 test images, a tenth of the paper's epochs and ramp, batches of "
    "50. Its figures are not the paper's; what it compares is trained alike."
)
#: One epoch of three batches; what is measured afterwards passes the networks once.
_STEPS_IMAGES: dict[str, Any] = {"iw_samples": 1, "evaluate_every": 0, "checkpoint_every": 100, "trackers": ()}
_STEPS = (
    "A few steps at full size: the paper's networks, K and batch, three steps on 300 images. It shows that the recipe "
    "runs and fits on this device, and how long a step takes; its figures mean nothing."
)
_IMAGE_SCALES: dict[str, Scale] = {
    "smoke": Scale(200, 1, _SMOKE_IMAGES, _SMOKE, here=True, rows=(200, 50)),
    "steps": Scale(400, 1, _STEPS_IMAGES, _STEPS, rows=(300, 100)),
    "cpu": Scale(10, 2, _CPU_IMAGES, _CPU, rows=(10_000, 2_000)),
    "paper": Scale(),
}

#: A GRU on molecules; a longer sequence is cut.
_SEQUENCES: dict[str, Any] = {
    "network": "gru", "width": 256, "embedding": 128, "latent_dim": 32, "batch_size": 128, "longer": "cut",
    "iw_samples": 50, "evaluate_every": 0,
}  # fmt: skip
_SMOKE_SEQUENCES: dict[str, Any] = {
    "width": 16, "embedding": 8, "latent_dim": 4, "batch_size": 50, "iw_samples": 2, "evaluate_every": 0,
    "checkpoint_every": 100, "trackers": (),
}  # fmt: skip
_CPU_SEQUENCES = (
    "CPU scale: a GRU of 256 units and 32 latent dimensions, the first 30,000 training and 2,000 test sequences, 20 "
    "epochs. Its figures are those of this size alone; what it compares is trained alike."
)
#: MOSES' own VAE has 128 dimensions and a decoder of three layers of 512 units; He et al. 2019 train text with an LSTM
#: of 1024 units, embeddings of 512 and 32 dimensions.
_OF_SEQUENCES: dict[str, dict[str, Any]] = {
    "moses": {"width": 512, "layers": 3, "latent_dim": 128, "batch_size": 512, "learning_rate": 3e-4},
    "brown": {"network": "lstm", "width": 1024, "embedding": 512, "batch_size": 32},
    "ewt": {"network": "lstm", "width": 1024, "embedding": 512, "batch_size": 32},
}
_SEQUENCE_SCALES: dict[str, Scale] = {
    "smoke": Scale(40, 1, {**_SEQUENCES, **_SMOKE_SEQUENCES}, _SMOKE, here=True, rows=(200, 50)),
    "cpu": Scale(2, 2, {**_SEQUENCES, "layers": 1, "learning_rate": 1e-3}, _CPU_SEQUENCES, rows=(30_000, 2_000)),
    "paper": Scale(),
}


@dataclass(frozen=True)
class Table:
    """A published table, or one of ours.

    Args:
        title: Its name on paper.
        data: What it is about, if no data is named.
        settings: Fields of a run that all its rows share.
        of_data: Further ones for one data set.
        scales: How much of it may be run, by name.
        kind: Of its data; any if left out.
        channels: Of its images; any data if left out.
        recipes: The table whose recipes it has; its own if empty.
    """

    title: str
    data: str = "mnist"
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    of_data: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: MappingProxyType({}))
    scales: Mapping[str, Scale] = field(default_factory=lambda: SCALES)
    kind: Kind | None = None
    channels: int | None = None
    recipes: str = ""

    def settings_for(self, data: str) -> dict[str, Any]:
        """Return what all rows share on one data set.

        Args:
            data: Its name.
        """
        return {**self.settings, **self.of_data.get(data, {})}

    def check_data(self, dataset: Dataset) -> None:
        """Raise unless the data is such as the table is about.

        Args:
            dataset: The data.

        Raises:
            InputError: Grey images, or no images, where the table is of colours; no sequences where it is of those.
        """
        if self.kind is not None and dataset.kind != self.kind:
            raise InputError(
                f"{self.title} is about {self.kind}s and {dataset.name} holds {dataset.kind}s; choose other `data`, "
                f"such as {self.data}"
            )
        if self.channels is None or (len(dataset.shape) == 3 and dataset.shape[-1] == self.channels):
            return
        what = "grey images" if dataset.kind == "image" else "vectors"
        raise InputError(
            f"{self.title} is of RGB images and {dataset.name} holds {what} of shape {dataset.shape}; choose other "
            "`data`, such as cifar10"
        )


#: The tables that there are recipes for.
TABLES: dict[str, Table] = {
    "table1": Table("Table 1"),
    "table2": Table(
        "Table 2",
        "cifar10",
        {**_IMAGES, "network": "resnet"},
        {"celeba64": {"latent_dim": 1024}},
        _IMAGE_SCALES,
        channels=3,
    ),
    "table3": Table("Table 3", "cifar10", {**_IMAGES, "network": "pixelcnn"}, {}, _IMAGE_SCALES, channels=3),
    "sequences": Table("Sequences", "moses", _SEQUENCES, _OF_SEQUENCES, _SEQUENCE_SCALES, kind="sequence"),
}
