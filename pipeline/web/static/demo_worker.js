// Runs the model in a worker, so that the page stays responsive.

import { shrink, upscaleDrawing, workingSize } from "./upscaling.js";

const INPUT = "photo";
const OUTPUT = "picture";
const TEST_SIZE = 40; // side of the picture that a GPU is tested with
const MAX_DIFFERENCE = 3; // levels by which its result may differ from the CPU's

let ort = null;
let hasGpu = false;
let session = null;
let workingPx = 0; // long side of the pictures that the model sees

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

async function load({ url, working_px }) {
  workingPx = working_px;
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
  const photo = { width, height, values: pixels };
  let result;
  try {
    const small = shrink(photo, ...workingSize(width, height, workingPx));
    const drawn = await run(session, new Uint8Array(small.values.buffer), small.width, small.height);
    result = upscaleDrawing({ ...small, values: drawn }, photo);
  } catch {
    throw new UserError(`There is not enough memory for ${width} × ${height} pixels. Close other pages, or use a smaller photo.`);
  }
  const seconds = (performance.now() - start) / 1000;
  self.postMessage({ kind: "drawn", id, pixels: result, width, height, seconds }, [result.buffer]);
}

let queue = Promise.resolve();
self.onmessage = ({ data }) => {
  queue = queue
    .then(() => (data.kind === "load" ? load(data) : draw(data)))
    .catch((error) => {
      const text = error instanceof UserError ? error.message : `The photo could not be redrawn (${error.message}). Reload the page, or try another browser.`;
      self.postMessage({ kind: "error", text });
    });
};
