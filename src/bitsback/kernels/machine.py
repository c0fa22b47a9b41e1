"""The processor of this machine: what code for it depends on, making it, and loading it."""

from __future__ import annotations

from functools import cache
from typing import Any

import llvmlite
import llvmlite.binding as llvm

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

LEVEL = 2
"""Of optimisation. A third one takes longer and gains nothing here."""


@cache
def description() -> str:
    """The processor, its abilities, and the versions of what makes code for it."""
    features = llvm.get_host_cpu_features().flatten()
    return f"{llvm.get_process_triple()} {llvm.get_host_cpu_name()} {features} llvmlite {llvmlite.__version__}"


@cache
def triple() -> str:
    return str(llvm.get_process_triple())


def _target() -> Any:
    target = llvm.Target.from_triple(triple())
    features = llvm.get_host_cpu_features().flatten()
    relocation = "static" if target.name.startswith("x86") else "default"
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features, opt=LEVEL, reloc=relocation, codemodel="jitdefault", jit=True
    )


@cache
def _engine() -> Any:
    llvm.check_jit_execution()
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())


def made(text: str) -> bytes:
    """Machine code, as an object file, of a module of LLVM's assembly."""
    module = llvm.parse_assembly(text)
    target = _target()
    options = llvm.create_pipeline_tuning_options(speed_level=LEVEL)
    options.loop_vectorization = options.slp_vectorization = options.loop_interleaving = True
    builder = llvm.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    code: bytes = target.emit_object(module)
    return code


def loaded(code: bytes, name: str) -> int:
    """The address of a function in an object file, for as long as Python runs."""
    engine = _engine()
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address: int = engine.get_function_address(name)
    return address
