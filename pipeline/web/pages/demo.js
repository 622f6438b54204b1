// The page: takes a photo, hands its pixels to the worker, shows what comes back. Nothing goes anywhere else.

const $ = (id) => document.getElementById(id);
let config = { models: [], max_megapixels: 1 };
let worker = null;
let loaded = null; // the model that the worker holds
let pending = null; // pixels that wait for a model
let shown = "photo"; // name of the photo shown
let turn = 0; // a picture that is given while another is drawn takes its place
let pace = null; // seconds a megapixel, as measured last
let ticking = 0;

// What is said

function say(text) {
  $("said").textContent = text;
}

function complain(text) {
  settle();
  say("");
  $("offer").hidden = true;
  $("alert").textContent = text;
  $("alert").hidden = false;
}

function settle() {
  clearInterval(ticking);
  $("working").hidden = true;
  document.body.removeAttribute("aria-busy");
}

function begin(text) {
  $("alert").hidden = true;
  $("offer").hidden = true;
  $("progress").removeAttribute("value");
  $("working").hidden = false;
  document.body.setAttribute("aria-busy", "true");
  say(text);
}

// The worker

function restart() {
  worker?.terminate();
  loaded = null;
  worker = new Worker("demo_worker.js", { type: "module" });
  worker.onmessage = ({ data }) => answer[data.kind](data);
  worker.onerror = (event) => {
    event.preventDefault();
    restart();
    complain("The part of this page that redraws has failed (perhaps for want of memory). Reload the page, or give a smaller photo.");
  };
}

const answer = {
  loading({ received, total }) {
    if (total) $("progress").value = received / total;
  },
  ready({ url, engine }) {
    loaded = url;
    $("engine").textContent = `Runs on ${engine}.`;
    if (pending) draw();
    else settle();
  },
  drawn({ id, pixels, width, height, seconds }) {
    if (id !== turn) return;
    pace = seconds / ((width * height) / 1e6);
    settle();
    paint($("after"), pixels, width, height);
    $("result").hidden = false;
    $("save").disabled = false;
    say(`Done: ${width} × ${height} pixels in ${seconds.toFixed(1)} seconds.`);
    $("at").focus({ preventScroll: true });
    $("result").scrollIntoView({ block: "nearest" });
  },
  fault({ text }) {
    restart();
    complain(text);
  },
};

function load() {
  const model = config.models[$("model").selectedIndex];
  begin(`Loading the model ${model.name} …`);
  worker.postMessage({ kind: "load", url: model.file });
}

function draw() {
  const { pixels, width, height } = pending;
  turn += 1;
  begin(`Redrawing ${width} × ${height} pixels …`);
  const start = performance.now();
  const expected = pace && pace * ((width * height) / 1e6);
  if (expected) {
    ticking = setInterval(() => {
      $("progress").value = Math.min((performance.now() - start) / 1000 / expected, 0.97);
    }, 200);
  }
  const copy = pixels.slice();
  worker.postMessage({ kind: "draw", id: turn, pixels: copy, width, height }, [copy.buffer]);
}

// Photos

async function take(blob, name) {
  turn += 1;
  clearInterval(ticking);
  if (blob.type && !blob.type.startsWith("image/")) return complain(`${name || "That"} is not a picture. Give a photo: JPEG, PNG, WebP or AVIF.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return complain(`This browser cannot read ${name || "that"} as a picture. Give a JPEG, PNG, WebP or AVIF, or save it anew with another program.`);
  }
  weigh(bitmap, name || "That photo", (name || "photo").replace(/\.[^.]*$/, ""));
}

// Too large a picture is offered to be redrawn smaller.
function weigh(bitmap, called, name) {
  if (!config.models.length) return complain("There is no model on this page: whoever put it up has to add one.");
  shown = name;
  const megapixels = (bitmap.width * bitmap.height) / 1e6;
  if (megapixels > config.max_megapixels) {
    const scale = Math.sqrt(config.max_megapixels / megapixels);
    const width = Math.max(1, Math.floor(bitmap.width * scale));
    const height = Math.max(1, Math.floor(bitmap.height * scale));
    complain(`${called} has ${megapixels.toFixed(1)} megapixels; a browser has memory for ${config.max_megapixels}.`);
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
  context.fillStyle = "#fff"; // what is transparent lies on white
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  source.close?.();
  pending = { pixels: context.getImageData(0, 0, width, height).data, width, height };
  paint($("after"), pending.pixels, width, height);
  $("result").hidden = false;
  $("save").disabled = true;
  redraw();
}

function redraw() {
  if (!pending) return;
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
  if (file) take(file, file.name);
  $("file").value = ""; // so that the same one can be given again
});
$("at").addEventListener("input", () => $("pair").style.setProperty("--at", `${$("at").value}%`));
$("model").addEventListener("change", redraw);
$("stop").addEventListener("click", () => {
  turn += 1;
  restart();
  settle();
  say("Stopped.");
});
$("save").addEventListener("click", () => {
  $("after").toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${shown}-redrawn.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  }, "image/png");
});

for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", name === "dragenter" || name === "dragover");
    if (name !== "drop") return;
    const file = event.dataTransfer.files[0];
    if (file) take(file, file.name);
    else complain("That was no file. Save the picture first, then drop the file.");
  });
}
addEventListener("paste", (event) => {
  const file = event.clipboardData.files[0];
  if (file) take(file, file.name);
  else complain("There is no picture in the clipboard. Copy a picture, then paste again.");
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
      NotAllowedError: "The camera was refused. Allow it in the browser's settings for this page, or choose a photo instead.",
      NotFoundError: "No camera was found. Choose a photo instead.",
      NotReadableError: "Another program uses the camera. Close it, or choose a photo instead.",
      SecurityError: "Browsers give the camera to pages behind https only. Choose a photo instead.",
    };
    complain(why[error.name] ?? "The camera does not answer. Choose a photo instead.");
  }
});
$("take").addEventListener("click", async () => {
  const picture = await createImageBitmap($("video"));
  closeCamera();
  turn += 1;
  clearInterval(ticking);
  weigh(picture, "The camera's picture", "camera");
});
$("leave").addEventListener("click", closeCamera);
$("viewer").addEventListener("cancel", closeCamera);

// Start

try {
  const told = await fetch("models.json");
  if (!told.ok) throw new Error(told.statusText);
  config = await told.json();
  $("limit").textContent = config.max_megapixels;
  $("model").replaceChildren(...config.models.map((model) => new Option(model.name)));
  restart();
} catch {
  complain("The list of models could not be loaded. Reload the page; if it was opened from disk, it has to be served (python -m http.server).");
}
document.body.dataset.ready = "yes";
