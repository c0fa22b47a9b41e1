"""What commands need that bitsback alone does not bring."""

from importlib import import_module

from bitsback.errors import BitsBackError


def need(module: str, extra: str, what: str) -> None:
    """Refuse to begin without a module that an extra brings; ``what`` is it that needs it."""
    try:
        import_module(module)
    except ModuleNotFoundError:
        raise BitsBackError(f"{what} needs {module}: pip install 'bitsback[{extra}]'") from None
