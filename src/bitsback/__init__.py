"""bitsback: practical lossless compression with latent-variable models."""

__version__ = "0.1.0"
