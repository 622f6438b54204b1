// The page of `genga review`. What it knows comes from `state`; every change goes to `decide` at once.
"use strict";

const BATCH = 120; // pictures built at a time, more as the page is scrolled
const $ = (id) => document.getElementById(id);

let groups = [];
let pictures = [];
let byId = new Map();
let alike = new Map(); // id of a kept picture -> ids of its near-duplicates
let verdicts = new Map();
let filter = "all";
let shown = []; // pictures that the filters let through, in the page's order
let tiles = []; // their tiles, as far as they are built
let current = 0;
const done = []; // changes that can be taken back: lists of [id, verdict before]
let saving = Promise.resolve();

function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const rest = `${two(whole % 60)}.${Math.floor((seconds - whole) * 10)}`;
  return whole < 3600 ? `${Math.floor(whole / 60)}:${rest}` : `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${rest}`;
}

const address = (size, id) => `${size}/${encodeURIComponent(id)}`;
const titleOf = (name) => groups.find((group) => group.name === name).title;
// A photograph is known by its name, a frame by its film and second.
const nameOf = (picture) => (picture.time_s == null ? picture.id : `${picture.source} ${clock(picture.time_s)}`);

// Filters

function passes(picture) {
  const source = $("source").value;
  if (source && picture.source !== source) return false;
  if (filter === "all") return true;
  return filter === "mine" ? verdicts.has(picture.id) : picture.group === filter;
}

function showFilters() {
  const source = $("source").value;
  const here = pictures.filter((picture) => !source || picture.source === source);
  const chips = [["all", "All", here.length]];
  for (const { name, title } of groups) chips.push([name, title, here.filter((picture) => picture.group === name).length]);
  chips.push(["mine", "Decided by you", here.filter((picture) => verdicts.has(picture.id)).length]);
  const focused = document.activeElement?.dataset?.filter;
  $("filters").replaceChildren(
    ...chips
      .filter(([name, , count]) => count || name === "all" || name === filter)
      .map(([name, title, count]) =>
        make("button", { "data-filter": name, "aria-pressed": name === filter, onclick: () => choose(name) }, title, make("span", {}, String(count))),
      ),
  );
  if (focused) $("filters").querySelector(`[data-filter="${focused}"]`)?.focus();
}

function choose(name) {
  filter = name;
  build();
}

// Tiles

function build() {
  showFilters();
  $("filters").querySelector("[aria-pressed=true]").scrollIntoView({ block: "nearest", inline: "nearest" });
  const order = new Map(groups.map((group, index) => [group.name, index]));
  shown = pictures.filter(passes).sort((a, b) => order.get(a.group) - order.get(b.group)); // sort is stable
  tiles = [];
  current = 0;
  $("main").replaceChildren();
  if (!shown.length) $("main").append(make("p", { class: "note" }, "No pictures here."));
  grow();
  scrollTo(0, 0);
}

function grow(least = BATCH) {
  const end = Math.min(shown.length, tiles.length + Math.max(BATCH, least));
  while (tiles.length < end) {
    const picture = shown[tiles.length];
    const tile = makeTile(picture, tiles.length);
    tiles.push(tile);
    gridFor(picture.group).append(tile);
  }
  if (tiles.length < shown.length) watcher.observe(tiles.at(-1));
}

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      if (entry.target === tiles.at(-1)) grow();
    }
  },
  { rootMargin: "1500px" },
);

function gridFor(name) {
  const there = $("main").lastElementChild;
  if (there?.dataset.group === name) return there.lastElementChild;
  const { title, text } = groups.find((group) => group.name === name);
  const count = shown.filter((picture) => picture.group === name).length;
  const grid = make("ul", { class: name === "near_duplicate" ? "grid pairs" : "grid" });
  const heading = make("h2", { id: `group-${name}` }, title, " ", make("small", {}, String(count)));
  $("main").append(make("section", { "data-group": name, "aria-labelledby": heading.id }, heading, make("p", {}, text), grid));
  return grid;
}

