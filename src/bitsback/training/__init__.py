"""Training: torch modules that learn integer networks, and the way from a folder of images to a model file.

    result = bitsback.training.fit("scans", bitsback.training.Config(minutes=20))
    Path("scans.bbm").write_bytes(result.model.data)

Needs the extra ``train``. Nothing outside of this package imports it but the command ``bitsback train``: what was
trained here is coded without torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitsback.training.result import Result as Result
    from bitsback.training.run import Config as Config
    from bitsback.training.run import View as View
    from bitsback.training.run import fit as fit

_PLACES = {"fit": "run", "Config": "run", "View": "run", "Result": "result"}

__all__ = ["Config", "Result", "View", "fit"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f"bitsback.training.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
