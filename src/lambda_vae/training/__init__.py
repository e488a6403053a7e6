"""Training: the loop, its schedules, its checkpoints."""

from typing import TYPE_CHECKING

from lambda_vae.deprecated import renamed
from lambda_vae.lazy import on_first_use

if TYPE_CHECKING:
    from lambda_vae.errors import Diverged, Interrupted
    from lambda_vae.training.adversarial import AdversarialAutoencoder, AdversarialBayes
    from lambda_vae.training.batch import Batch, Step
    from lambda_vae.training.checkpoints import Checkpoint
    from lambda_vae.training.divergence import StepLog
    from lambda_vae.training.draws import Draws, View
    from lambda_vae.training.history import EpochRow, History
    from lambda_vae.training.lagging import Lagging
    from lambda_vae.training.loop import Trainer
    from lambda_vae.training.options import TrainOptions
    from lambda_vae.training.schedules import Constant, Cyclical, LinearWarmUp, Schedule
    from lambda_vae.training.semi_amortized import SemiAmortized
    from lambda_vae.training.stepper import Stepper
    from lambda_vae.training.strategies import AddedTerm, EpochMean, JointUpdate, Strategy

__all__ = [
    "AddedTerm",
    "AdversarialAutoencoder",
    "AdversarialBayes",
    "Batch",
    "Checkpoint",
    "Constant",
    "Cyclical",
    "Diverged",
    "Draws",
    "EpochMean",
    "EpochRow",
    "History",
    "Interrupted",
    "JointUpdate",
    "Lagging",
    "LinearWarmUp",
    "Schedule",
    "SemiAmortized",
    "Step",
    "StepLog",
    "Stepper",
    "Strategy",
    "TrainOptions",
    "Trainer",
    "View",
]

__getattr__ = on_first_use(__name__, renamed)
