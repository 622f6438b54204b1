// The page of `genga review`: shows what `state` lists and sends every change to `override` at once.

const BATCH = 120; // tiles built at a time, more as the page is scrolled
const $ = (id) => document.getElementById(id);

let groups = [];
let pictures = [];
let byId = new Map();
const duplicates = new Map(); // id of a kept picture -> ids of its near-duplicates
let overrides = new Map(); // id -> "keep" or "drop"
let filter = "all";
let shown = []; // pictures that pass the filters, in the order of the page
let tiles = []; // their tiles, as far as they have been built
let current = 0; // index of the tile that keys act on
const undoStack = []; // changes that can be undone: lists of [id, override before]
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
// A photograph is named by its id, a frame by its film and time.
const nameOf = (picture) => (picture.time_s == null ? picture.id : `${picture.source} ${clock(picture.time_s)}`);

// Filters

function passes(picture) {
  const source = $("source").value;
  if (source && picture.source !== source) return false;
  if (filter === "all") return true;
  return filter === "decided" ? overrides.has(picture.id) : picture.group === filter;
}

function showFilters() {
  const source = $("source").value;
  const here = pictures.filter((picture) => !source || picture.source === source);
  const chips = [["all", "All", here.length]];
  for (const { name, title } of groups) chips.push([name, title, here.filter((picture) => picture.group === name).length]);
  chips.push(["decided", "Decided by you", here.filter((picture) => overrides.has(picture.id)).length]);
  const focused = document.activeElement?.dataset?.filter;
  $("filters").replaceChildren(
    ...chips
      .filter(([name, , count]) => count || name === "all" || name === filter)
      .map(([name, title, count]) =>
        make("button", { "data-filter": name, "aria-pressed": name === filter, onclick: () => setFilter(name) }, title, make("span", {}, String(count))),
      ),
  );
  if (focused) $("filters").querySelector(`[data-filter="${focused}"]`)?.focus();
}

function setFilter(name) {
  filter = name;
  rebuild();
}

// Tiles

function rebuild() {
  showFilters();
  $("filters").querySelector("[aria-pressed=true]").scrollIntoView({ block: "nearest", inline: "nearest" });
  const order = new Map(groups.map((group, index) => [group.name, index]));
  shown = pictures.filter(passes).sort((a, b) => order.get(a.group) - order.get(b.group)); // sort is stable
  tiles = [];
  current = 0;
  $("main").replaceChildren();
  if (!shown.length) $("main").append(make("p", { class: "note" }, "No pictures here."));
  addTiles();
  scrollTo(0, 0);
}

function addTiles(least = BATCH) {
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
      if (entry.target === tiles.at(-1)) addTiles();
    }
  },
  { rootMargin: "1500px" },
);

function gridFor(name) {
  const last = $("main").lastElementChild;
  if (last?.dataset.group === name) return last.lastElementChild;
  const { title, text } = groups.find((group) => group.name === name);
  const count = shown.filter((picture) => picture.group === name).length;
  const grid = make("ul", { class: ["near_duplicate", "exact_copy"].includes(name) ? "tiles pairs" : "tiles" });
  const heading = make("h2", { id: `group-${name}` }, title, " ", make("small", {}, String(count)));
  $("main").append(make("section", { "data-group": name, "aria-labelledby": heading.id }, heading, make("p", {}, text), grid));
  return grid;
}

const thumbnail = (id) => make("img", { src: address("thumb", id), alt: "", loading: "lazy", decoding: "async" });

function makeTile(picture, index) {
  const original = byId.get(picture.duplicate_of);
  const copies = duplicates.get(picture.id)?.length;
  const preview = make(
    "button",
    { class: "pic", tabindex: index ? -1 : 0, "aria-label": `${nameOf(picture)}, ${titleOf(picture.group)}, ${picture.score}: enlarge` },
    make("span", {}, thumbnail(picture.id)),
  );
  if (original) {
    preview.firstElementChild.append(make("i", {}, "dropped"));
    preview.append(make("span", {}, thumbnail(original.id), make("i", {}, `kept: ${nameOf(original)}`)));
  }
  const caption = make("p", { class: "caption" }, make("b", {}, nameOf(picture)), make("br"), [picture.score, copies && `${copies} near-duplicates dropped`].filter(Boolean).join(" · "));
  const button = (override, text) =>
    make("button", { class: override, tabindex: index ? -1 : 0, "aria-label": `${text} ${nameOf(picture)}` }, text);
  const actions = make("div", { class: "actions" }, button("keep", "Keep"), button("drop", "Drop"));
  const tile = make("li", { class: "tile", "data-id": picture.id, "data-index": index }, preview, caption, actions);
  showOverride(tile, picture.id);
  return tile;
}

