"""What kernels may say: functions that give the same as Python, and as kernels."""

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.kernels import KernelError, compiled, helper, kernel, routine
from bitsback.kernels.calls import form_of

LIMIT = 7


def collatz(start):
    steps = 0
    while start != 1:
        if start % 2 == 0:
            start //= 2
        else:
            start = 3 * start + 1
        steps += 1
        if steps > 1000:
            break
    return steps


def searched(numbers, wanted):
    for i in range(numbers.size):
        if numbers[i] < 0:
            continue
        if numbers[i] == wanted:
            return i
    return -1


def nested(n):
    total = 0
    for i in range(n):
        for j in range(n - 1, i, -2):
            if j == LIMIT:
                break
            total += i * j if (i + j) % 3 else -j
    return total


def left_of_a_loop(n):
    last = -1
    for i in range(n):
        last = i
        i += 100  # the loop takes no notice
    return last


def conditions(a, b):
    found = 0
    if (a > 0 and 10 // (a if a else 1) > 1) or b > 0:
        found += 1
    if not (a > 0 or b == 3):
        found += 2
    if 0 < a <= b < 100:
        found += 4
    return found + (8 if a and b else 16)


def shadows(n):
    """A name that is assigned in one branch only, and used after it."""
    for i in range(n):
        if i == 0:
            best = i
        elif i % 2:
            best = best + i
    if n > 0:
        return best
    return -7


def endless(n):
    i = 0
    while True:
        i += 1
        if i * i >= n:
            return i


def counted(n):
    """Constants of the module, parameters and single values where an element is added to."""
    counts = np.zeros(9, np.int64)
    middle = n % 3
    for i in range(n):
        counts[LIMIT - i % 2] += 1
        counts[middle] += n
    return counts[LIMIT] * 10000 + counts[LIMIT - 1] * 100 + counts[middle]


def swapped(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def chained(n):
    a = b = n + 1
    a += b
    return a * 1000 + b


NUMBERS = [collatz, nested, left_of_a_loop, shadows, endless, counted, swapped, chained]


@settings(deadline=None)
@given(st.integers(1, 60))
@pytest.mark.parametrize("function", NUMBERS)
def test_numbers(function, n) -> None:  # type: ignore[no-untyped-def]
    assert KERNELS[function.__name__](n) == function(n)


@settings(deadline=None)
@given(st.integers(-5, 12), st.integers(-5, 12))
def test_conditions(a: int, b: int) -> None:
    assert KERNELS["conditions"](a, b) == conditions(a, b)


@settings(deadline=None)
@given(st.lists(st.integers(-3, 9), max_size=12), st.integers(-1, 9))
def test_early_returns(numbers: list[int], wanted: int) -> None:
    array = np.array(numbers, np.int64)
    assert KERNELS["searched"](array, wanted) == searched(array, wanted)


KERNELS = {function.__name__: kernel(function) for function in (*NUMBERS, conditions, searched)}


# Arrays ---------------------------------------------------------------------------------------------------------------


def test_arrays_and_their_parts_are_views() -> None:
    def arrays() -> tuple[np.ndarray, np.ndarray]:
        return np.arange(24, dtype=np.int32).reshape(2, 3, 4), np.arange(6, dtype=np.uint8)

    def touch(cube, flat):  # type: ignore[no-untyped-def]
        plane = cube[1]  # elements, parts, slices and fills
        row = plane[2]
        row[:] = 5
        plane[0, 1:3] = 7
        middle = row[1 : row.size - 1]
        middle[0] += plane.shape[0] * 10 + len(cube)
        cube[-1, -1, -1] = -9
        whole = cube.reshape(-1)
        whole[3] = whole.size
        tail = flat[2:]
        tail[0], tail[1] = flat[0], flat[-1]
        flat[:2] = 3
        a, b = flat[:3], flat[3:]
        a, b = b, a
        a[0] = 42
        b[0] = 43

    mine, theirs = arrays(), arrays()
    kernel(touch)(*mine)
    touch(*theirs)
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


@kernel
def with_room(out):
    for i in range(out.shape[0]):
        zeros, grid = np.zeros(4, np.int16), np.empty((2, 3))
        for j in range(4):
            zeros[j] += i + j
        grid[:] = 0.5
        grid[1, 2] = zeros[3]
        total = 0.0
        for k in range(2):
            for j in range(3):
                total += grid[k, j]
        out[i] = total
    bits = out.view(np.int64)
    return bits[0]


def test_arrays_that_a_kernel_makes() -> None:
    out = np.zeros(5)
    assert with_room(out) == out.view(np.int64)[0]
    assert out.tolist() == [2.5 + 3 + i for i in range(5)]


@kernel
def of_every_kind(bools, singles):
    for i in range(bools.size):
        bools[i] = not bools[i]
        singles[i] = singles[i] / 3 if bools[i] else math.exp(math.log(singles[i]))


def test_booleans_and_single_reals() -> None:
    bools, singles = np.array([True, False]), np.array([2.5, 1.0], np.float32)
    of_every_kind(bools, singles)
    assert bools.tolist() == [False, True]
    np.testing.assert_allclose(singles, np.array([2.5, 1 / 3], np.float32), rtol=1e-6)


# Tuples, helpers, and what is known -----------------------------------------------------------------------------------


class Plain(NamedTuple):
    step: int


class Table(NamedTuple):
    steps: np.ndarray


class Job(NamedTuple):
    how: Plain | Table
    bonus: int | None


@helper
def step_of(job, i):
    if isinstance(job.how, Table):
        return job.how.steps[i % job.how.steps.size]
    return job.how.step


@helper
def folded(first, combine, *rest):
    total = first
    for one in rest:
        total = combine(total, one)
    return total


@helper
def weighted(a, b):
    return 10 * a + b


@kernel
def walk(job, n):
    place = 0
    for i in range(n):
        place += step_of(job, i)
    if job.bonus is not None:
        place += job.bonus
    made = Job(Plain(place), None)
    return folded(made.how.step, weighted, *(1, 2), n)


def test_one_text_serves_several_purposes() -> None:
    steps = np.array([1, 2, 4])
    assert walk(Job(Plain(3), None), 4) == 12124
    assert walk(Job(Table(steps), None), 4) == 8124
    assert walk(Job(Table(steps), 100), 4) == 108124
    assert walk.function(Job(Table(steps), 100), 4) == 108124


@kernel
def parts_of(pair):
    (a, b), c = pair
    left, right = (a, b) if c > 0 else (b, a)
    return left * 100 + right + len(pair) * 10000 + pair[0][-1] * 1000000


def test_tuples() -> None:
    assert parts_of(((1, 2), 3)) == 2020102
    assert parts_of(((1, 2), -3)) == 2020201


def test_closures_are_constants() -> None:
    factor, add = 6, helper(lambda a, b: a)

    @helper
    def times(x):  # type: ignore[no-untyped-def]
        return x * factor

    @kernel
    def run(x):  # type: ignore[no-untyped-def]
        return times(x) + times(1)

    assert run(4) == 30
    assert add(1, 2) == 1  # from Python, a helper is the function that it was


# What is refused, and says where --------------------------------------------------------------------------------------


@helper
def itself(x):
    return itself(x)


@kernel
def recursive(x):
    return itself(x)


@kernel  # noqa: RET503
def maybe_nothing(x):
    """Nothing, where Python has None."""
    if x > 0:
        return x


@kernel
def two_kinds(x):
    value = 1
    value = value + 0.5 * x
    return value + 1


@kernel
def too_early(x):
    if x > 0:
        x += later  # noqa: F821
    later = 3
    return x + later


@kernel
def unknown_function(x):
    return sorted(x)


@kernel
def unknown_statement(x):
    with x:
        pass


@kernel
def too_many_indices(x):
    return x[0, 0]


@kernel
def whether_an_array(x):
    return 1 if x else 0


@kernel
def two_forms(x):
    part = x
    for _ in range(3):
        part = part[0]
    return part


@kernel
def out_of_a_tuple(x):
    for one in (x, x):
        if one > 0:
            break
    return x


@kernel
def of_any_length(x):
    return np.zeros(x)[0]


@kernel
def too_long():
    return np.zeros(10000)[0]


@kernel
def too_few():
    return step_of(1)


ARRAY = np.zeros(3, np.int64)


@pytest.mark.parametrize(
    ("function", "argument", "message"),
    [
        (recursive, 1, "itself calls itself"),
        (maybe_nothing, 1, "may return something or nothing"),
        (two_kinds, 1, "a real where an integer is due"),
        (too_early, 1, "later may have no value yet"),
        (unknown_function, ARRAY, "do not know <built-in function sorted>"),
        (unknown_statement, 1, "do not know With"),
        (too_many_indices, ARRAY, "2 indices for an array of int64 with 1 axes"),
        (whether_an_array, ARRAY, "whether an array is true"),
        (two_forms, ARRAY, "where there was an array"),
        (out_of_a_tuple, 1, "goes through all of it"),
        (of_any_length, 4, "must have constant lengths"),
    ],
)
def test_what_kernels_cannot_say(function, argument, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(KernelError, match=message) as caught:
        function(argument)
    assert __file__ in str(caught.value)


def test_what_kernels_cannot_say_without_arguments() -> None:
    with pytest.raises(KernelError, match="80000 bytes"):
        too_long()
    with pytest.raises(KernelError, match="takes 2 arguments, not 1"):
        too_few()


@routine
def counted(array, place, by):
    array[place] += by
    if by > 2:
        return array[place], by * 0.5
    return array[place], 0.0


@routine
def tripled(pair, table):
    first, second = pair
    total, half = counted(table, first, second)
    total += counted(table, 0, 3)[0]
    return total + half


def with_routines(table, other, n):
    total = 0.0
    for i in range(n):
        total += tripled((i % 3, i), table) + tripled((1, 2), table)
    counted(other[1:], 0, n)
    return total


def test_routines_are_functions_of_their_own_once_for_each_form_of_arguments() -> None:
    made = []
    for function in (with_routines, kernel(with_routines)):
        table, other = np.zeros(3, np.int32), np.zeros(2, np.int16)
        made.append((function(table, other, 7), table.tolist(), other.tolist()))
    assert made[0] == made[1] and made[0][2] == [0, 7]
    text = compiled.assembly(kernel(with_routines), "it", tuple(map(form_of, (table, other, 7))))
    assert text.count("define ") == 4  # the entry, one for all calls of tripled, and one for each type of array
    other.flags.writeable = False
    with pytest.raises(KernelError, match="read-only"):
        kernel(with_routines)(table, other, 7)


def test_routines_return_no_arrays() -> None:
    @routine
    def rest(array):
        return array[1:]

    def use(array):
        return rest(array)[0]

    with pytest.raises(KernelError, match="returns an array"):
        kernel(use)(np.zeros(3))
