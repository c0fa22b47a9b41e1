"""Kernels, as Python sees them: compiled, or taken from the cache, when they are first called."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from typing import Any

from bitsback.errors import KernelError
from bitsback.kernels import cache, calls, machine
from bitsback.kernels.calls import Form
from bitsback.kernels.language import Helper
from bitsback.kernels.source import meaning
from bitsback.kernels.unit import Part, Unit

_lock = threading.RLock()
"""Held while a kernel is made ready. Nobody forks meanwhile, or the child would wait for a thread that it has not."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Kernel(Helper):
    """A function in machine code. It may be called from several threads at once, and lets others run meanwhile.

    Raises KernelError if it does what kernels cannot do (:mod:`bitsback.kernels.language`), or gets what they do not
    take: arrays must be aligned and in C order, and writeable where they are written to.
    """

    def __init__(self, function: Callable[..., Any], vectorise: bool = False) -> None:
        super().__init__(function)
        self._vectorise = vectorise
        self._known: dict[tuple[Form, ...], Callable[..., Any]] = {}
        self._entries: tuple[Callable[..., Any], ...] = ()

    def __call__(self, *arguments: Any) -> Any:
        for entry in self._entries:
            result = entry(*arguments)
            if result is not NotImplemented:
                return result
        return self._call(tuple(map(calls.plain, arguments)))

    def __reduce__(self) -> str:
        return str(self.function.__qualname__)

    def _call(self, arguments: tuple[Any, ...]) -> Any:
        """Call with arguments of a form that is new, or that entries do not recognise as they are."""
        forms = tuple(map(calls.form_of, arguments))
        with _lock:
            entry = self._known.get(forms)
            if entry is None:
                entry = self._known[forms] = self._ready(forms)
                self._entries = (*self._entries, entry)
        result = entry(*arguments)
        if result is NotImplemented:
            raise KernelError(f"{self.name} writes to an array that is read-only")
        return result

    def _ready(self, forms: tuple[Form, ...]) -> Callable[..., Any]:
        """The entry for arguments of some form."""
        said = f"{meaning(self)} {[calls.name_of(form) for form in forms]} {self._vectorise}"
        symbol = f"entry_{hashlib.sha256(said.encode()).hexdigest()[:32]}"
        own = str(self.__module__).partition(".")[0] == __name__.partition(".")[0]  # what others write, they may edit
        kept = cache.of_this_set() if own else None
        name = f"{self.__module__}.{self.name}-{symbol[6:]}.o"
        code = kept.load(name) if kept else None
        if code is None:
            code = self._made(symbol, forms)
            if kept:
                kept.store(name, code)
        return calls.entry_at(machine.loaded(code, symbol), self.name, forms)

    def _made(self, symbol: str, forms: tuple[Form, ...]) -> bytes:
        """Machine code. Whatever goes wrong is a KernelError, or who takes a file apart might blame the file."""
        try:
            return machine.made(assembly(self, symbol, forms), self._vectorise)
        except (KernelError, MemoryError, OSError):
            raise
        except Exception as error:
            raise KernelError(f"{self.name} cannot be compiled ({type(error).__name__}: {error})") from error


def assembly(kernel: Part, symbol: str, forms: tuple[Form, ...]) -> str:
    """LLVM's assembly of a kernel whose entry is called ``symbol``."""
    unit = Unit(symbol, machine.processor().triple)
    calls.put_entry(unit, symbol, kernel, forms)
    return str(unit.module)
