"""LLVM's assembly, written as it is built: what llvmlite's builder does for all of LLVM, for what kernels need of it.

Types, constants, and what is only declared are llvmlite's own; functions, blocks and codes are of this module, with the
names and methods that llvmlite's have. An instruction is written down once, when it is made, and is a name from then
on. So a kernel is built in a third of the time, which counts: building is much of what a first run takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

_BIT = ir.IntType(1)
_INT = ir.IntType(32)
_SIGNED = {"==": "eq", "!=": "ne", "<": "slt", "<=": "sle", ">": "sgt", ">=": "sge"}
_UNSIGNED = {"==": "eq", "!=": "ne", "<": "ult", "<=": "ule", ">": "ugt", ">=": "uge"}
_REAL = {"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}

_written: dict[int, tuple[Any, str]] = {}
"""Types by identity: the type, so that it stays the same one, and how it is written."""


def written(kind: Any) -> str:
    """How a type is written."""
    known = _written.get(id(kind))
    if known is None:
        known = kind, "ptr" if isinstance(kind, ir.PointerType) else str(kind)
        if not isinstance(kind, ir.IdentifiedStructType):  # these go with their modules
            _written[id(kind)] = known
    return known[1]


class Code:
    """What an instruction gives, or a function gets."""

    __slots__ = ("name", "type")

    def __init__(self, kind: Any, name: str) -> None:
        self.type, self.name = kind, name


class Phi(Code):
    """One of several codes, by the block that one comes from."""

    __slots__ = ("incoming",)

    def __init__(self, kind: Any, name: str) -> None:
        super().__init__(kind, name)
        self.incoming: list[str] = []

    def add_incoming(self, code: Any, block: Block) -> None:
        self.incoming.append(f"[{_said(code)}, %{block.name}]")

    def __str__(self) -> str:
        return f" {self.name} = phi {written(self.type)} {', '.join(self.incoming)}"


def _said(code: Any) -> str:
    """A code, a function, or what is llvmlite's, as an operand."""
    return code.name if isinstance(code, (Code, Function)) else str(code.get_reference())


def _typed(code: Any) -> str:
    return f"{written(code.type)} {_said(code)}"


class Block:
    """Instructions; the last one leads elsewhere, when the block is complete."""

    def __init__(self, name: str) -> None:
        self.name, self.is_terminated = name, False
        self.lines: list[str | Phi] = []


class Function:
    """A function that has code; one that is not ``seen`` elsewhere is called as suits it best."""

    def __init__(self, module: Module, result: Any, arguments: Sequence[Any], name: str, seen: bool = True) -> None:
        self.module, self.result, self.name = module, result, f'@"{name}"'
        self.args = [Code(kind, f"%a{place}") for place, kind in enumerate(arguments)]
        self.blocks: list[Block] = []
        self.count = 0
        self.linkage, self.convention = ("", "") if seen else ("internal ", "fastcc ")
        module.defined.append(self)

    def append_basic_block(self, name: str) -> Block:
        self.blocks.append(Block(f"{name}{len(self.blocks)}"))
        return self.blocks[-1]

    def __str__(self) -> str:
        arguments = ", ".join(map(_typed, self.args))
        lines = [f"define {self.linkage}{self.convention}{written(self.result)} {self.name}({arguments}) {{"]
        for block in self.blocks:
            lines += (f"{block.name}:", *map(str, block.lines))
        return "\n".join([*lines, "}"])


class Module(ir.Module):  # type: ignore[misc]
    """llvmlite's, which declares, and functions with their code."""

    def __init__(self, name: str) -> None:
        super().__init__(name, context=ir.Context())
        self.defined: list[Function] = []

    def __str__(self) -> str:
        return "\n".join([super().__repr__(), *map(str, self.defined), ""])


def _binary(how: str) -> Callable[..., Code]:
    def put(self: Builder, a: Any, b: Any, flags: Sequence[str] = ()) -> Code:
        return self._put(a.type, f"{' '.join((how, *flags))} {_typed(a)}, {_said(b)}")

    return put


def _cast(how: str) -> Callable[..., Any]:
    def put(self: Builder, code: Any, kind: Any) -> Any:
        return code if code.type == kind else self._put(kind, f"{how} {_typed(code)} to {written(kind)}")

    return put


def _compare(how: str, names: dict[str, str]) -> Callable[..., Code]:
    def put(self: Builder, sign: str, a: Any, b: Any) -> Code:
        return self._put(_truth_of(a.type), f"{how}{names[sign]} {_typed(a)}, {_said(b)}")

    return put


def _truth_of(kind: Any) -> Any:
    return ir.VectorType(_BIT, kind.count) if isinstance(kind, ir.VectorType) else _BIT


