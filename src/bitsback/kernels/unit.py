"""The code of one kernel, under construction, and what it is put together from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from bitsback.kernels import values
from bitsback.kernels.builder import Builder, Function, Module
from bitsback.kernels.values import LONG


class Unit:
    """A module of LLVM's, and the place in it where code is put next: ``build``, a builder."""

    def __init__(self, name: str, triple: str) -> None:
        self.module = Module(name)
        self.module.triple = triple
        self.build: Any = None
        self._rooms: Any = None
        self.within: list[Part] = []
        """The parts that the present place is in, the outermost first."""
        self.routines: dict[Any, Any] = {}
        """Functions that are there already."""

    def begin(self, function: Function) -> None:
        """Go on at the beginning of a function, an empty one."""
        rooms, first = (function.append_basic_block(name) for name in ("rooms", "first"))
        self._rooms, self.build = Builder(function, rooms), Builder(function, first)

    def end(self) -> None:
        """The function is complete."""
        self._rooms.branch(self._rooms.function.blocks[1])

    @contextmanager
    def another(self, function: Function) -> Iterator[None]:
        """Put code into another function, an empty one, and then go on where the unit stands."""
        here = self._rooms, self.build
        self.begin(function)
        yield
        self.end()
        self._rooms, self.build = here

    def room(self, kind: Any, count: int = 1) -> Any:
        """A pointer to room for ``count`` of a type of LLVM's, until the function returns."""
        return self._rooms.alloca(kind, size=ir.Constant(LONG, count) if count > 1 else None)

    def declared(self, name: str, result: Any, arguments: list[Any]) -> Any:
        """A function from elsewhere, or one of LLVM's own."""
        known = self.module.globals.get(name)
        return known or ir.Function(self.module, ir.FunctionType(result, arguments), name)

    @contextmanager
    def loop(self, first: Any, last: Any, step: int = 1) -> Iterator[tuple[Any, Any, Any]]:
        """Do what follows for each integer from ``first`` to before ``last``, codes both.

        Gives the code of the integer, where to go for the next one, and where to go to leave.
        """
        build, counter = self.build, self.room(LONG)
        test, body, following, behind = (build.append_basic_block(name) for name in ("test", "body", "next", "behind"))
        build.store(first, counter)
        build.branch(test)
        build.position_at_end(test)
        index = build.load(counter)
        build.cbranch(build.icmp_signed("<" if step > 0 else ">", index, last), body, behind)
        build.position_at_end(body)
        yield index, following, behind
        if not build.block.is_terminated:
            build.branch(following)
        build.position_at_end(following)
        build.store(build.add(index, ir.Constant(LONG, step), flags=("nsw",)), counter)
        build.branch(test)
        build.position_at_end(behind)


class Slot:
    """Where a name keeps its value, or a function its result: one form, and whatever numbers."""

    def __init__(self, unit: Unit, value: Any) -> None:
        self._unit, self._model = unit, values.as_numbers(value)
        self._rooms = [unit.room(code.type) for code in values.codes(self._model)]

    def set(self, value: Any) -> None:
        build = self._unit.build
        for code, room in zip(values.codes(values.adapted(build, value, self._model)), self._rooms, strict=True):
            build.store(code, room)

    def get(self) -> Any:
        return values.rebuilt(self._model, iter([self._unit.build.load(room) for room in self._rooms]))


class Part(ABC):
    """What kernels can call. It becomes part of them, at each place where they do."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function: Any = function
        self.__module__, self.__doc__ = function.__module__, function.__doc__
        self.name = function.__name__

    @abstractmethod
    def put(self, unit: Unit, arguments: tuple[Any, ...]) -> Any:
        """Put the code where the unit stands, and give the result."""
