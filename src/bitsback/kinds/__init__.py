"""Kinds of models, a folder each with everything that a kind is; :mod:`bitsback.kinds.base` says what one can do.

Two lists, the only places that name them all: :data:`WITHOUT_WEIGHTS`, by tag, and :data:`AnyConfig`, of those with
weights, by what the configuration in a model file calls them.
"""

from bitsback.kinds import adaptive, filtered, jpeg, plain
from bitsback.kinds.base import Coder
from bitsback.kinds.context.config import ContextConfig
from bitsback.kinds.jpeg.config import JpegConfig
from bitsback.kinds.phases.config import PhasesConfig
from bitsback.kinds.vae.config import VAEConfig

_WITHOUT_WEIGHTS: tuple[Coder, ...] = (plain.CODER, adaptive.CODER, jpeg.CODER, filtered.CODER)

WITHOUT_WEIGHTS = {coder.tag: coder for coder in _WITHOUT_WEIGHTS}

AnyConfig = ContextConfig | VAEConfig | PhasesConfig | JpegConfig

NAMES: dict[int, str] = {coder.tag: coder.name for coder in _WITHOUT_WEIGHTS} | {
    config.TAG: str(config.__struct_config__.tag) for config in (ContextConfig, VAEConfig, PhasesConfig)
}
"""What kinds are called, by tag."""
