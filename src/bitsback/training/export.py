"""From a trained module to a model file, with the checks that make it safe to code with."""

from __future__ import annotations

import msgspec

from bitsback.errors import ModelError
from bitsback.kinds.context.network import ContextNetwork, companding
from bitsback.models import Model
from bitsback.models.file import Config, dump
from bitsback.nets.engine import self_test_hash
from bitsback.training.context import TrainableContext
from bitsback.training.vae import TrainableVAE


def export(model: TrainableVAE, config: Config) -> Model:
    """The integer model of ``model``, loaded back from its file's bytes and self-tested.

    Args:
        config: the configuration; its ``self_test`` is filled in here.

    Raises:
        ModelError: an accumulator could overflow. InexactEngineError: no engine here runs it exactly.
    """
    networks = {"encoder": model.encoder.export(), "decoder": model.decoder.export()}
    config = msgspec.structs.replace(config, self_test={key: self_test_hash(net) for key, net in networks.items()})
    tensors = {name: t for key, network in networks.items() for name, t in network.tensors(key).items()}
    if model.context is not None and config.context is not None:
        weights = model.context.export()
        context = ContextNetwork(config.context, config.image.channels, config.parameters, companding(), weights)
        tensors |= context.tensors()
    exported = Model.from_bytes(dump(config, tensors))
    _ = exported.vae
    return exported


def export_context(module: TrainableContext, config: Config) -> Model:
    """The integer model of a context network without latents.

    Raises:
        ModelError: an accumulator could overflow, or ``config`` does not fit.
    """
    if config.context is None:
        raise ModelError("the configuration has no context network")
    network = ContextNetwork(
        config.context, config.image.channels, config.parameters, companding(), module.cpu().export()
    )
    return Model.from_bytes(dump(config, network.tensors()))
