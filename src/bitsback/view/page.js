// A grid that holds only what can be seen, however many images there are, and one image at its full size.

const find = (id) => document.getElementById(id);
const grid = find("grid"), one = find("one");
const space = document.createElement("div");
space.id = "space";
grid.append(space);

const GAP = 4, PAGE = 500, AHEAD = 2;
// Browsers draw nothing below some 16 million pixels: higher grids are scrolled in proportion
const HIGHEST = 8_000_000;

let total = 0, search = "", chosen = 0, edge = 96, asked = 0;
let pages = new Map(); // by number of the page: its images, or the promise of them
const cells = new Map(); // by place: the cell that shows it

async function json(path) {
  const answer = await fetch(path);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error ?? answer.statusText);
  return found;
}

const list = (start, count) =>
  json(`list?start=${start}&count=${count}&search=${encodeURIComponent(search)}`);

// The image at a place of the list; a promise only while its page is on the way
function at(place) {
  const number = Math.floor(place / PAGE);
  const page = pages.get(number);
  if (page instanceof Array) return page[place % PAGE];
  if (!page) {
    const mine = pages;
    const coming = list(number * PAGE, PAGE).then((found) => { mine.set(number, found.images); });
    pages.set(number, coming);
  }
  return pages.get(number).then(() => at(place));
}

async function restart() {
  const turn = ++asked;
  const found = await list(0, PAGE);
  if (turn !== asked) return; // something else was asked for meanwhile
  pages = new Map([[0, found.images]]);
  total = found.total;
  chosen = 0;
  document.title = `${found.title} - bitsback`;
  find("title").textContent = found.title;
  find("count").textContent = `${total.toLocaleString("en")} image${total === 1 ? "" : "s"}${search ? " found" : ""}`;
  clear();
  grid.scrollTop = 0;
  draw();
}

function clear() {
  for (const cell of cells.values()) cell.remove();
  cells.clear();
}

const columns = () => Math.max(1, Math.floor((grid.clientWidth - GAP) / (edge + GAP)));
// Cells are a little larger than asked for, so that a row fills the width
const pitch = () => Math.max(edge + GAP, (grid.clientWidth - GAP) / columns());
const rows = () => Math.ceil(total / columns());
const height = () => rows() * pitch() + GAP;

// How far down in the whole grid the upper edge of the window is
function top() {
  const most = space.offsetHeight - grid.clientHeight;
  return height() <= HIGHEST ? grid.scrollTop : (grid.scrollTop / most) * (height() - grid.clientHeight);
}

function draw() {
  space.style.height = `${Math.min(height(), HIGHEST)}px`;
  const across = columns(), from = top(), shift = grid.scrollTop - from;
  const first = Math.max(0, Math.floor(from / pitch()) - AHEAD) * across;
  const last = Math.min(total, (Math.ceil((from + grid.clientHeight) / pitch()) + AHEAD) * across);
  for (const [place, cell] of cells) {
    if (place < first || place >= last) { cell.remove(); cells.delete(place); }
  }
  for (let place = first; place < last; place++) {
    const cell = cells.get(place) ?? make(place);
    cell.style.transform = `translate(${GAP + (place % across) * pitch()}px, ${GAP + Math.floor(place / across) * pitch() + shift}px)`;
    cell.style.width = cell.style.height = `${pitch() - GAP}px`;
    cell.classList.toggle("chosen", place === chosen);
  }
}

function make(place) {
  const cell = document.createElement("div");
  cell.className = "cell";
  cell.addEventListener("click", () => { chosen = place; draw(); open(); });
  cells.set(place, cell);
  space.append(cell);
  const show = (image) => {
    if (!image || cells.get(place) !== cell) return; // scrolled past meanwhile
    const [number, name, tall, wide] = image;
    const picture = new Image();
    picture.alt = cell.title = name;
    picture.decoding = "async";
    picture.onerror = () => cell.classList.add("bad");
    picture.src = `picture/${number}?edge=${edge * (window.devicePixelRatio > 1 ? 2 : 1)}`;
    cell.classList.toggle("small", tall > 0 && Math.max(tall, wide) < edge);
    cell.append(picture);
  };
  const image = at(place);
  image instanceof Promise ? image.then(show, () => cell.classList.add("bad")) : show(image);
  return cell;
}

function choose(place) {
  if (!total) return;
  chosen = Math.max(0, Math.min(total - 1, place));
  const upper = Math.floor(chosen / columns()) * pitch(), lower = upper + pitch() + GAP;
  const from = top();
  const wanted = upper < from ? upper : lower > from + grid.clientHeight ? lower - grid.clientHeight : from;
  if (wanted !== from) {
    const scale = height() <= HIGHEST ? 1 : (space.offsetHeight - grid.clientHeight) / (height() - grid.clientHeight);
    grid.scrollTop = wanted * scale;
  }
  draw();
}

