// Runs the model in a worker, so that the page stays responsive.

const INPUT = "photo";
const OUTPUT = "picture";
const TEST_SIZE = 40; // side of the picture that a GPU is tested with
const MAX_DIFFERENCE = 3; // levels by which its result may differ from the CPU's

let ort = null;
let hasGpu = false;
let session = null;

class UserError extends Error {} // its message is shown as it is

async function loadRuntime() {
  if (ort) return;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  ort = await import(adapter ? "./ort/ort.webgpu.min.mjs" : "./ort/ort.wasm.min.mjs");
  ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency ?? 1, 8) : 1;
  ort.env.logLevel = "error";
  hasGpu = Boolean(adapter);
}

async function download(url) {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok) throw new UserError(`The model could not be loaded (${response ? `${url}: ${response.status}` : "no connection"}). Try again, or choose another model.`);
  const total = Number(response.headers.get("Content-Length"));
  const parts = [];
  let received = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    received += part.value.length;
    self.postMessage({ kind: "loading", received, total });
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function run(session, bytes, width, height) {
  const input = new ort.Tensor("uint8", bytes, [1, height, width, 3]);
  const outputs = await session.run({ [INPUT]: input });
  const data = await outputs[OUTPUT].getData();
  for (const tensor of [input, ...Object.values(outputs)]) tensor.dispose();
  return data;
}

/** Returns a session on the GPU if its result for a small picture agrees with the CPU's, else null. */
async function gpuSession(model, cpu) {
  const picture = Uint8Array.from({ length: TEST_SIZE * TEST_SIZE * 3 }, (_, n) => (n * n * 7 + n * 13) >> 5);
  try {
    const gpu = await ort.InferenceSession.create(model, { executionProviders: ["webgpu", "wasm"] });
    const [one, other] = [await run(cpu, picture, TEST_SIZE, TEST_SIZE), await run(gpu, picture, TEST_SIZE, TEST_SIZE)];
    if (one.every((value, n) => Math.abs(value - other[n]) <= MAX_DIFFERENCE)) return gpu;
    await gpu.release();
  } catch {
    // The GPU cannot run this model; the CPU can.
  }
  return null;
}

async function load(url) {
  await session?.release();
  session = null;
  const model = await download(url);
  await loadRuntime();
  let cpu;
  try {
    cpu = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  } catch {
    throw new UserError("This model is damaged or cannot run on this page. Choose another, or tell whoever published the page.");
  }
  const gpu = hasGpu ? await gpuSession(model, cpu) : null;
  if (gpu) await cpu.release();
  session = gpu ?? cpu;
  const cores = ort.env.wasm.numThreads;
  self.postMessage({ kind: "ready", url, engine: gpu ? "the graphics card (WebGPU)" : `the processor, ${cores} ${cores > 1 ? "threads" : "thread"}` });
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
    throw new UserError(`There is not enough memory for ${width} × ${height} pixels. Close other pages, or use a smaller photo.`);
  }
  for (let from = 0, to = 0; from < drawn.length; from += 3, to += 4) {
    pixels[to] = drawn[from];
    pixels[to + 1] = drawn[from + 1];
    pixels[to + 2] = drawn[from + 2];
    pixels[to + 3] = 255;
  }
  self.postMessage({ kind: "drawn", id, pixels, width, height, seconds: (performance.now() - start) / 1000 }, [pixels.buffer]);
}

let queue = Promise.resolve();
self.onmessage = ({ data }) => {
  queue = queue
    .then(() => (data.kind === "load" ? load(data.url) : draw(data)))
    .catch((error) => {
      const text = error instanceof UserError ? error.message : `The photo could not be redrawn (${error.message}). Reload the page, or try another browser.`;
      self.postMessage({ kind: "error", text });
    });
};
