import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitsback.ans import Stack
from bitsback.codecs import Categorical, CdfTable, Uniform
from bitsback.codecs.testing import random_stack
from bitsback.errors import CodecError, EmptyStackError, FormatError, TruncatedError


class Reference:
    """The stack in plain Python integers: what the kernels must agree with, word for word."""

    def __init__(self, heads, words=()):
        self.heads, self.words = list(heads), list(words)

    def push(self, starts, freqs, precision):
        for j in reversed(range(len(starts))):
            head, lane = self.heads[j % len(self.heads)], j % len(self.heads)
            if head >= freqs[j] << (64 - precision):
                self.words.append(head % 2**32)
                head //= 2**32
            self.heads[lane] = (head // freqs[j] << precision) + starts[j] + head % freqs[j]

    def pop(self, cdfs, precision):
        symbols = []
        for j, cdf in enumerate(cdfs):
            lane = j % len(self.heads)
            slot = self.heads[lane] % 2**precision
            symbol = max(s for s in range(len(cdf) - 1) if cdf[s] <= slot)
            head = (cdf[symbol + 1] - cdf[symbol]) * (self.heads[lane] >> precision) + slot - cdf[symbol]
            if head < 2**32:
                head = head * 2**32 + self.words.pop()
            self.heads[lane] = head
            symbols.append(symbol)
        return symbols

    def same_as(self, stack):
        return self.heads == stack.heads.tolist() and self.words == stack.words.tolist()


EDGES = [2**32, 2**32 + 1, 2**40, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 2**32, 2**64 - 1]
heads_strategy = st.lists(st.sampled_from(EDGES) | st.integers(2**32, 2**64 - 1), min_size=1, max_size=9)
words_strategy = st.lists(st.integers(0, 2**32 - 1), min_size=60, max_size=60)


def make(heads, words):
    data = b"".join(h.to_bytes(8, "little") for h in heads) + b"".join(w.to_bytes(4, "little") for w in words)
    return Stack.unpack(data, len(heads))


@st.composite
def tables(draw):
    """A precision, rows of cumulative frequencies of it, and a row and symbol for each of some positions."""
    precision = draw(st.integers(1, 24))
    symbols = draw(st.integers(1, min(2**precision, 12)))
    inner = st.sets(st.integers(1, 2**precision - 1), min_size=symbols - 1, max_size=symbols - 1)
    rows = [[0, *sorted(draw(inner)), 2**precision] for _ in range(draw(st.integers(1, 3)))]
    picks = draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(0, symbols - 1)), max_size=40))
    return precision, rows, [row for row, _ in picks], [symbol for _, symbol in picks]


@settings(deadline=None, max_examples=150)
@given(heads_strategy, words_strategy, tables())
def test_kernels_agree_with_the_reference_word_for_word_and_are_inverses(heads, words, table):
    precision, rows, index, symbols = table
    reference, stack = Reference(heads, words), make(heads, words)
    codec = Categorical(CdfTable(rows, precision), np.array(index, np.uint32))

    codec.push(stack, np.array(symbols, np.uint8))
    chosen = [(rows[r][s], rows[r][s + 1] - rows[r][s]) for r, s in zip(index, symbols, strict=True)]
    reference.push([start for start, _ in chosen], [freq for _, freq in chosen], precision)
    assert reference.same_as(stack)

    assert codec.pop(stack).tolist() == symbols
    assert stack == make(heads, words)

    reference = Reference(heads, words)
    popped = codec.pop(stack)
    assert popped.tolist() == reference.pop([rows[r] for r in index], precision)
    assert reference.same_as(stack)
    codec.push(stack, popped)
    assert stack == make(heads, words)


