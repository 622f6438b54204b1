// Brings a drawing made at the working size to the size of its photo, as pipeline/inference/upscaling.py does, which explains it.
//
// A picture is { width, height, values }; values are row by row, with 1, 3 or 4 channels (the fourth is ignored).

const MAX_ASPECT = 16 / 9; // of longer pictures the short side counts
const GAIN = 2.2;
const CONTOUR_LEVELS = 16;
const DETAIL_SCALE = 2;
const TEXTURE_LEVELS = 6;
const FEATURE_LEVELS = 16;
const GUIDE = Array(5).fill(1 / 5);
const GUIDE_VARIANCE = 4;
const BACK_PROJECTED = 0.5;
const SMOOTH = gaussian(0.6, 3);
const NEARBY = gaussian(1, 4);

/** Width and height at which a picture goes through the network. */
export function workingSize(width, height, workingPx) {
  const scale = workingPx / Math.min(Math.max(width, height), MAX_ASPECT * Math.min(width, height));
  return scale >= 1 ? [width, height] : [width, height].map((side) => Math.max(1, Math.round(side * scale)));
}

/** Shrinks a picture to RGB by averaging areas; values are rounded. */
export function shrink(picture, width, height) {
  const shrunk = resample(picture, average(picture.height, height), average(picture.width, width));
  return { ...shrunk, values: Uint8ClampedArray.from(shrunk.values) };
}

/** Returns the values of a drawing at the size of its photo, RGBA. */
export function upscaleDrawing(drawing, photo) {
  if (drawing.width === photo.width && drawing.height === photo.height) return opaque(drawing).values;
  const width = Math.min(photo.width, DETAIL_SCALE * drawing.width);
  const height = Math.min(photo.height, DETAIL_SCALE * drawing.height);
  const fine = enlarge(drawing, width, height);
  addDetail(fine, shrink(photo, width, height), drawing);
  backProject(fine, drawing);
  return width === photo.width && height === photo.height ? fine.values : enlarge(fine, photo.width, photo.height).values;
}

/** Adds what a photo has more than it would have at the size of the drawing; `enlarged` has the size of the photo. */
function addDetail(enlarged, photo, drawing) {
  const { width, height } = photo;
  const coarse = shrink(photo, drawing.width, drawing.height);
  const detail = resample(coarse, cubic(coarse.height, height), cubic(coarse.width, width)).values;
  const size = new Float32Array(width * height);
  for (let n = 0; n < detail.length; n += 3) {
    for (let c = n; c < n + 3; c++) detail[c] = photo.values[c] - detail[c];
    size[n / 3] = Math.max(Math.abs(detail[n]), Math.abs(detail[n + 1]), Math.abs(detail[n + 2]));
  }
  const strength = blur({ width, height, values: size }, NEARBY).values;
  const share = resample(agreement(coarse, drawing), linear(coarse.height, height), linear(coarse.width, width)).values;
  for (let pixel = 0; pixel < size.length; pixel++) {
    const kept = share[pixel] * clamp((strength[pixel] - TEXTURE_LEVELS) / (FEATURE_LEVELS - TEXTURE_LEVELS));
    for (let c = 0; c < 3; c++) enlarged.values[4 * pixel + c] += kept * detail[3 * pixel + c];
  }
}

/** Corrects an enlarged drawing by half of what it differs from the drawing when shrunk. */
function backProject(enlarged, drawing) {
  const lost = resample(enlarged, average(enlarged.height, drawing.height), average(enlarged.width, drawing.width));
  for (let n = 0; n < lost.values.length; n++) lost.values[n] = drawing.values[n] - lost.values[n];
  const { values } = resample(lost, cubic(lost.height, enlarged.height), cubic(lost.width, enlarged.width));
  for (let from = 0, to = 0; from < values.length; from += 3, to += 4) {
    for (let c = 0; c < 3; c++) enlarged.values[to + c] += BACK_PROJECTED * values[from + c];
  }
}

/** How far the luma of a drawing follows that of its photo, 0 to 1. */
function agreement(photo, drawing) {
  const { width, height } = drawing;
  const [one, other] = [photo, drawing].map(luma);
  const mean = (value) => blur({ width, height, values: Float32Array.from(one, (_, n) => value(n)) }, GUIDE).values;
  const [both, squares, ones, others] = [(n) => one[n] * other[n], (n) => one[n] ** 2, (n) => one[n], (n) => other[n]].map(mean);
  const values = ones.map((value, n) => clamp((both[n] - value * others[n]) / (squares[n] - value ** 2 + GUIDE_VARIANCE)));
  return { width, height, values };
}

/** Enlarges a drawing with crisp contours: each value is pushed towards the lowest or highest around it. RGBA. */
function enlarge(drawing, width, height) {
  const smooth = blur(drawing, SMOOTH);
  const sources = [smooth, extreme(smooth, Math.min), extreme(smooth, Math.max)];
  const rows = [cubic, linear, linear].map((taps) => taps(drawing.height, height));
  const columns = [cubic, linear, linear].map((taps) => taps(drawing.width, width));
  const lines = sources.map(() => new Float32Array(3 * drawing.width));
  const wide = sources.map(() => new Float32Array(3 * width));
  const values = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let y = 0, to = 0; y < height; y++) {
    for (let n = 0; n < 3; n++) {
      joinRows(sources[n].values, rows[n], y, lines[n]);
      joinColumns(lines[n], 3, columns[n], wide[n], 0);
    }
    const [value, low, high] = wide;
    for (let from = 0; from < 3 * width; from += 3, to += 4) {
      for (let c = 0; c < 3; c++) values[to + c] = toggle(value[from + c], low[from + c], high[from + c]);
    }
  }
  return { width, height, values };
}