function showOverride(element, id) {
  const override = overrides.get(id);
  element.classList.toggle("is-keep", override === "keep");
  element.classList.toggle("is-drop", override === "drop");
  for (const name of ["keep", "drop"]) element.querySelector(`.actions .${name}`).setAttribute("aria-pressed", override === name);
}

$("main").addEventListener("focusin", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) setCurrent(Number(tile.dataset.index));
});

$("main").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  setCurrent(Number(button.closest(".tile").dataset.index));
  if (button.classList.contains("pic")) enlarge();
  else toggle(button.className);
});

// Navigation

/** Makes a tile the one that keys act on, and the only one in the tab order. */
function setCurrent(index) {
  for (const [position, value] of [[current, -1], [index, 0]]) {
    for (const button of tiles[position]?.querySelectorAll("button") ?? []) button.tabIndex = value;
    tiles[position]?.classList.toggle("is-current", value === 0);
  }
  current = index;
}

function moveTo(index, focus = true) {
  if (!shown.length) return;
  const position = Math.max(0, Math.min(index, shown.length - 1));
  if (position >= tiles.length) addTiles(position - tiles.length + 1);
  setCurrent(position);
  if ($("large").open) enlarge();
  else if (focus) tiles[position].querySelector(".pic").focus({ preventScroll: true });
  tiles[position].scrollIntoView({ block: "nearest" });
}

/** Returns the index of the tile below (1) or above (-1) the current one. */
function indexInRow(step) {
  const middle = (tile) => tile.getBoundingClientRect().left + tile.offsetWidth / 2;
  const here = tiles[current];
  let best = null;
  let row = null;
  for (let position = current + step; position >= 0 && position < shown.length; position += step) {
    if (position >= tiles.length) addTiles();
    const top = tiles[position].getBoundingClientRect().top;
    if (Math.abs(top - here.getBoundingClientRect().top) < 2) continue;
    row ??= top;
    if (Math.abs(top - row) >= 2) break;
    if (best === null || Math.abs(middle(tiles[position]) - middle(here)) < Math.abs(middle(tiles[best]) - middle(here))) best = position;
  }
  return best ?? current;
}

function nextFilter(step) {
  const chips = [...$("filters").children];
  const position = chips.findIndex((chip) => chip.dataset.filter === filter);
  setFilter(chips.at((position + step) % chips.length).dataset.filter);
  moveTo(0);
}

// Enlarged picture

function figure(picture, text) {
  return make("figure", {}, make("img", { src: address("large", picture.id), alt: `${nameOf(picture)}` }), make("figcaption", {}, text));
}

function enlarge() {
  const picture = shown[current];
  if (!picture) return;
  const original = byId.get(picture.duplicate_of);
  $("large-pictures").replaceChildren(figure(picture, original ? "dropped" : ""), ...(original ? [figure(original, `kept instead: ${nameOf(original)}`)] : []));
  $("caption").replaceChildren(make("b", {}, nameOf(picture)), ` · ${titleOf(picture.group)} · ${picture.score}`);
  showOverride($("large"), picture.id);
  if (!$("large").open) $("large").showModal();
}

$("large").addEventListener("close", () => moveTo(current));

// Decisions

function toggle(override) {
  const picture = shown[current];
  if (picture) decide([picture.id], overrides.get(picture.id) === override ? null : override);
}

function dropWithDuplicates() {
  const picture = shown[current];
  if (!picture) return;
  const first = byId.has(picture.duplicate_of) ? picture.duplicate_of : picture.id;
  decide([first, ...(duplicates.get(first) ?? [])], "drop");
}

function decide(ids, override) {
  const before = ids.map((id) => [id, overrides.get(id) ?? null]);
  undoStack.push(before);
  save(ids.map((id) => [id, override]));
  const what = { keep: "Kept", drop: "Dropped" }[override] ?? "Left to dedup";
  showStatus(`${what}: ${ids.length > 1 ? `${ids.length} pictures` : nameOf(byId.get(ids[0]))}`);
}