function makeTile(picture, index) {
  const original = byId.get(picture.duplicate_of);
  const twins = alike.get(picture.id)?.length;
  const look = make(
    "button",
    { class: "pic", tabindex: index ? -1 : 0, "aria-label": `${nameOf(picture)}, ${titleOf(picture.group)}, ${picture.score}: see it large` },
    make("span", {}, make("img", { src: address("thumb", picture.id), alt: "", loading: "lazy", decoding: "async" })),
  );
  if (original) {
    look.firstElementChild.append(make("i", {}, "dropped"));
    look.append(make("span", {}, make("img", { src: address("thumb", original.id), alt: "", loading: "lazy", decoding: "async" }), make("i", {}, `kept: ${nameOf(original)}`)));
  }
  const caption = make("p", { class: "cap" }, make("b", {}, nameOf(picture)), make("br"), [picture.score, twins && `${twins} alike dropped`].filter(Boolean).join(" · "));
  const button = (verdict, text) =>
    make("button", { class: verdict, tabindex: index ? -1 : 0, "aria-label": `${text} ${nameOf(picture)}` }, text);
  const acts = make("div", { class: "acts" }, button("keep", "Keep"), button("drop", "Drop"));
  const tile = make("li", { class: "tile", "data-id": picture.id, "data-index": index }, look, caption, acts);
  showVerdict(tile, picture.id);
  return tile;
}

function showVerdict(element, id) {
  const verdict = verdicts.get(id);
  element.classList.toggle("is-keep", verdict === "keep");
  element.classList.toggle("is-drop", verdict === "drop");
  for (const name of ["keep", "drop"]) element.querySelector(`.acts .${name}`).setAttribute("aria-pressed", verdict === name);
}

$("main").addEventListener("focusin", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) mark(Number(tile.dataset.index));
});

$("main").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  mark(Number(button.closest(".tile").dataset.index));
  if (button.classList.contains("pic")) enlarge();
  else toggle(button.className);
});

// Moving

/** Makes a tile the one that keys work on, and the only one that Tab stops at. */
function mark(index) {
  for (const [place, value] of [[current, -1], [index, 0]]) {
    for (const button of tiles[place]?.querySelectorAll("button") ?? []) button.tabIndex = value;
    tiles[place]?.classList.toggle("is-current", value === 0);
  }
  current = index;
}

function go(index, focus = true) {
  if (!shown.length) return;
  const place = Math.max(0, Math.min(index, shown.length - 1));
  if (place >= tiles.length) grow(place - tiles.length + 1);
  mark(place);
  if ($("large").open) enlarge();
  else if (focus) tiles[place].querySelector(".pic").focus({ preventScroll: true });
  tiles[place].scrollIntoView({ block: "nearest" });
}

/** The tile under (1) or over (-1) the current one. */
function vertical(step) {
  const middle = (tile) => tile.getBoundingClientRect().left + tile.offsetWidth / 2;
  const here = tiles[current];
  let best = null;
  let row = null;
  for (let place = current + step; place >= 0 && place < shown.length; place += step) {
    if (place >= tiles.length) grow();
    const top = tiles[place].getBoundingClientRect().top;
    if (Math.abs(top - here.getBoundingClientRect().top) < 2) continue;
    row ??= top;
    if (Math.abs(top - row) >= 2) break;
    if (best === null || Math.abs(middle(tiles[place]) - middle(here)) < Math.abs(middle(tiles[best]) - middle(here))) best = place;
  }
  return best ?? current;
}

function nextFilter(step) {
  const chips = [...$("filters").children];
  const place = chips.findIndex((chip) => chip.dataset.filter === filter);
  choose(chips.at((place + step) % chips.length).dataset.filter);
  go(0);
}

// Large

function figure(picture, text) {
  return make("figure", {}, make("img", { src: address("large", picture.id), alt: `${nameOf(picture)}` }), make("figcaption", {}, text));
}

function enlarge() {
  const picture = shown[current];
  if (!picture) return;
  const original = byId.get(picture.duplicate_of);
  $("stage").replaceChildren(figure(picture, original ? "dropped" : ""), ...(original ? [figure(original, `kept instead: ${nameOf(original)}`)] : []));
  $("caption").replaceChildren(make("b", {}, nameOf(picture)), ` · ${titleOf(picture.group)} · ${picture.score}`);
  showVerdict($("large"), picture.id);
  if (!$("large").open) $("large").showModal();
}

$("large").addEventListener("close", () => go(current));

// Deciding

function toggle(verdict) {
  const picture = shown[current];
  if (picture) decide([picture.id], verdicts.get(picture.id) === verdict ? null : verdict);
}

function dropFamily() {
  const picture = shown[current];
  if (!picture) return;
  const first = byId.has(picture.duplicate_of) ? picture.duplicate_of : picture.id;
  decide([first, ...(alike.get(first) ?? [])], "drop");
}