function toggle(value, low, high) {
  const range = high - low;
  if (range < 1e-3) return low;
  const place = clamp((value - low) / range);
  const ramp = clamp((place - 0.5) * GAIN + 0.5);
  const step = ramp * ramp * (3 - 2 * ramp);
  return low + range * (place + (step - place) * Math.min(range / CONTOUR_LEVELS, 1));
}

/** The lowest or the highest of the nine values around each, by channel, RGB. */
function extreme({ width, height, values }, choose) {
  const across = new Float32Array(values.length);
  const result = new Float32Array(values.length);
  const row = 3 * width;
  for (let n = 0; n < values.length; n++) {
    const x = n % row;
    across[n] = choose(values[x < 3 ? n : n - 3], choose(values[n], values[x >= row - 3 ? n : n + 3]));
  }
  for (let n = 0; n < values.length; n++) {
    result[n] = choose(across[n < row ? n : n - row], choose(across[n], across[n >= values.length - row ? n : n + row]));
  }
  return { width, height, values: result };
}

// Weighted sums. Taps say for each place of a result which places of the source it is made of, and with what weights.

function makeTaps(length, count, weigh) {
  const places = Array.from({ length: count }, (_, place) => weigh(place));
  const size = Math.max(...places.map(([, weights]) => weights.length));
  const taps = { count, size, index: new Int32Array(count * size), weight: new Float32Array(count * size) };
  places.forEach(([first, weights], place) => {
    for (let n = 0; n < size; n++) {
      taps.index[place * size + n] = clamp(first + n, length - 1);
      taps.weight[place * size + n] = weights[n] ?? 0;
    }
  });
  return taps;
}

function average(length, count) {
  return makeTaps(length, count, (place) => {
    const [start, end] = [(place * length) / count, ((place + 1) * length) / count];
    const weights = [];
    for (let n = Math.floor(start); n < end - 1e-6; n++) weights.push((Math.min(n + 1, end) - Math.max(n, start)) * (count / length));
    return [Math.floor(start), weights];
  });
}

function interpolate(length, count, above, weigh) {
  return makeTaps(length, count, (place) => {
    const exact = (place + 0.5) * (length / count) - 0.5;
    return [Math.floor(exact) - above, weigh(exact - Math.floor(exact))];
  });
}

function linear(length, count) {
  return interpolate(length, count, 0, (t) => [1 - t, t]);
}

function cubic(length, count) {
  const near = (x) => (1.25 * x - 2.25) * x * x + 1;
  const far = (x) => ((-0.75 * x + 3.75) * x - 6) * x + 3;
  return interpolate(length, count, 1, (t) => [far(1 + t), near(t), near(1 - t), far(2 - t)]);
}

function gaussian(sigma, reach) {
  const weights = Array.from({ length: 2 * reach + 1 }, (_, n) => Math.exp(-((n - reach) ** 2) / (2 * sigma ** 2)));
  const sum = weights.reduce((one, other) => one + other);
  return weights.map((weight) => weight / sum);
}

function blur(picture, weights) {
  const around = (length) => makeTaps(length, length, (place) => [place - (weights.length - 1) / 2, weights]);
  return resample(picture, around(picture.height), around(picture.width));
}

/** Joins rows and columns of a picture by taps; the result has at most three channels. */
function resample({ width, height, values }, rows, columns) {
  const stride = values.length / (width * height);
  const channels = Math.min(stride, 3);
  const line = new Float32Array(width * stride);
  const result = new Float32Array(rows.count * columns.count * channels);
  for (let y = 0; y < rows.count; y++) {
    joinRows(values, rows, y, line);
    joinColumns(line, stride, columns, result, y * columns.count * channels);
  }
  return { width: columns.count, height: rows.count, values: result };
}

function joinRows(values, { size, index, weight }, place, line) {
  line.fill(0);
  for (let n = place * size; n < (place + 1) * size; n++) {
    if (weight[n] === 0) continue;
    for (let x = 0, from = index[n] * line.length; x < line.length; x++, from++) line[x] += weight[n] * values[from];
  }
}

function joinColumns(line, stride, { count, size, index, weight }, result, start) {
  for (let x = 0, to = start; x < count; x++) {
    let [red, green, blue] = [0, 0, 0]; // the only channel is red
    for (let n = x * size; n < (x + 1) * size; n++) {
      const from = index[n] * stride;
      red += weight[n] * line[from];
      if (stride === 1) continue;
      green += weight[n] * line[from + 1];
      blue += weight[n] * line[from + 2];
    }
    result[to++] = red;
    if (stride === 1) continue;
    result[to++] = green;
    result[to++] = blue;
  }
}

function opaque({ width, height, values }) {
  const result = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let from = 0, to = 0; from < values.length; from += 3, to += 4) {
    for (let c = 0; c < 3; c++) result[to + c] = values[from + c];
  }
  return { width, height, values: result };
}

function luma({ values, width, height }) {
  const stride = values.length / (width * height);
  return Float32Array.from({ length: width * height }, (_, n) => (values[n * stride] + values[n * stride + 1] + values[n * stride + 2]) / 3);
}

function clamp(value, most = 1) {
  return Math.min(Math.max(value, 0), most);
}
