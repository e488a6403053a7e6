"""Training: the loop, its schedules, its checkpoints."""

from lambda_vae.training.adversarial import AdversarialAutoencoder, AdversarialBayes
from lambda_vae.training.checkpoints import Checkpoint
from lambda_vae.training.history import EpochRow, History
from lambda_vae.training.interruption import Interrupted
from lambda_vae.training.lagging import Lagging
from lambda_vae.training.loop import Trainer, View
from lambda_vae.training.options import TrainOptions
from lambda_vae.training.schedules import Constant, Cyclical, LinearWarmUp, Schedule
from lambda_vae.training.semi_amortized import SemiAmortized
from lambda_vae.training.strategies import Batch, Joint, Step, Strategy
from lambda_vae.training.watch import Diverged

__all__ = [
    "AdversarialAutoencoder",
    "AdversarialBayes",
    "Batch",
    "Checkpoint",
    "Constant",
    "Cyclical",
    "Diverged",
    "EpochRow",
    "History",
    "Interrupted",
    "Joint",
    "Lagging",
    "LinearWarmUp",
    "Schedule",
    "SemiAmortized",
    "Step",
    "Strategy",
    "TrainOptions",
    "Trainer",
    "View",
]