function decide(ids, verdict) {
  const before = ids.map((id) => [id, verdicts.get(id) ?? null]);
  done.push(before);
  send(ids.map((id) => [id, verdict]));
  const what = { keep: "Kept", drop: "Dropped" }[verdict] ?? "Left to dedup";
  say(`${what}: ${ids.length > 1 ? `${ids.length} pictures` : nameOf(byId.get(ids[0]))}`);
}

function undo() {
  const before = done.pop();
  if (!before) return;
  send(before);
  const place = shown.findIndex((picture) => picture.id === before[0][0]);
  if (place >= 0 && place < tiles.length) go(place);
  say(`Taken back: ${before.length > 1 ? `${before.length} pictures` : nameOf(byId.get(before[0][0]))}`);
}

/** Shows verdicts at once and saves them, one change after the other; what cannot be saved is shown as it was. */
function send(changes) {
  const before = changes.map(([id]) => [id, verdicts.get(id) ?? null]);
  apply(changes);
  document.body.dataset.saving = "yes";
  const mine = (saving = saving.then(async () => {
    try {
      for (const verdict of ["keep", "drop", null]) {
        const ids = changes.filter((change) => change[1] === verdict).map(([id]) => id);
        if (ids.length) showPending((await ask("decide", { ids, verdict })).pending);
      }
      $("alert").hidden = true;
    } catch (error) {
      apply(before);
      fail(error);
    }
    if (saving === mine) delete document.body.dataset.saving;
  }));
}

function apply(changes) {
  for (const [id, verdict] of changes) {
    if (verdict) verdicts.set(id, verdict);
    else verdicts.delete(id);
  }
  const changed = new Set(changes.map(([id]) => id));
  for (const tile of tiles) if (changed.has(tile.dataset.id)) showVerdict(tile, tile.dataset.id);
  if ($("large").open) showVerdict($("large"), shown[current].id);
  $("undo").disabled = !done.length;
  showFilters();
}

async function ask(path, body) {
  let response;
  try {
    response = await fetch(path, body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error("genga review has ended: start it again and open the address it tells");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// Telling

function showPending(count) {
  $("pending").replaceChildren(
    ...(count ? [make("b", {}, `${count} ${count === 1 ? "change" : "changes"}`), " saved; next: ", make("code", {}, "dvc repro")] : ["No change is waiting."]),
  );
}

let saidTimer;
function say(text) {
  $("said").textContent = text;
  clearTimeout(saidTimer);
  saidTimer = setTimeout(() => ($("said").textContent = ""), 4000);
}

function fail(error) {
  $("alert").textContent = `Not saved: ${error.message}`;
  $("alert").hidden = false;
}

// Keys

const KEYS = {
  ArrowLeft: () => go(current - 1),
  ArrowRight: () => go(current + 1),
  ArrowUp: () => go(vertical(-1)),
  ArrowDown: () => go(vertical(1)),
  Home: () => go(0),
  g: () => nextFilter(1),
  G: () => nextFilter(-1),
  k: () => toggle("keep"),
  d: () => toggle("drop"),
  D: dropFamily,
  u: undo,
  "?": () => $("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select") || $("keys").open) return;
  const key = event.key.length === 1 && !event.shiftKey ? event.key.toLowerCase() : event.key; // Caps Lock is not Shift
  if (!Object.hasOwn(KEYS, key)) return;
  event.preventDefault();
  KEYS[key]();
});

$("undo").addEventListener("click", undo);
$("help").addEventListener("click", KEYS["?"]);
$("source").addEventListener("change", build);
for (const [name, act] of [["back", KEYS.ArrowLeft], ["on", KEYS.ArrowRight], ["keep", KEYS.k], ["drop", KEYS.d], ["close", () => $("large").close()]]) {
  $("large").querySelector(`.${name}`).addEventListener("click", act);
}

async function start() {
  try {
    const state = await ask("state");
    ({ groups, pictures } = state);
    byId = new Map(pictures.map((picture) => [picture.id, picture]));
    for (const { duplicate_of: original } of pictures) if (original) alike.set(original, []);
    for (const { id, duplicate_of: original } of pictures) if (original) alike.get(original).push(id);
    verdicts = new Map(Object.entries(state.verdicts));
    const sources = [...new Set(pictures.map((picture) => picture.source))];
    $("source").append(make("option", { value: "" }, "all"), ...sources.map((name) => make("option", { value: name }, name)));
    $("source").closest("label").hidden = sources.length < 2;
    showPending(state.pending);
    build();
    mark(0);
  } catch (error) {
    $("main").replaceChildren();
    $("alert").textContent = error.message;
    $("alert").hidden = false;
  }
  $("main").setAttribute("aria-busy", "false");
}

start();
