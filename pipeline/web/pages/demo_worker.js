// Runs the model, away from the page, so that the page stays alive.

const PHOTO = "photo", PICTURE = "picture";
const SIDE = 40; // of the picture by which a graphics card is tried
const ALIKE = 3; // levels by which it may differ

let ort = null;
let card = false; // whether there is a graphics card
let session = null;

class Kind extends Error {} // what a person can make something of

async function engine() {
  if (ort) return;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  ort = await import(adapter ? "./ort/ort.webgpu.min.mjs" : "./ort/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency ?? 1, 8) : 1;
  ort.env.logLevel = "error";
  card = Boolean(adapter);
}

async function fetched(url) {
  const answer = await fetch(url).catch(() => null);
  if (!answer?.ok) throw new Kind(`The model could not be loaded (${answer ? `${url}: ${answer.status}` : "no connection"}). Try again, or choose another model.`);
  const total = Number(answer.headers.get("Content-Length"));
  const parts = [];
  let received = 0;
  const reader = answer.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    received += part.value.length;
    self.postMessage({ kind: "loading", received, total });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function run(on, bytes, width, height) {
  const given = new ort.Tensor("uint8", bytes, [1, height, width, 3]);
  const found = await on.run({ [PHOTO]: given });
  const data = await found[PICTURE].getData();
  for (const tensor of [given, ...Object.values(found)]) tensor.dispose();
  return data;
}

// A graphics card is trusted once it has drawn a small picture as the processor does.
async function proven(model, plain) {
  const trial = Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, n) => (n * n * 7 + n * 13) >> 5);
  try {
    const fast = await ort.InferenceSession.create(model, { executionProviders: ["webgpu", "wasm"] });
    const [one, other] = [await run(plain, trial, SIDE, SIDE), await run(fast, trial, SIDE, SIDE)];
    if (one.every((value, n) => Math.abs(value - other[n]) <= ALIKE)) return fast;
    await fast.release();
  } catch {
    // It cannot run this model: the processor can.
  }
  return null;
}

async function load(url) {
  await session?.release();
  session = null;
  const model = await fetched(url);
  await engine();
  let plain;
  try {
    plain = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  } catch {
    throw new Kind("This model is damaged, or not one that this page can run. Choose another, or tell whoever put it up.");
  }
  const fast = card ? await proven(model, plain) : null;
  if (fast) await plain.release();
  session = fast ?? plain;
  const cores = ort.env.wasm.numThreads;
  self.postMessage({ kind: "ready", url, engine: fast ? "the graphics card (WebGPU)" : `the processor, ${cores} ${cores > 1 ? "threads" : "thread"}` });
}

async function draw({ id, pixels, width, height }) {
  const start = performance.now();
  const bytes = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < pixels.length; from += 4, to += 3) {
    bytes[to] = pixels[from];
    bytes[to + 1] = pixels[from + 1];
    bytes[to + 2] = pixels[from + 2];
  }
  let drawn;
  try {
    drawn = await run(session, bytes, width, height);
  } catch {
    throw new Kind(`There was not memory enough for ${width} × ${height} pixels. Close other pages, or give a smaller photo.`);
  }
  for (let from = 0, to = 0; from < drawn.length; from += 3, to += 4) {
    pixels[to] = drawn[from];
    pixels[to + 1] = drawn[from + 1];
    pixels[to + 2] = drawn[from + 2];
    pixels[to + 3] = 255;
  }
  self.postMessage({ kind: "drawn", id, pixels, width, height, seconds: (performance.now() - start) / 1000 }, [pixels.buffer]);
}

let last = Promise.resolve();
self.onmessage = ({ data }) => {
  last = last
    .then(() => (data.kind === "load" ? load(data.url) : draw(data)))
    .catch((error) => {
      const text = error instanceof Kind ? error.message : `This page could not redraw it (${error.message}). Reload the page, or try another browser.`;
      self.postMessage({ kind: "fault", text });
    });
};
