"""From Python into kernels: what they take, whatever its form, and what they refuse."""

import gc
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bitsback.ans import Stack
from bitsback.kernels import KernelError, calls, kernel


class Pair(NamedTuple):
    numbers: np.ndarray
    more: tuple[int, np.ndarray | None]


@kernel
def first(x):
    return x[0]


@kernel
def same(x):
    return x


@kernel
def nothing(x):
    pass


@kernel
def inside(pair):
    total = pair.numbers[0] + pair.more[0]
    if pair.more[1] is not None:
        total += pair.more[1][0, 1]
    return total


@kernel
def doubled(x):
    for i in range(x.size):
        x[i] *= 2


@kernel
def size_of(x):
    return x.size


VALUES = [
    (True, True), (False, False), (np.bool_(True), True), (7, 7), (-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1),
    (np.int8(-3), -3), (np.uint32(2**32 - 1), 2**32 - 1), (np.int64(-1), -1), (np.uint64(2**64 - 1), 2**64 - 1),
    (1.5, 1.5), (np.float64(-2.5), -2.5), (np.float32(0.5), 0.5),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_numbers_of_all_types(value, expected) -> None:  # type: ignore[no-untyped-def]
    for _ in range(2):  # the first call prepares the entry that the second one finds
        found = same(value)
        assert found == expected
        assert type(found) is type(expected)
    assert nothing(value) is None


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_arrays_of_all_types(kind: str) -> None:
    assert first(np.ones(3, kind)) == 1
    assert first(np.zeros((2, 1), kind)[1]) == 0


def test_arrays_in_all_guises() -> None:
    """Subclasses, types that are equal but another object, other names of a type, and parts of arrays."""
    plain = np.array([5, 6], np.int64)
    assert first(plain) == 5
    twin = pickle.loads(pickle.dumps(np.dtype([("a", np.int64)])))["a"]
    kinds = [np.longlong, np.dtype("<i8"), np.dtype(np.int64, metadata={"a": 1}), twin]
    views = [plain.view(np.memmap), np.broadcast_to(plain[:1], (1,)), np.array([[9, 9], [5, 6]])[1]]
    for array in (*views, *map(plain.astype, kinds)):
        assert first(array) == 5
        assert first(array) == 5
    assert size_of(np.zeros((3, 0, 2))) == 0


def test_tuples_and_none() -> None:
    more = np.array([[1, 40]], np.uint8)
    assert inside(Pair(np.array([2]), (300, None))) == 302
    assert inside(Pair(np.array([2]), (300, more))) == 342
    assert inside(Pair(np.array([2]), (300, None))) == 302
    assert inside(Pair(np.array([2.5]), (300, more))) == 342.5
    with pytest.raises(KernelError, match="has no numbers"):
        inside((np.array([2]), (300, None)))


def test_what_is_written_to_must_be_writeable() -> None:
    x = np.arange(3)
    doubled(x)
    assert x.tolist() == [0, 2, 4]
    x.flags.writeable = False
    for _ in range(2):
        with pytest.raises(KernelError, match="doubled writes to an array that is read-only"):
            doubled(x)
    assert first(x) == 0
    assert x.tolist() == [0, 2, 4]
    x.flags.writeable = True
    doubled(x)
    assert x.tolist() == [0, 4, 8]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.arange(6)[::2], "in C order"),
        (np.zeros((2, 3), order="F"), "in C order"),
        (np.frombuffer(bytes(9), np.int32, 2, 1), "aligned"),
        (np.zeros(2, ">i4"), "arrays of >i4"),
        (np.zeros(2, np.float16), "arrays of float16"),
        (np.zeros(2, complex), "arrays of complex128"),
        (np.zeros(2, object), "arrays of object"),
        ("text", "do not take str"),
        ([1, 2], "do not take list"),
    ],
)
def test_what_kernels_do_not_take(value, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(KernelError, match=message):
        size_of(value)


def test_wrong_numbers_of_arguments_and_too_large_ones() -> None:
    with pytest.raises(KernelError, match="same takes 1 arguments, not 2"):
        same(1, 2)
    assert same(1) == 1
    with pytest.raises(KernelError, match="not 0"):
        same()
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(OverflowError):
            same(number)
    assert same(-1) == -1


@pytest.fixture
def no_collection() -> Iterator[None]:
    """What others left behind is not let go in the middle of a test that counts."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_nothing_is_held_that_was_given() -> None:
    x, pair = np.array([10**6]), Pair(np.array([1]), (10**6, None))
    inside(pair)
    before = sys.getrefcount(x), sys.getrefcount(pair), sys.getrefcount(pair.numbers), sys.getrefcount(None)
    for _ in range(1000):
        first(x)
        inside(pair)
        nothing(x)
        assert same(0.5) == 0.5
    after = sys.getrefcount(x), sys.getrefcount(pair), sys.getrefcount(pair.numbers), sys.getrefcount(None)
    assert after[:3] == before[:3]
    assert abs(after[3] - before[3]) < 100


@kernel
def mixed(x, rounds):
    for _ in range(rounds):
        x = x * 6364136223846793005 + 1442695040888963407
    return x


def test_other_threads_run_meanwhile() -> None:
    mixed(1, 1)
    thread = threading.Thread(target=mixed, args=(1, 200_000_000))
    thread.start()
    rounds = 0
    while thread.is_alive():
        rounds += 1
    assert rounds > 1000


def test_many_threads_may_be_the_first() -> None:
    @kernel
    def counted(x):  # type: ignore[no-untyped-def]
        total = 0.0
        for i in range(x.size):
            total += x[i]
        return total

    arrays = [np.full(n, n, kind) for n in range(1, 9) for kind in (np.int32, np.uint8, np.float64)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(counted, arrays * 20))
    assert found == [float(a.size**2) for a in arrays] * 20
    assert len(counted._entries) == 3


def test_kernels_pickle_by_their_names() -> None:
    assert pickle.loads(pickle.dumps(doubled)) is doubled


def test_a_kernel_can_be_part_of_another() -> None:
    @kernel
    def twice(x):  # type: ignore[no-untyped-def]
        doubled(x)
        doubled(x)
        return first(x)

    assert twice(np.array([3])) == 12


def test_other_layouts_of_objects_are_not_guessed_at(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(calls, "_AXES", calls._AXES + 8)
    calls._check_layout.cache_clear()
    with pytest.raises(KernelError, match="lay out objects"):
        calls.entry_at(0, "name", ())
    monkeypatch.undo()
    calls._check_layout()


def test_a_stack_can_be_pulled_by_a_kernel_of_ones_own() -> None:
    @kernel
    def drop_word(heads, tail, length, out):  # type: ignore[no-untyped-def]
        if length == 0:
            return -1
        out[0] = tail[length - 1]
        return length - 1

    stack = Stack.from_bytes((1 << 32).to_bytes(8, "little") + b"\1\2\3\4")
    out = np.zeros(1, np.int64)
    stack.pull(drop_word, out)
    assert out[0] == 0x04030201
    assert len(stack) == 0


FORKING = """
import os, sys, threading, time
import numpy as np
from bitsback.ans import Stack
from bitsback.codecs import Gaussian, LogisticMixture
from bitsback.kernels import compiled, machine
making, made = threading.Event(), machine.made
def slowly(*arguments):
    making.set()
    time.sleep(0.3)
    return made(*arguments)
machine.made = slowly
mixture = LogisticMixture([[160, 320]], [[16, 20]], [[128, 100]])
thread = threading.Thread(target=mixture.intervals, args=(np.array([7]),))
thread.start()
making.wait()
child = os.fork()
if not child:
    Gaussian([160], [16]).intervals(np.array([7]))
    mixture.intervals(np.array([7]))
    os._exit(0)
thread.join()
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_fork_while_a_kernel_is_compiled(tmp_path: Path) -> None:
    environment = os.environ | {"BITSBACK_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", FORKING]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "0\n", done.stderr


ENDING = """
import os, threading, time
import numpy as np
from llvmlite.binding import ExecutionEngine
from bitsback.ans import Stack
from bitsback.kernels import calls
def gone(self, write=os.write):
    write(1, b"gone")
calls._Definition.__del__ = ExecutionEngine.__del__ = gone
starts, freqs = np.zeros(1 << 16, np.uint32), np.ones(1 << 16, np.uint32)
def work():
    while True:
        Stack().push(starts, freqs, 1)
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
"""


def test_what_machine_code_needs_outlasts_python() -> None:
    # An entry looks at its definition when it is collected; a process whose definitions went first ended by a signal,
    # once in some thousand times
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", ENDING]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
