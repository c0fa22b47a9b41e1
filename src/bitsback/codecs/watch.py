"""Which part of a model does what to a stack: for errors, checks and measurements."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from bitsback.ans import Position, Stack
from bitsback.errors import CodecError, EmptyStackError


class Step(NamedTuple):
    """What a part did: the stack's place and bits before and after."""

    name: str
    before: Position
    after: Position
    bits: float
    """By which the stack grew."""


class Watch:
    """The steps on a stack, one for each innermost part that changed it."""

    def __init__(self, stack: Stack) -> None:
        self.steps: list[Step] = []
        self._stack = stack
        self._path: list[str] = []

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Note what the block does, unless it consists of parts."""
        self._path.append(name)
        count, before, bits = len(self.steps), self._stack.pos(), self._stack.bits()
        try:
            yield
        finally:
            path, after = ": ".join(self._path), self._stack.pos()
            self._path.pop()
            if len(self.steps) == count and after != before:
                self._add(Step(path, before, after, self._stack.bits() - bits))

    def _add(self, step: Step) -> None:
        if self.steps and self.steps[-1].name == step.name:  # one part in two goes
            first = self.steps.pop()
            step = Step(step.name, first.before, step.after, first.bits + step.bits)
        self.steps.append(step)


_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watching(stack: Stack) -> Iterator[Watch]:
    """Watch what the parts of codecs do to a stack inside the block."""
    token = _watch.set(watch := Watch(stack))
    try:
        yield watch
    finally:
        _watch.reset(token)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Say of a model's errors which part of it they come from, and of its steps, if someone watches."""
    watch = _watch.get()
    try:
        if watch is None:
            yield
        else:
            with watch.inside(name):
                yield
    except (CodecError, EmptyStackError) as error:
        raise type(error)(f"{name}: {error}") from error


def culprit(there: Watch, back: Watch) -> str:
    """Return the name of the first part that did not undo, on the way back, what it did on the way there; or ``""``."""
    for one, other in zip(reversed(there.steps), back.steps, strict=False):
        if (one.name, one.before, one.after) != (other.name, other.after, other.before):
            return one.name
    return ""
