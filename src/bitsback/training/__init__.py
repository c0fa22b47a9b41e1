"""Training: torch modules that learn integer networks, and the way from a folder of images to a model file.

    result = bitsback.training.fit("scans", bitsback.training.Regime(minutes=20))
    Path("scans.bbm").write_bytes(result.model.data)

Needs the extra ``train``. Nothing outside of this package imports it but the command ``bitsback train``: what was
trained here is coded without torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bitsback.training.regime import Regime as Regime
    from bitsback.training.regime import View as View
    from bitsback.training.result import Result as Result
    from bitsback.training.run import fit as fit

_PLACES = {"fit": "run", "Regime": "regime", "View": "regime", "Result": "result"}

__all__ = ["Regime", "Result", "View", "fit"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        from importlib import import_module

        return getattr(import_module(f"bitsback.training.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
