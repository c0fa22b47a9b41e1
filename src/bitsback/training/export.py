"""From a trained module to a model file, with the checks that make it safe to code with."""

from __future__ import annotations

from bitsback.kinds.context.config import ContextConfig
from bitsback.kinds.context.network import ContextNetwork, companding
from bitsback.kinds.phases.config import PhasesConfig
from bitsback.kinds.vae.config import VAEConfig
from bitsback.models import Model
from bitsback.training.context import TrainableContext
from bitsback.training.phases import TrainablePhases
from bitsback.training.vae import TrainableVAE


def export(model: TrainableVAE, config: VAEConfig) -> Model:
    """The integer model of ``model``, loaded back from its file's bytes.

    Raises:
        ModelError: an accumulator could overflow. InexactEngineError: no engine here runs it exactly.
    """
    networks = {name: network.export() for name, network in model.networks.items()}
    tensors = {name: t for key, network in networks.items() for name, t in network.tensors(key).items()}
    if model.context is not None and config.context is not None:
        weights = model.context.export()
        channels, parameters = config.image.channels, config.likelihood.parameters
        tensors |= ContextNetwork(config.context, channels, parameters, companding(), weights).tensors()
    return Model.made(config, tensors)


def export_context(module: TrainableContext, config: ContextConfig) -> Model:
    """The integer model of a context network without latents.

    Raises:
        ModelError: an accumulator could overflow, or ``config`` does not fit.
    """
    weights = module.cpu().export()
    channels, parameters = config.image.channels, config.likelihood.parameters
    return Model.made(config, ContextNetwork(config.context, channels, parameters, companding(), weights).tensors())


def export_phases(module: TrainablePhases, config: PhasesConfig) -> Model:
    """The integer model of a model in phases.

    Raises:
        ModelError: an accumulator could overflow, or ``config`` does not fit. InexactEngineError: no engine here runs
            it exactly.
    """
    return Model.made(config, module.cpu().export())