@pytest.mark.parametrize("precision", [12, 13, 16, 24])
def test_quotients_are_exact_where_they_are_computed_by_floats(precision):
    """Heads next to multiples of a frequency, with as many lanes as make pushing take the quick way."""
    rng, total = np.random.default_rng(precision), 1 << precision
    for freq in (
        1,
        2,
        3,
        total // 3,
        total // 2 - 1,
        total // 2,
        total - 1,
        total,
        *rng.integers(1, total, 12).tolist(),
    ):
        most = freq << (64 - precision)  # from here on a head gives away a word first
        quotients = [most // freq - 1, (1 << 32) // freq + 1, *rng.integers(1 << 20, most // freq, 3).tolist()]
        heads = [q * freq + off for q in quotients for off in (-1, 0, 1, freq - 1)]
        heads = [head for head in heads if 1 << 32 <= head < 1 << 64]
        stack, reference = make(heads, range(60)), Reference(heads, list(range(60)))
        start = (total - freq) // 2
        stack.push(np.full(len(heads), start, np.uint32), np.full(len(heads), freq, np.uint32), precision)
        reference.push([start] * len(heads), [freq] * len(heads), precision)
        assert reference.same_as(stack)


def intervals(n, precision):
    """n intervals from a fixed recurrence that no library version can change."""
    x = (np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    starts = x % np.uint64((1 << precision) - 1)
    freqs = np.uint64(1) + (x >> np.uint64(5)) % np.minimum(np.uint64(1 << precision) - starts, np.uint64(300))
    return starts.astype(np.uint32), freqs.astype(np.uint32)


def test_golden_words():
    stack = Stack(lanes=2)
    stack.push(*intervals(12, 16), 16)
    assert stack.pack().hex() == "2a38f9c536c89b01b56fcc3fff6e2201ecbc6170cf8426ca"
    stack = make([2**63, 2**64 - 1], [1])
    stack.push(*intervals(5, 24), 24)
    assert stack.pack().hex() == "91379e5c53af0800f46e3cd60a0000000100000000000000ffffffffe9dd78c719a7da99"


def test_a_new_stack_is_initial_and_returns_to_it():
    stack = Stack(lanes=3)
    assert stack.is_initial() and len(stack) == 0 and stack.bits() == 0 and stack.lanes == 3 and stack
    codec = Categorical([[0, 1, 65536]], np.zeros((50, 2), int))
    codec.push(stack, np.zeros((50, 2), np.uint8))
    assert not stack.is_initial() and len(stack) > 40
    codec.pop(stack)
    assert stack.is_initial()


def test_bits_measure_what_was_pushed():
    stack = Stack(lanes=4)
    starts, freqs = intervals(2000, 16)
    stack.push(starts, freqs, 16)
    assert stack.bits() == pytest.approx(float(np.sum(16 - np.log2(freqs))), rel=1e-4)


def test_an_interval_of_everything_costs_nothing_even_on_a_full_head():
    for head in (2**32, 2**64 - 1):
        stack = make([head], [])
        stack.push(np.zeros(3, np.uint32), np.full(3, 1 << 24, np.uint32), 24)
        assert stack == make([head], [])


def test_a_pop_from_too_short_a_stack_raises_and_changes_nothing():
    codec = Categorical([[0, 1, 2, 3, 4]], np.zeros(1000, int))
    for words, lanes in ((0, 1), (3, 1), (5, 4)):
        stack = random_stack(words, lanes)
        before = stack.copy()
        with pytest.raises(EmptyStackError):
            codec.pop(stack)
        assert stack == before


@pytest.mark.parametrize(
    ("starts", "freqs", "precision"),
    [
        ([0, 3], [1, 0], 4),
        ([0, 10], [1, 7], 4),
        ([0], [1, 2], 4),
        ([0], [1], 0),
        ([0], [1], 25),
        ([2**32 - 1], [1], 24),
    ],
)
def test_an_impossible_interval_is_refused_and_changes_nothing(starts, freqs, precision):
    stack = random_stack(4, 2)
    before = stack.copy()
    with pytest.raises(CodecError):
        stack.push(np.array(starts, np.uint32), np.array(freqs, np.uint32), precision)
    assert stack == before


def test_intervals_of_another_dtype_are_refused():
    with pytest.raises(CodecError, match="uint32"):
        Stack().push(np.zeros(1, np.int64), np.ones(1, np.int64), 8)


def test_read_only_and_strided_intervals_are_taken():
    starts, freqs = intervals(40, 12)
    plain, strided = Stack(), Stack()
    plain.push(starts[::2].copy(), freqs[::2].copy(), 12)
    starts.flags.writeable = False
    strided.push(starts[::2], freqs[::2], 12)
    assert plain == strided


def test_bytes_round_trip_and_a_copy_is_independent():
    stack = random_stack(7, 3)
    assert Stack.from_bytes(stack.to_bytes()) == stack == Stack.unpack(stack.pack(), 3)
    assert len(stack.to_bytes()) == 8 + 3 * 8 + 7 * 4
    twin = stack.copy()
    twin.push(*intervals(100, 16), 16)
    assert twin != stack and len(stack) == 7
    assert Stack.from_bytes(bytearray(stack.to_bytes()), 3) == stack
    assert stack != "a stack"
    assert repr(Stack()) == "<Stack: 1 lanes, 0 words, 0.0 bits>"


def test_malformed_bytes_are_refused():
    good = random_stack(2, 2).pack()
    with pytest.raises(TruncatedError):
        Stack.unpack(good[:15], 2)
    with pytest.raises(FormatError, match="inside a word"):
        Stack.unpack(good[:-1], 2)
    with pytest.raises(FormatError, match="lowest"):
        Stack.unpack(bytes(8) + good[8:], 2)
    for lanes in (0, -1, 1 << 20):
        with pytest.raises(CodecError):
            Stack(lanes)


def test_bytes_say_of_how_many_lanes_they_are():
    for lanes in (1, 2, 8):
        stack = random_stack(5, lanes)
        assert Stack.from_bytes(stack.to_bytes()) == Stack.from_bytes(stack.to_bytes(), lanes) == stack
        with pytest.raises(FormatError, match=f"a stack of {lanes} lanes, not 3"):
            Stack.from_bytes(stack.to_bytes(), 3)
    with pytest.raises(TruncatedError):
        Stack.from_bytes(b"\2" + bytes(7))


@settings(deadline=None, max_examples=20)
@given(heads_strategy, st.integers(1, 9))
def test_lanes_change_and_change_back(heads, lanes):
    stack = make(heads, range(60))
    before, bits = stack.copy(), stack.bits()
    stack.reshape(lanes)
    assert stack.lanes == lanes
    assert stack.bits() < bits + 37.1 * max(0, len(heads) - lanes) + 0.1
    Uniform(8, (9,)).push(stack, np.arange(9))
    assert np.array_equal(Uniform(8, (9,)).pop(stack), np.arange(9))
    stack.reshape(len(heads))
    assert stack == before


def test_a_new_stack_has_nothing_to_make_lanes_of():
    stack = Stack(2)
    before = stack.copy()
    with pytest.raises(EmptyStackError):
        stack.reshape(3)
    with pytest.raises(CodecError):
        stack.reshape(0)
    assert stack == before


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 24), st.integers(1, 5))
def test_popping_in_two_steps_undoes_pushing(precision, lanes):
    starts, freqs = intervals(lanes, precision)
    stack = random_stack(9, lanes)
    before = stack.copy()
    stack.push(starts, freqs, precision)
    slots = stack.peek(precision)
    assert np.all((starts <= slots) & (slots.astype(int) < starts.astype(int) + freqs))
    with pytest.raises(CodecError, match="the symbols on the stack are others"):
        stack.drop(slots ^ np.uint32(1), np.ones(lanes, np.uint32), precision)
    stack.drop(starts, freqs, precision)
    assert stack == before