// One image --------------------------------------------------------------------------------------------------------

const bytes = (n) => `${n.toLocaleString("en")} byte${n === 1 ? "" : "s"}`;
let shown = null, bitsShown = false;

async function open() {
  const image = await at(chosen);
  if (!image) return;
  const [number, name] = image;
  find("name").textContent = name;
  if (!one.open) one.showModal();
  find("said").textContent = "";
  find("table").hidden = true;
  picture(number, false);
  find("before").disabled = chosen === 0;
  find("after").disabled = chosen === total - 1;
  shown = number;
  const facts = await json(`facts/${number}`).catch((error) => say(error.message));
  if (!facts || shown !== number) return;
  shown = number;
  const { block } = facts;
  const rows = {
    image: facts.of > 1 ? `${(facts.place + 1).toLocaleString("en")} of ${facts.of.toLocaleString("en")} in the file` : "",
    size: facts.shape ? `${facts.shape[1]} x ${facts.shape[0]}${facts.shape[2] > 1 ? `, ${facts.shape[2]} channels` : ""}, ${facts.dtype}` : "as in the JPEG file",
    file: facts.file === null ? "only its pixels were kept" : bytes(facts.file),
    "coded by": facts.how,
    "in the archive": `about ${bytes(facts.share)}`,
    "in a block of": `${block.images.toLocaleString("en")} image${block.images === 1 ? "" : "s"}, ${bytes(block.bytes)}`,
  };
  find("facts").replaceChildren(...Object.entries(rows).filter(([, value]) => value).flatMap(([key, value]) => {
    const term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = key;
    text.textContent = value;
    return [term, text];
  }));
  find("bits").hidden = !facts.bits;
  find("sizes").dataset.share = facts.share;
}

function say(text) { find("said").textContent = text; }

function picture(number, bits) {
  const full = find("full");
  bitsShown = bits;
  find("bits").textContent = bits ? "The image" : "Where its bits went";
  full.alt = find("name").textContent;
  full.onerror = () => say("this image cannot be shown");
  full.onload = () => {
    // Small ones are enlarged by a whole number, up to what fits
    const stage = full.parentElement;
    const fit = Math.min(stage.clientWidth / full.naturalWidth, (window.innerHeight * 0.6) / full.naturalHeight);
    full.style.width = fit >= 2 ? `${full.naturalWidth * Math.min(Math.floor(fit), 16)}px` : "";
  };
  full.src = bits ? `bits/${number}` : `picture/${number}`;
}

async function sizes() {
  const number = shown;
  say("trying other formats ...");
  const found = await json(`sizes/${number}`).catch((error) => say(error.message));
  if (!found || shown !== number) return;
  say("");
  const lines = [["in this archive, about", Number(find("sizes").dataset.share), true], ...Object.entries(found)];
  lines.sort((a, b) => a[1] - b[1]);
  find("table").tBodies[0].replaceChildren(...lines.map(([name, size, ours]) => {
    const line = document.createElement("tr");
    if (ours) line.className = "ours";
    for (const text of [name, size.toLocaleString("en")]) line.insertCell().textContent = text;
    return line;
  }));
  find("table").hidden = false;
  find("table").scrollIntoView({ block: "nearest" });
}

function step(by) {
  const before = chosen;
  choose(chosen + by);
  if (chosen !== before) open();
}

// What is done to the page ------------------------------------------------------------------------------------------

let waiting = 0;
const soon = () => { waiting ||= requestAnimationFrame(() => { waiting = 0; draw(); }); };
grid.addEventListener("scroll", soon, { passive: true });
new ResizeObserver(() => choose(chosen)).observe(grid);

grid.addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(grid.clientHeight / pitch())) * columns();
  const moves = {
    ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns(),
    PageUp: -page, PageDown: page, Home: -total, End: total,
  };
  if (event.key in moves) choose(chosen + moves[event.key]);
  else if (event.key === "Enter") open();
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target.tagName !== "INPUT" && !one.open) { find("search").focus(); event.preventDefault(); }
  if (one.open && event.key === "ArrowLeft") step(-1);
  if (one.open && event.key === "ArrowRight") step(1);
});
one.addEventListener("close", () => grid.focus());
find("before").addEventListener("click", () => step(-1));
find("after").addEventListener("click", () => step(1));
find("close").addEventListener("click", () => one.close());
find("sizes").addEventListener("click", sizes);
find("bits").addEventListener("click", () => picture(shown, !bitsShown));

let typing = 0;
find("search").addEventListener("input", (event) => {
  clearTimeout(typing);
  typing = setTimeout(() => { search = event.target.value; restart(); }, 150);
});
find("edge").addEventListener("input", (event) => { edge = Number(event.target.value); clear(); choose(chosen); });

restart().then(() => grid.focus({ preventScroll: true }), (error) => { find("count").textContent = error.message; });
