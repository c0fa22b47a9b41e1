"""Training: torch modules that learn integer networks, and the way from a folder of images to a model file.

    result = bitsback.training.fit("scans", bitsback.training.Settings(minutes=20))
    Path("scans.bbm").write_bytes(result.model.data)

Needs the extra ``train``. Nothing outside of this package imports it but the command ``bitsback train``: what was
trained here is coded without torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitsback.training.result import Result as Result
    from bitsback.training.run import fit as fit
    from bitsback.training.settings import Settings as Settings
    from bitsback.training.settings import View as View

_PLACES = {"fit": "run", "Settings": "settings", "View": "settings", "Result": "result"}

__all__ = ["Result", "Settings", "View", "fit"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f"bitsback.training.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
