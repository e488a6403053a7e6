"""The table of methods, one line each; a new method is its file and its line here."""

# The order of the lines is that of tables, and of the parts of a composition's name.
# ruff: noqa: I001

from lambda_vae.methods.base import METHODS as METHODS
from lambda_vae.methods.base import Method
from lambda_vae.methods.vae import PlainVAE as PlainVAE
from lambda_vae.methods.no_z import NoZ as NoZ
from lambda_vae.methods.beta_vae import BetaVAE as BetaVAE
from lambda_vae.methods.warm_up import WarmUp as WarmUp
from lambda_vae.methods.cyclical import Cyclical as Cyclical
from lambda_vae.methods.free_bits import FreeBits as FreeBits
from lambda_vae.methods.target_rate import TargetRate as TargetRate
from lambda_vae.methods.delta_vae import DeltaVAE as DeltaVAE
from lambda_vae.methods.iaf import IAF as IAF
from lambda_vae.methods.flow import Flow as Flow
from lambda_vae.methods.vamp_prior import VampPrior as VampPrior
from lambda_vae.methods.flow_prior import FlowPrior as FlowPrior
from lambda_vae.methods.info_vae import InfoVAE as InfoVAE
from lambda_vae.methods.wae import WAE as WAE
from lambda_vae.methods.iwae import IWAE as IWAE
from lambda_vae.methods.lambda_vae import LambdaVAE as LambdaVAE
from lambda_vae.methods.lambda_rising import LambdaRising as LambdaRising
from lambda_vae.methods.noise_clamp import NoiseClamp as NoiseClamp
from lambda_vae.methods.fixed_noise import FixedNoise as FixedNoise
from lambda_vae.methods.lambda_detached import LambdaDetached as LambdaDetached
from lambda_vae.methods.lambda_elbo import LambdaELBO as LambdaELBO
from lambda_vae.methods.aae import AAE as AAE
from lambda_vae.methods.avb import AVB as AVB
from lambda_vae.methods.lagging import Lagging as Lagging
from lambda_vae.methods.semi_amortized import SemiAmortized as SemiAmortized
from lambda_vae.methods.latent_reconstruction import LatentReconstruction as LatentReconstruction

_CLASSES = [one for one in list(vars().values()) if isinstance(one, type) and issubclass(one, Method) and one.name]

METHODS.update({one.name: one() for one in _CLASSES})
