"""Why a variational autoencoder's latent dimensions collapse onto the prior, and what stops it."""