class Builder:
    """Puts instructions at the end of a block."""

    def __init__(self, function: Function, block: Block) -> None:
        self.function, self.module, self.block = function, function.module, block

    def position_at_end(self, block: Block) -> None:
        self.block = block

    def append_basic_block(self, name: str) -> Block:
        return self.function.append_basic_block(name)

    def _name(self) -> str:
        self.function.count += 1
        return f"%v{self.function.count}"

    def _put(self, kind: Any, text: str) -> Code:
        code = Code(kind, self._name())
        self.block.lines.append(f" {code.name} = {text}")
        return code

    def _end(self, text: str) -> None:
        self.block.lines.append(f" {text}")
        self.block.is_terminated = True

    # Where to go ------------------------------------------------------------------------------------------------------

    def branch(self, block: Block) -> None:
        self._end(f"br label %{block.name}")

    def cbranch(self, condition: Any, yes: Block, no: Block) -> None:
        self._end(f"br i1 {_said(condition)}, label %{yes.name}, label %{no.name}")

    def ret(self, code: Any) -> None:
        self._end(f"ret {_typed(code)}")

    def unreachable(self) -> None:
        self._end("unreachable")

    @contextmanager
    def if_then(self, condition: Any) -> Iterator[None]:
        """Do what follows only if a condition holds."""
        then, behind = (self.append_basic_block(name) for name in ("then", "behind"))
        self.cbranch(condition, then, behind)
        self.position_at_end(then)
        yield
        if not self.block.is_terminated:
            self.branch(behind)
        self.position_at_end(behind)

    def phi(self, kind: Any) -> Phi:
        code = Phi(kind, self._name())
        self.block.lines.append(code)
        return code

    def call(self, function: Any, arguments: Sequence[Any]) -> Code:
        own = isinstance(function, Function)
        result, how = (function.result, function.convention) if own else (function.ftype.return_type, "")
        text = f"call {how}{written(result)} {_said(function)}({', '.join(map(_typed, arguments))})"
        if not isinstance(result, ir.VoidType):
            return self._put(result, text)
        self.block.lines.append(f" {text}")
        return Code(result, "")

    # Memory -----------------------------------------------------------------------------------------------------------

    def alloca(self, kind: Any, size: Any = None) -> Code:
        return self._put(kind.as_pointer(), f"alloca {written(kind)}{f', {_typed(size)}' if size else ''}")

    def load(self, pointer: Any, align: int = 0) -> Code:
        kind = pointer.type.pointee
        return self._put(kind, f"load {written(kind)}, {_typed(pointer)}{f', align {align}' if align else ''}")

    def store(self, code: Any, pointer: Any, align: int = 0) -> None:
        self.block.lines.append(f" store {_typed(code)}, {_typed(pointer)}{f', align {align}' if align else ''}")

    def gep(self, pointer: Any, indices: Sequence[Any], inbounds: bool = False) -> Code:
        (index,) = indices
        how = "getelementptr inbounds" if inbounds else "getelementptr"
        return self._put(pointer.type, f"{how} {written(pointer.type.pointee)}, {_typed(pointer)}, {_typed(index)}")

    def bitcast(self, code: Any, kind: Any) -> Any:
        if isinstance(kind, ir.PointerType):  # one pointer is like another
            return Code(kind, _said(code))
        return code if code.type == kind else self._put(kind, f"bitcast {_typed(code)} to {written(kind)}")

    # Numbers ----------------------------------------------------------------------------------------------------------

    add, sub, mul, udiv, sdiv, urem, srem = map(_binary, ("add", "sub", "mul", "udiv", "sdiv", "urem", "srem"))
    shl, lshr, ashr, and_, or_, xor = map(_binary, ("shl", "lshr", "ashr", "and", "or", "xor"))
    fadd, fsub, fmul, fdiv = map(_binary, ("fadd", "fsub", "fmul", "fdiv"))
    trunc, zext, sext, fptrunc, fpext = map(_cast, ("trunc", "zext", "sext", "fptrunc", "fpext"))
    sitofp, uitofp, fptosi = map(_cast, ("sitofp", "uitofp", "fptosi"))
    icmp_signed, icmp_unsigned = _compare("icmp ", _SIGNED), _compare("icmp ", _UNSIGNED)
    fcmp_ordered, fcmp_unordered = _compare("fcmp o", _REAL), _compare("fcmp u", _REAL)

    def neg(self, code: Any) -> Code:
        return self._put(code.type, f"sub {written(code.type)} 0, {_said(code)}")

    def fneg(self, code: Any) -> Code:
        return self._put(code.type, f"fneg {_typed(code)}")

    def not_(self, code: Any) -> Code:
        return self._put(code.type, f"xor {_typed(code)}, -1")

    def select(self, condition: Any, yes: Any, no: Any) -> Code:
        return self._put(yes.type, f"select {_typed(condition)}, {_typed(yes)}, {_typed(no)}")

    # Vectors and structures -------------------------------------------------------------------------------------------

    def extract_element(self, vector: Any, index: Any) -> Code:
        return self._put(vector.type.element, f"extractelement {_typed(vector)}, {_typed(index)}")

    def insert_element(self, vector: Any, code: Any, index: Any) -> Code:
        return self._put(vector.type, f"insertelement {_typed(vector)}, {_typed(code)}, {_typed(index)}")

    def shuffle_vector(self, one: Any, other: Any, mask: Any) -> Code:
        kind = ir.VectorType(one.type.element, mask.type.count)
        return self._put(kind, f"shufflevector {_typed(one)}, {_typed(other)}, {_typed(mask)}")

    def extract_value(self, whole: Any, place: int) -> Code:
        return self._put(whole.type.elements[place], f"extractvalue {_typed(whole)}, {place}")

    def insert_value(self, whole: Any, code: Any, place: int) -> Code:
        return self._put(whole.type, f"insertvalue {_typed(whole)}, {_typed(code)}, {place}")
