/* The arithmetic of the page "The stack, to touch": bitsback's stack, bits back on a small model, and an arithmetic
   coder's queue, in whole numbers of any length. No part of a page, so that it runs anywhere; tests compare it with the
   library. KNOWN is what the library makes of the same data, and tests compare that, too. */

/** A stack of one lane, as in src/bitsback/ans.py, with words of `width` bits: 32 in the library, 8 where one looks. */
export class Stack {
  constructor(width = 32, head = 1n << BigInt(width), words = []) {
    this.width = BigInt(width);
    this.head = BigInt(head);
    this.words = words.map(BigInt);
  }

  copy() {
    return new Stack(Number(this.width), this.head, this.words);
  }

  equals(other) {
    return this.head === other.head && this.words.join() === other.words.join();
  }

  /** Information in bits: 0 for a new stack. */
  get bits() {
    return Number(this.width) * (this.words.length - 1) + log2(this.head);
  }

  /** Put on the symbol whose interval is [start, start + freq) of [0, 2^precision), and say how. */
  push({start, freq}, precision) {
    const [s, f, r] = [start, freq, precision].map(BigInt);
    const before = this.head;
    const full = before >> (2n * this.width - r) >= f;
    if (full) {
      this.words.push(before & ((1n << this.width) - 1n));
      this.head = before >> this.width;
    }
    const reduced = this.head;
    this.head = (reduced / f << r) + s + reduced % f;
    return {before, reduced, after: this.head, moved: full};
  }

  /** The low bits of the head: the interval that they are in is that of the symbol on top. */
  peek(precision) {
    return Number(this.head & ((1n << BigInt(precision)) - 1n));
  }

  /** Take off the symbol on top: its number in a table of intervals. Throws RangeError on an empty stack. */
  pop(table, precision) {
    const slot = this.peek(precision);
    const symbol = table.findIndex(({start, freq}) => start <= slot && slot < start + freq);
    const {start, freq} = table[symbol];
    const reduced = BigInt(freq) * (this.head >> BigInt(precision)) + BigInt(slot - start);
    const drained = reduced < 1n << this.width;
    if (drained && !this.words.length) throw new RangeError("the stack holds too few bits");
    const before = this.head;
    this.head = drained ? (reduced << this.width) | this.words.pop() : reduced;
    return {symbol, slot, before, reduced, after: this.head, moved: drained};
  }
}

/** Intervals from frequencies. */
export function table(freqs) {
  let start = 0;
  return freqs.map((freq) => {
    const row = {start, freq};
    start += freq;
    return row;
  });
}

/** log2 of a whole number of any length. */
export function log2(number) {
  const text = number.toString(2);
  const top = text.slice(0, 53);
  return Math.log2(parseInt(top, 2)) + text.length - top.length;
}

/** z is one of four causes, all as likely, and x one of the letters A to F. In sixteenths. */
export const PRECISION = 4;
export const MODEL = {
  prior: table([4, 4, 4, 4]),
  likelihood: [[9, 3, 1, 1, 1, 1], [1, 8, 4, 1, 1, 1], [1, 1, 2, 9, 2, 1], [1, 1, 1, 2, 5, 6]].map(table),
  posterior: [[12, 2, 1, 1], [4, 10, 1, 1], [2, 8, 4, 2], [1, 1, 11, 3], [2, 2, 3, 9], [2, 2, 2, 10]].map(table),
};

/** The steps of coding x with bits back, or of taking it off again: each changes the stack and what is known of z, x. */
export const ENCODE = [
  {name: "pop z under q(z | x)", run: (stack, {x}) => ({z: stack.pop(MODEL.posterior[x], PRECISION).symbol, x})},
  {name: "push x under p(x | z)", run: (stack, {x, z}) => (stack.push(MODEL.likelihood[z][x], PRECISION), {x, z})},
  {name: "push z under p(z)", run: (stack, {x, z}) => (stack.push(MODEL.prior[z], PRECISION), {})},
];
export const DECODE = [
  {name: "pop z under p(z)", run: (stack) => ({z: stack.pop(MODEL.prior, PRECISION).symbol})},
  {name: "pop x under p(x | z)", run: (stack, {z}) => ({z, x: stack.pop(MODEL.likelihood[z], PRECISION).symbol})},
  {name: "push z under q(z | x)", run: (stack, {x, z}) => (stack.push(MODEL.posterior[x][z], PRECISION), {x})},
];

/** -log2 p(x), by Bayes' rule: what x costs at best. */
export function evidence(x) {
  const joint = MODEL.prior.map(({freq}, z) => freq * MODEL.likelihood[z][x].freq);
  return -Math.log2(joint.reduce((a, b) => a + b) / 256);
}

/** An arithmetic coder's interval [low, low + range) of [0, 2^scale), which symbols make narrower; exact. */
export class Interval {
  constructor() {
    [this.low, this.range, this.scale] = [0n, 1n, 0n];
  }

