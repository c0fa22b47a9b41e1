"""bitsback: practical lossless compression with latent-variable models.

>>> import numpy as np, bitsback
>>> images = np.zeros((10, 28, 28), np.uint8)
>>> archive = bitsback.compress(images)
>>> bool((bitsback.decompress(archive) == images).all())
True

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.5.0"

if TYPE_CHECKING:
    from bitsback.api import add as add
    from bitsback.api import compress as compress
    from bitsback.api import decompress as decompress
    from bitsback.api import merge as merge
    from bitsback.api import open as open
    from bitsback.api import recover as recover
    from bitsback.api import remove as remove
    from bitsback.archive import Archive as Archive
    from bitsback.archive import Library as Library
    from bitsback.archive import Limits as Limits
    from bitsback.archive import Member as Member
    from bitsback.archive import Report as Report
    from bitsback.errors import BitsBackError as BitsBackError
    from bitsback.models import Model as Model

_HOMES = {
    "add": "bitsback.api",
    "compress": "bitsback.api",
    "decompress": "bitsback.api",
    "merge": "bitsback.api",
    "open": "bitsback.api",
    "recover": "bitsback.api",
    "remove": "bitsback.api",
    "Archive": "bitsback.archive",
    "Library": "bitsback.archive",
    "Limits": "bitsback.archive",
    "Member": "bitsback.archive",
    "Report": "bitsback.archive",
    "BitsBackError": "bitsback.errors",
    "Model": "bitsback.models",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bitsback' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
