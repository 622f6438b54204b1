// The demo page: passes the pixels of a photo to the worker and shows the result. Nothing leaves the browser.

const $ = (id) => document.getElementById(id);
let config = { models: [], max_megapixels: 1 };
let worker = null;
let loaded = null; // file of the model that the worker has loaded
let input = null; // pixels of the photo, and its size
let photoName = "photo";
let request = 0; // number of the latest request; results of earlier ones are ignored
let secondsPerMegapixel = null; // as last measured
let progressTimer = 0;

// Messages

function showStatus(text) {
  $("said").textContent = text;
}

function showError(text) {
  stopProgress();
  showStatus("");
  $("offer").hidden = true;
  $("alert").textContent = text;
  $("alert").hidden = false;
}

function stopProgress() {
  clearInterval(progressTimer);
  $("working").hidden = true;
  document.body.removeAttribute("aria-busy");
}

function startProgress(text) {
  $("alert").hidden = true;
  $("offer").hidden = true;
  $("progress").removeAttribute("value");
  $("working").hidden = false;
  document.body.setAttribute("aria-busy", "true");
  showStatus(text);
}

// The worker

function restart() {
  worker?.terminate();
  loaded = null;
  worker = new Worker("demo_worker.js", { type: "module" });
  worker.onmessage = ({ data }) => handlers[data.kind](data);
  worker.onerror = (event) => {
    event.preventDefault();
    restart();
    showError("The model stopped, perhaps because memory ran out. Reload the page, or use a smaller photo.");
  };
}

const handlers = {
  loading({ received, total }) {
    if (total) $("progress").value = received / total;
  },
  ready({ url, engine }) {
    loaded = url;
    $("engine").textContent = `Runs on ${engine}.`;
    if (input) draw();
    else stopProgress();
  },
  drawn({ id, pixels, width, height, seconds }) {
    if (id !== request) return;
    secondsPerMegapixel = seconds / ((width * height) / 1e6);
    stopProgress();
    paint($("after"), pixels, width, height);
    $("result").hidden = false;
    $("save").disabled = false;
    showStatus(`Done: ${width} × ${height} pixels in ${seconds.toFixed(1)} seconds.`);
    $("at").focus({ preventScroll: true });
    $("result").scrollIntoView({ block: "nearest" });
  },
  error({ text }) {
    restart();
    showError(text);
  },
};

function load() {
  const model = config.models[$("model").selectedIndex];
  startProgress(`Loading the model ${model.name} …`);
  worker.postMessage({ kind: "load", url: model.file, working_px: model.working_px });
}

function draw() {
  const { pixels, width, height } = input;
  request += 1;
  startProgress(`Redrawing ${width} × ${height} pixels …`);
  const start = performance.now();
  const expected = secondsPerMegapixel && secondsPerMegapixel * ((width * height) / 1e6);
  if (expected) {
    progressTimer = setInterval(() => {
      $("progress").value = Math.min((performance.now() - start) / 1000 / expected, 0.97);
    }, 200);
  }
  const copy = pixels.slice();
  worker.postMessage({ kind: "draw", id: request, pixels: copy, width, height }, [copy.buffer]);
}

// Photos

