/* The page "The stack, to touch": what is seen, and what keys and buttons do. The arithmetic is in coder.js. */
import {DECODE, ENCODE, Interval, MODEL, PRECISION, Stack, decode, differences, evidence, table} from "./coder.js";

const SLOTS = 1 << PRECISION;
const LETTERS = "ABCDEF";
const COLOURS = ["--stack-1", "--stack-2", "--stack-3", "--stack-4", "--stack-5", "--stack-6"];

/** An element with attributes and children; `on...` are listeners. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "rect", "polyline", "line", "circle", "text", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const colour = (i) => `background: var(${COLOURS[i % COLOURS.length]})`;
const fixed = (number) => number.toFixed(2).replace("-", "−");

/** The slots 0 to 15, each in its symbol's colour; `slot` is where the head's remainder is. */
function slots(rows, names, slot, label) {
  const cells = rows.flatMap(({start, freq}, i) =>
    Array.from({length: freq}, (_, j) => make("span", {
      style: colour(i), class: start + j === slot ? "slot here" : "slot",
      title: `${start + j}: ${names[i]}`}, j === 0 ? names[i] : "")));
  return make("div", {class: "slots", role: "img", "aria-label": `${label}; the remainder is ${slot}`}, ...cells);
}

/** The stack as a number: the words, bottom first, and the head, whose last four bits name the slot. */
function number(stack, flip) {
  const width = Number(stack.width);
  const bit = (place, text, low) => make(flip ? "button" : "span", {
    class: low ? "bit low" : "bit", onclick: flip ? () => flip(place) : null,
    "aria-label": flip ? `flip bit ${place}` : null, type: flip ? "button" : null}, text);
  const digits = (value, least, where) => {
    const text = value.toString(2).padStart(least, "0");
    return [...text].map((one, i) => bit([where, text.length - 1 - i], one,
      where === "head" && i >= text.length - PRECISION));
  };
  const words = stack.words.map((word, i) => make("span", {class: "word", title: `word ${i}: ${word}`},
    ...digits(word, width, i)));
  const head = make("span", {class: "word head", title: `head: ${stack.head}`}, ...digits(stack.head, 1, "head"));
  return make("div", {class: "number"}, ...words, head);
}

