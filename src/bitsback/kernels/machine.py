"""The processor of this machine: what code for it depends on, making it, and loading it."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any, NamedTuple, TypeVar

import llvmlite
import llvmlite.binding as llvm

from bitsback.errors import KernelError

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

T = TypeVar("T")

LEVEL = 2
"""Of optimisation. The third takes longer and gains nothing here."""


class Processor(NamedTuple):
    triple: str
    name: str
    features: str


@cache
def processor() -> Processor:
    """This one."""
    try:
        features = llvm.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM does not know how to find out
        features = ""
    return Processor(llvm.get_process_triple(), llvm.get_host_cpu_name(), features)


def description() -> str:
    """The processor, and the version of what makes code for it."""
    return f"{' '.join(processor())} llvmlite {llvmlite.__version__}"


def _target() -> Any:
    triple, name, features = processor()
    target = llvm.Target.from_triple(triple)
    relocation = "static" if target.name.startswith("x86") else "default"
    return target.create_target_machine(
        cpu=name, features=features, opt=LEVEL, reloc=relocation, codemodel="jitdefault", jit=True
    )


def for_ever(value: T) -> T:
    """The value, which from now on lives as long as the process.

    When Python ends, it clears modules and collects what they held in an order of its own. What machine code needs, or
    what points to it, must outlast all of that: entries look at their definitions when they are collected themselves,
    and daemon threads may still be running kernels.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))
    return value


@cache
def _engine() -> Any:
    try:
        llvm.check_jit_execution()
    except OSError as error:  # a rule of the system's, and no fault of a file
        raise KernelError(f"this system does not let bitsback run the code that it compiles: {error}") from None
    return for_ever(llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target()))


def made(text: str, vectorise: bool) -> bytes:
    """Machine code, as an object file, of a module of LLVM's assembly.

    With ``vectorise``, LLVM does all that it can, and loops are turned into ones over vectors where it sees a gain. It
    sees one in every loop over a few components, too, which become slower, and it takes four times as long.
    """
    module = llvm.parse_assembly(text)
    target = _target()
    module.data_layout = str(target.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=LEVEL)
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(target, options)
    passes = builder.getModulePassManager() if vectorise else _few_passes()
    passes.run(module, builder)
    code: bytes = target.emit_object(module)
    return code


def _few_passes() -> Any:
    """What gains something: values in registers, and simple expressions and branches. Invariants of loops and common
    expressions are found again when code is made of it. LLVM's own order of passes takes six times as long, most of
    a first run, for code that is no faster."""
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_simplify_cfg_pass()
    passes.add_instruction_combine_pass()
    passes.add_loop_rotate_pass()
    passes.add_simplify_cfg_pass()
    return passes


def loaded(code: bytes, name: str) -> int:
    """The address of a function in an object file, for as long as Python runs."""
    engine = _engine()
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address: int = engine.get_function_address(name)
    return address