function undo() {
  const before = undoStack.pop();
  if (!before) return;
  save(before);
  const position = shown.findIndex((picture) => picture.id === before[0][0]);
  if (position >= 0 && position < tiles.length) moveTo(position);
  showStatus(`Undone: ${before.length > 1 ? `${before.length} pictures` : nameOf(byId.get(before[0][0]))}`);
}

/** Shows overrides at once and saves them in order; a change that cannot be saved is reverted. */
function save(changes) {
  const before = changes.map(([id]) => [id, overrides.get(id) ?? null]);
  apply(changes);
  document.body.dataset.saving = "yes";
  const request = saving.then(async () => {
    try {
      for (const override of ["keep", "drop", null]) {
        const ids = changes.filter((change) => change[1] === override).map(([id]) => id);
        if (ids.length) showPending((await send("override", { ids, override })).pending);
      }
      $("alert").hidden = true;
    } catch (error) {
      apply(before);
      showError(error);
    }
    if (saving === request) delete document.body.dataset.saving;
  });
  saving = request;
}

function apply(changes) {
  for (const [id, override] of changes) {
    if (override) overrides.set(id, override);
    else overrides.delete(id);
  }
  const changed = new Set(changes.map(([id]) => id));
  for (const tile of tiles) if (changed.has(tile.dataset.id)) showOverride(tile, tile.dataset.id);
  if ($("large").open) showOverride($("large"), shown[current].id);
  $("undo").disabled = !undoStack.length;
  showFilters();
}

async function send(path, body) {
  let response;
  try {
    response = await fetch(path, body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  } catch {
    throw new Error("genga review has stopped: start it again and open the address it prints");
  }
  const reply = await response.json();
  if (!response.ok) throw new Error(reply.error);
  return reply;
}

// Messages

function showPending(count) {
  $("pending").replaceChildren(
    ...(count ? [make("b", {}, `${count} ${count === 1 ? "change" : "changes"}`), " saved; next: ", make("code", {}, "dvc repro report")] : ["No changes."]),
  );
}

let statusTimer;
function showStatus(text) {
  $("status").textContent = text;
  clearTimeout(statusTimer);
  statusTimer = setTimeout(() => $("status").replaceChildren(), 4000);
}

function showError(error) {
  $("alert").textContent = `Not saved: ${error.message}`;
  $("alert").hidden = false;
}

// Keys

const KEYS = {
  ArrowLeft: () => moveTo(current - 1),
  ArrowRight: () => moveTo(current + 1),
  ArrowUp: () => moveTo(indexInRow(-1)),
  ArrowDown: () => moveTo(indexInRow(1)),
  Home: () => moveTo(0),
  g: () => nextFilter(1),
  G: () => nextFilter(-1),
  k: () => toggle("keep"),
  d: () => toggle("drop"),
  D: dropWithDuplicates,
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
$("source").addEventListener("change", rebuild);
for (const [name, act] of [["previous", KEYS.ArrowLeft], ["next", KEYS.ArrowRight], ["keep", KEYS.k], ["drop", KEYS.d], ["close", () => $("large").close()]]) {
  $("large").querySelector(`.${name}`).addEventListener("click", act);
}

async function start() {
  try {
    const state = await send("state");
    ({ groups, pictures } = state);
    byId = new Map(pictures.map((picture) => [picture.id, picture]));
    for (const { duplicate_of } of pictures) if (duplicate_of) duplicates.set(duplicate_of, []);
    for (const { id, duplicate_of } of pictures) if (duplicate_of) duplicates.get(duplicate_of).push(id);
    overrides = new Map(Object.entries(state.overrides));
    const sources = [...new Set(pictures.map((picture) => picture.source))];
    $("source").append(make("option", { value: "" }, "all"), ...sources.map((name) => make("option", { value: name }, name)));
    $("source").closest("label").hidden = sources.length < 2;
    showPending(state.pending);
    rebuild();
    setCurrent(0);
  } catch (error) {
    $("main").replaceChildren();
    $("alert").textContent = error.message;
    $("alert").hidden = false;
  }
  $("main").setAttribute("aria-busy", "false");
}

start();
