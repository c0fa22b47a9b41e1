"""Kernels, as Python sees them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from bitsback.kernels import calls, machine
from bitsback.kernels.language import Helper, Unit
from bitsback.kernels.values import KernelError

_lock = threading.RLock()


class Kernel(Helper):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self._entries: tuple[Callable[..., Any], ...] = ()
        self._known: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        for entry in self._entries:
            result = entry(*arguments)
            if result is not NotImplemented:
                return result
        return self._prepared(*arguments)

    def _prepared(self, *arguments: Any) -> Any:
        arguments = tuple(map(calls.plain, arguments))
        forms = tuple(map(calls.form_of, arguments))
        with _lock:
            if forms not in self._known:
                self._known[forms] = self._entry(forms)
                self._entries = (*self._entries, self._known[forms])
        result = self._known[forms](*arguments)
        if result is NotImplemented:
            raise KernelError(f"{self.__name__} writes to an array that is read-only")
        return result

    def _entry(self, forms: Any) -> Callable[..., Any]:
        name = f"{self.__module__}.{self.__qualname__}({','.join(map(calls.name_of, forms))})"
        text = assembly(self, name, forms)
        code = machine.made(text)
        return calls.entry_at(machine.loaded(code, name), name, forms)


def assembly(kernel: Helper, name: str, forms: Any) -> str:
    unit = Unit(name, machine.triple())
    calls.put_entry(unit, name, kernel, forms)
    return str(unit.module)