async function readPhoto(blob, name) {
  request += 1;
  clearInterval(progressTimer);
  if (blob.type && !blob.type.startsWith("image/")) return showError(`${name || "That"} is not a picture. Use a JPEG, PNG, WebP or AVIF file.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return showError(`This browser cannot read ${name || "that"} as a picture. Use a JPEG, PNG, WebP or AVIF file, or save it again with another program.`);
  }
  checkSize(bitmap, name || "That photo", (name || "photo").replace(/\.[^.]*$/, ""));
}

/** Accepts a picture, or offers to shrink it if it is too large. */
function checkSize(bitmap, label, name) {
  if (!config.models.length) return showError("This page has no model: ask whoever published it to add one.");
  photoName = name;
  const megapixels = (bitmap.width * bitmap.height) / 1e6;
  if (megapixels > config.max_megapixels) {
    const scale = Math.sqrt(config.max_megapixels / megapixels);
    const width = Math.max(1, Math.floor(bitmap.width * scale));
    const height = Math.max(1, Math.floor(bitmap.height * scale));
    showError(`${label} has ${megapixels.toFixed(1)} megapixels; this page accepts up to ${config.max_megapixels}.`);
    $("shrink").textContent = `Redraw it smaller, at ${width} × ${height} pixels`;
    $("shrink").onclick = () => accept(bitmap, width, height);
    $("offer").hidden = false;
    return;
  }
  accept(bitmap, bitmap.width, bitmap.height);
}

function accept(source, width, height) {
  const canvas = $("before");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff"; // background of transparent pictures
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  source.close?.();
  input = { pixels: context.getImageData(0, 0, width, height).data, width, height };
  paint($("after"), input.pixels, width, height);
  $("result").hidden = false;
  $("save").disabled = true;
  redraw();
}

function redraw() {
  if (!input) return;
  if (!worker) restart();
  if (loaded === config.models[$("model").selectedIndex].file) draw();
  else load();
}

function paint(canvas, pixels, width, height) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

$("file").addEventListener("change", () => {
  const file = $("file").files[0];
  if (file) readPhoto(file, file.name);
  $("file").value = ""; // so that the same file can be chosen again
});
$("at").addEventListener("input", () => $("pair").style.setProperty("--at", `${$("at").value}%`));
$("model").addEventListener("change", redraw);
$("stop").addEventListener("click", () => {
  request += 1;
  restart();
  stopProgress();
  showStatus("Stopped.");
});
$("save").addEventListener("click", () => {
  $("after").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${photoName}-redrawn.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }, "image/png");
});

for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dragging", name === "dragenter" || name === "dragover");
    if (name !== "drop") return;
    const file = event.dataTransfer.files[0];
    if (file) readPhoto(file, file.name);
    else showError("That was not a file. Save the picture first, then drop the file.");
  });
}
addEventListener("paste", (event) => {
  const file = event.clipboardData.files[0];
  if (file) readPhoto(file, file.name);
  else showError("There is no picture in the clipboard. Copy a picture, then paste again.");
});

// Camera

function closeCamera() {
  for (const track of $("video").srcObject?.getTracks() ?? []) track.stop();
  $("video").srcObject = null;
  $("viewer").close();
}

$("camera").addEventListener("click", async () => {
  $("alert").hidden = true;
  try {
    if (!navigator.mediaDevices) throw new DOMException("", "SecurityError");
    $("video").srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: 1920 } });
    $("viewer").showModal();
    await $("video").play();
  } catch (error) {
    const why = {
      NotAllowedError: "Access to the camera was denied. Allow it in the browser's settings for this page, or choose a photo instead.",
      NotFoundError: "No camera was found. Choose a photo instead.",
      NotReadableError: "Another program uses the camera. Close it, or choose a photo instead.",
      SecurityError: "Browsers allow the camera only on https pages. Choose a photo instead.",
    };
    showError(why[error.name] ?? "The camera does not respond. Choose a photo instead.");
  }
});
$("take").addEventListener("click", async () => {
  const picture = await createImageBitmap($("video"));
  closeCamera();
  request += 1;
  clearInterval(progressTimer);
  checkSize(picture, "The camera's picture", "camera");
});
$("leave").addEventListener("click", closeCamera);
$("viewer").addEventListener("cancel", closeCamera);

// Start

try {
  const response = await fetch("models.json");
  if (!response.ok) throw new Error(response.statusText);
  config = await response.json();
  $("limit").textContent = config.max_megapixels;
  $("model").replaceChildren(...config.models.map((model) => new Option(model.name)));
  restart();
} catch {
  showError("The list of models could not be loaded. Reload the page; if you opened it from disk, serve it instead (python -m http.server).");
}
document.body.dataset.ready = "yes";