  narrow({start, freq}, precision) {
    this.scale += BigInt(precision);
    this.low = (this.low << BigInt(precision)) + this.range * BigInt(start);
    this.range *= BigInt(freq);
  }

  /** The shortest string of bits such that whatever follows it, the number is in the interval. */
  get bits() {
    for (let length = 0n; ; length++) {
      const shift = this.scale - length;
      const first = shift > 0n ? (this.low + (1n << shift) - 1n) >> shift : this.low << -shift;
      const [low, end] = shift > 0n ? [first << shift, (first + 1n) << shift] : [first, first + 1n];
      const [least, most] = shift > 0n ? [this.low, this.low + this.range]
        : [this.low << -shift, (this.low + this.range) << -shift];
      if (low >= least && end <= most) return length ? first.toString(2).padStart(Number(length), "0") : "";
    }
  }
}

/** The first `count` symbols of a string of bits, which an Interval with the same tables made. */
export function decode(bits, tables, precision) {
  const interval = new Interval();
  return tables.map((rows) => {
    const scale = interval.scale + BigInt(precision);
    const length = BigInt(bits.length);
    const number = BigInt(`0b${bits || "0"}`);
    // The number's place in the interval, in slots
    const value = scale >= length ? number << (scale - length) : number >> (length - scale);
    const slot = Number((value - (interval.low << BigInt(precision))) / interval.range);
    const held = Math.min(Math.max(slot, 0), (1 << precision) - 1);
    const symbol = rows.findIndex(({start, freq}) => start <= held && held < start + freq);
    interval.narrow(rows[symbol], precision);
    return symbol;
  });
}

/* What bitsback.ans and bitsback.codecs give; tests/docs/test_stack_page.py computes it anew. */
export const KNOWN = {
  "pushed": {
    "precision": 16,
        "starts": [14359, 28463, 42823, 56926, 5495, 19855, 33959, 48318, 62422, 10991, 25350, 39454, 53558, 2383,
      16486, 30846, 44950, 59054, 7878, 21982, 36342, 50445, 64549, 13374, 27478, 41581, 55941, 4510, 18870, 32973,
      47077, 61437, 10005, 24109, 38469, 52573, 1397, 15501, 29605, 43964],
        "freqs": [28, 768, 796, 1536, 2276, 2303, 43, 71, 811, 1551, 1578, 2318, 58, 86, 826, 853, 1593, 2333, 2361,
      101, 128, 868, 90, 1636, 2376, 115, 143, 883, 911, 1651, 2390, 2418, 158, 898, 926, 1665, 1693, 2433, 173, 201],
    "head": "182595386816551",
    "words": [675416501, 2521153743, 1173543693, 1454688045, 1757721010, 2890780988, 1449311464, 3296176429]
  },
  "bits_back": {
    "words": [123456789, 4000000000, 7],
    "data": [0, 1, 5, 3, 3, 2, 4, 0, 1, 0, 5, 2, 2, 3, 1, 4, 0, 0, 5, 3],
    "head": "3308599430298587",
    "left": [123456789, 4000000000, 7, 3466958036]
  }
};

/** What is not as the library has it; [] if all is well. */
export function differences() {
  const wrong = [];
  const {precision, starts, freqs, head, words} = KNOWN.pushed;
  const stack = new Stack();
  const rows = starts.map((start, i) => ({start, freq: freqs[i]}));
  for (const row of [...rows].reverse()) stack.push(row, precision);
  if (!stack.equals(new Stack(32, head, words))) wrong.push("what was pushed");
  for (const row of rows) {
    const rest = [{start: 0, freq: row.start}, row, {start: row.start + row.freq, freq: 65536 - row.start - row.freq}];
    if (stack.pop(rest, precision).symbol !== 1) wrong.push("what was popped");
  }
  if (!stack.equals(new Stack())) wrong.push("the empty stack");

  const {words: lent, data, head: then, left} = KNOWN.bits_back;
  const chain = new Stack(32, 1n << 32n, lent);
  for (const x of data) ENCODE.reduce((known, step) => step.run(chain, known), {x});
  if (!chain.equals(new Stack(32, then, left))) wrong.push("bits back");
  for (const x of [...data].reverse()) {
    if (DECODE.reduce((known, step) => step.run(chain, known), {}).x !== x) wrong.push("decoding");
  }
  if (!chain.equals(new Stack(32, 1n << 32n, lent))) wrong.push("what was lent");

  const tables = data.map(() => MODEL.likelihood[0]);
  const queue = new Interval();
  data.forEach((x, i) => queue.narrow(tables[i][x], PRECISION));
  if (decode(queue.bits, tables, PRECISION).join() !== data.join()) wrong.push("the queue");
  return wrong;
}