def test_dropping_from_too_little_changes_nothing():
    stack = Stack()
    with pytest.raises(EmptyStackError):
        stack.drop(np.zeros(9, np.uint32), np.ones(9, np.uint32), 24)
    with pytest.raises(CodecError, match="beyond"):
        stack.drop(np.ones(1, np.uint32), np.ones(1, np.uint32) * np.uint32(2), 1)
    with pytest.raises(CodecError, match="no 2 symbols"):
        stack.peek(8, 2)
    assert stack.is_initial()


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 5), st.data())
def test_a_part_is_read_from_its_place(sizes, lanes, data):
    rng = np.random.default_rng(sum(sizes))
    parts = [rng.integers(0, 200, size) for size in sizes]
    stack, places = Stack(lanes), []
    for part in parts:
        Uniform.of_size(200, part.shape).push(stack, part)
        places.append(stack.pos())
    for number in data.draw(st.permutations(range(len(parts)))):
        reader = stack.copy()
        reader.seek(places[number])
        assert np.array_equal(Uniform.of_size(200, parts[number].shape).pop(reader), parts[number])


def test_places_that_are_none():
    stack, long = Stack(2), Stack(2)
    Uniform(16, (40,)).push(long, np.zeros(40, int))
    for place in (long.pos(), Stack().pos(), (0, (0, 1 << 32)), (-1, stack.pos().heads)):
        with pytest.raises(CodecError):
            stack.seek(place)
    assert stack.is_initial()