/** A part of the page that listens to keys while the focus is in it. */
function part(root, keys) {
  root.tabIndex = 0;
  root.addEventListener("keydown", (event) => {
    const key = keys[event.key];
    if (!key || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    key();
  });
}

/** Show a box anew, and leave the focus on the button that it was on, or on the box where that is no more. */
function render(root, ...children) {
  const buttons = () => [...root.querySelectorAll("button")];
  const focused = buttons().indexOf(document.activeElement);
  root.replaceChildren(...children);
  if (focused < 0) return;
  const again = buttons()[focused];
  (again && !again.disabled ? again : root.parentElement).focus();
}

/* 1. Symbols on a stack */
function symbols(root) {
  const names = ["a", "b", "c", "d"];
  const rows = table([8, 4, 3, 1]);
  let stack, pushed, ideal, told;

  function reset() {
    [stack, pushed, ideal] = [new Stack(8), [], 0];
    told = "A new stack: the head is 256, the lowest that it can be.";
    show();
  }
  function push(i) {
    const {before, reduced, after, moved} = stack.push(rows[i], PRECISION);
    const {start, freq} = rows[i];
    pushed.push(i);
    ideal += Math.log2(SLOTS / freq);
    told = (moved ? `The head ${before} is too full: its low 8 bits become a word, ${reduced} is left. ` : "")
      + `Push ${names[i]}: ⌊${reduced} / ${freq}⌋ · 16 + ${start} + ${reduced} mod ${freq} = ${after}.`;
    show();
  }
  function pop() {
    try {
      const {symbol, slot, before, reduced, after, moved} = stack.pop(rows, PRECISION);
      const {start, freq} = rows[symbol];
      const own = pushed.pop() !== undefined;
      ideal = own ? ideal - Math.log2(SLOTS / freq) : 0;
      told = `${before} mod 16 = ${slot}, so ${names[symbol]} is on top. Pop it: ${freq} · ⌊${before} / 16⌋ + ${slot} − `
        + `${start} = ${reduced}.` + (moved ? ` That is less than 256, so the last word comes back: ${after}.` : "");
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      told = "The stack holds too few bits for another symbol. bitsback raises EmptyStackError here; bits are not made up.";
    }
    show();
  }
  function show() {
    const full = (Math.log2(Number(stack.head)) - 8) / 8;
    render(root,
      make("div", {class: "buttons"},
        ...names.map((name, i) => make("button", {type: "button", onclick: () => push(i), "data-push": name},
          `push ${name} (${rows[i].freq}/16)`)),
        make("button", {type: "button", onclick: pop, "data-pop": true}, "pop"),
        make("button", {type: "button", onclick: reset}, "new")),
      make("p", {class: "told", "aria-live": "polite"}, told),
      slots(rows, names, stack.peek(PRECISION), "16 slots: a has 8, b 4, c 3, d 1"),
      number(stack),
      make("div", {class: "line", role: "img", "aria-label": `the head is ${stack.head}, of 256 to 65535`},
        make("span", {style: `left: ${100 * full}%`})),
      make("p", {class: "scale"}, make("span", {}, "256"), make("span", {}, `head ${stack.head}`),
        make("span", {}, "65,536")),
      make("p", {class: "sum"}, "On the stack: ", make("b", {"data-order": true}, pushed.map((i) => names[i]).join("") || "nothing"),
        `. ${fixed(stack.bits)} bits; −log₂ p of these symbols is ${fixed(Math.abs(ideal))}.`));
  }
  const keys = Object.fromEntries(names.map((name, i) => [name, () => push(i)]));
  part(root.parentElement, {...keys, Backspace: pop, Delete: pop});
  reset();
}

/* 2. Bits back, forwards and back */
const MESSAGE = [1, 0, 4, 3, 0, 2];
const LENT = [0x5d, 0xa2, 0x3c];

function bitsBack(root) {
  const steps = [
    ...MESSAGE.flatMap((x, i) => ENCODE.map((step, j) => ({...step, x, i, first: j === 0, going: "encode"}))),
    ...[...MESSAGE].reverse().flatMap((x, n) =>
      DECODE.map((step, j) => ({...step, x, i: MESSAGE.length - 1 - n, first: j === 0, going: "decode"}))),
  ];
  let at, stack, known, past, decoded, flipped;

  function reset() {
    [at, stack, known, past, decoded, flipped] = [0, new Stack(8, 421n, LENT), {}, [], [], null];
    show();
  }
  function forward() {
    if (at === steps.length) return;
    const step = steps[at];
    past.push({stack: stack.copy(), known, decoded: [...decoded]});
    if (step.first) known = step.going === "encode" ? {x: step.x} : {};
    try {
      known = step.run(stack, known);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      past.pop();
      root.querySelector(".told").textContent = "The stack has run empty: this is no message any more. Go back, or begin again.";
      return;
    }
    if (step.going === "decode" && step.name.startsWith("pop x")) decoded.push(known.x);
    at += 1;
    show();
  }
  function back() {
    if (!at) return;
    at -= 1;
    ({stack, known, decoded} = past.pop());
    if (at < MESSAGE.length * 3) flipped = null;
    show();
  }
  function go(target) {
    while (at > target) back();
    for (let before = -1; at < target && before !== at;) {
      before = at;
      forward();
    }
  }
  function flip([where, place]) {
    if (where === "head") stack.head ^= 1n << BigInt(place);
    else stack.words[where] ^= 1n << BigInt(place);
    flipped = at;
    show();
  }
  function told() {
    if (!at) return "The stack holds some bits, of other data or at random. Six letters are to go on top.";
    const {name, going, i, x} = steps[at - 1];
    const seen = going === "encode" ? `letter ${i + 1}, ${LETTERS[x]}` : `letter ${i + 1}`;
    const z = known.z === undefined ? "" : ` z = ${known.z + 1}.`;
    const end = at < steps.length ? "" : stack.equals(past[0].stack)
      ? " All letters are out, and the stack is as it was at first, to the last bit."
      : " The stack is not as it was at first: something is wrong, and one sees it even without a checksum.";
    return `${going}, ${seen}: ${name}.${z}${end}`;
  }
  function rows() {
    const step = steps[Math.min(at, steps.length - 1)];
    const {x, z} = step.first ? {x: step.going === "encode" ? step.x : undefined} : known;
    if (step.name.includes("p(z)")) return [MODEL.prior, "1234", "prior"];
    if (step.name.includes("q(")) return [MODEL.posterior[x], "1234", `posterior of ${LETTERS[x]}`];
    return [MODEL.likelihood[z], LETTERS, `likelihood given ${z + 1}`];
  }
  function chart() {
    const heights = [...past.map((one) => one.stack.bits), stack.bits];
    const [w, h, top] = [640, 150, 46];
    const point = (bits, i) => `${8 + (i * (w - 16)) / steps.length},${h - 8 - ((h - 16) * Math.max(bits, 0)) / top}`;
    const half = 8 + (w - 16) / 2;
    const [cx, cy] = point(stack.bits, at).split(",");
    return make("svg", {viewBox: `0 0 ${w} ${h}`, role: "img", "aria-label": `height of the stack, now ${fixed(stack.bits)} bits`},
      make("line", {x1: half, x2: half, y1: 0, y2: h, class: "middle"}),
      make("text", {x: half - 6, y: 14, "text-anchor": "end"}, "encoding"),
      make("text", {x: half + 6, y: 14}, "decoding"),
      make("polyline", {points: heights.map(point).join(" ")}),
      make("circle", {cx, cy, r: 5}));
  }
  function show() {
    const letters = MESSAGE.map((x, i) => make("span", {class: 3 * (i + 1) <= at ? "letter done" : "letter"}, LETTERS[x]));
    const out = decoded.map((x, n) => make("span", {
      class: x === MESSAGE[MESSAGE.length - 1 - n] ? "letter done" : "letter wrong"}, LETTERS[x]));
    const middle = at === MESSAGE.length * 3;
    const best = MESSAGE.reduce((sum, x) => sum + evidence(x), 0);
    const lent = past.length ? past[0].stack.bits : stack.bits;
    render(root,
      make("div", {class: "buttons"},
        make("button", {type: "button", onclick: back, disabled: !at, "data-back": true}, "◀ back"),
        make("button", {type: "button", onclick: forward, disabled: at === steps.length, "data-forward": true}, "step ▶"),
        make("button", {type: "button", onclick: () => go(MESSAGE.length * 3), "data-middle": true}, "to the message"),
        make("button", {type: "button", onclick: () => go(steps.length), "data-end": true}, "to the end"),
        make("button", {type: "button", onclick: reset}, "new")),
      make("p", {class: "told", "aria-live": "polite"}, told()),
      make("p", {class: "letters"}, "in: ", ...letters, " out, last first: ", ...(out.length ? out : ["–"])),
      chart(),
      ...(at < steps.length ? [make("p", {class: "next"}, `Next: ${steps[at].name}`),
        slots(rows()[0], [...rows()[1]], stack.peek(PRECISION), rows()[2])] : []),
      number(stack, middle ? flip : null),
      make("p", {class: "sum"}, `${fixed(stack.bits)} bits, ${fixed(stack.bits - lent)} more than at first. `
        + `−log₂ p(x) of all six: ${fixed(best)}. `
        + (middle ? "This is the message: click on a bit of it to flip it, and go on." : "")
        + (flipped === null ? "" : " A bit was flipped.")));
    root.dataset.at = at;
  }
  part(root.parentElement, {ArrowRight: forward, ArrowLeft: back, Home: () => go(0), End: () => go(steps.length),
    m: () => go(MESSAGE.length * 3)});
  reset();
}

/* 3. A queue */
function queue(root) {
  const rows = MODEL.likelihood[0];
  let given, taken;

  function show() {
    const interval = new Interval();
    const path = given.map((x) => {
      interval.narrow(rows[x], PRECISION);
      return [Number(interval.low) / 2 ** Number(interval.scale), Number(interval.range) / 2 ** Number(interval.scale)];
    });
    const bits = interval.bits;
    const left = bits.slice(taken);
    const out = given.length ? decode(left, given.map(() => rows), PRECISION) : [];
    // Each bar is a part of the one above, drawn from edge to edge
    const bars = given.map((x, i) => make("div", {class: "slots", "aria-hidden": "true"}, ...rows.flatMap(({freq}, k) =>
      [make("span", {style: `${colour(k)}; flex: ${freq}`, class: k === x ? "slot here" : "slot"}, LETTERS[k])])));
    const edge = path.at(-1) ?? [0, 1];
    render(root,
      make("div", {class: "buttons"},
        ...[...LETTERS].map((name, i) => make("button", {type: "button", "data-put": name, disabled: given.length === 6 || taken > 0,
          onclick: () => { given.push(i); show(); }}, name)),
        make("button", {type: "button", "data-take": true, disabled: taken + 4 > bits.length,
          onclick: () => { taken += 4; show(); }}, "take 4 bits from the front"),
        make("button", {type: "button", onclick: () => { [given, taken] = [[0, 1], 0]; show(); }}, "new")),
      ...bars,
      make("p", {class: "told", "aria-live": "polite"},
        `The interval is [${edge[0].toFixed(6)}, ${(edge[0] + edge[1]).toFixed(6)}); its bits, the first first:`),
      make("div", {class: "number"}, make("span", {class: "word head"},
        ...[...bits].map((bit, i) => make("span", {class: i < taken ? "bit gone" : "bit"}, bit)))),
      make("p", {class: "letters"}, "in: ", ...given.map((x) => make("span", {class: "letter done"}, LETTERS[x])),
        " decoded from what is left, first first: ",
        ...out.map((x, i) => make("span", {class: x === given[i] ? "letter done" : "letter wrong"}, LETTERS[x]))),
      make("p", {class: "sum"}, taken
        ? "The bits at the front are those of the first letter. Whoever takes them for the latent of a new one can put "
          + "them back only once the new one is decoded, and that one stands at the end, behind letters that cannot be "
          + "read without them."
        : "First in, first out: the first bits already say what the first letter is."));
  }
  [given, taken] = [[0, 1, 3, 0], 0];
  const keys = Object.fromEntries([...LETTERS].map((name, i) => [name.toLowerCase(), () => {
    if (given.length < 6 && !taken) given.push(i);
    show();
  }]));
  part(root.parentElement, keys);
  show();
}

const wrong = differences();
const page = document.getElementById("stack-page");
page.dataset.arithmetic = wrong.length ? wrong.join(", ") : "as the library's";
for (const [id, build] of [["stack-symbols", symbols], ["stack-bits-back", bitsBack], ["stack-queue", queue]]) {
  build(document.getElementById(id));
}
