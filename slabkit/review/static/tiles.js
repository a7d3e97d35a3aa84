// Tiles: fetched once in batches, kept as bytes, painted into an atlas with contrast and low-pass.

const BATCH = 256;
const KEPT = 256 * 2 ** 20; // bytes

export class TileStore {
  constructor(source, side) {
    this.source = source;
    this.side = side;
    this.size = side * side;
    this.kept = new Map();
    this.most = Math.max(2048, Math.floor(KEPT / this.size));
    this.asked = new Set();
    this.loads = 0;
    this.onLoad = this.onTrouble = () => {};
  }

  get(row) { return this.kept.get(row); }

  // Ask for tiles that are not here; `wanted` may be asked again at any time.
  want(wanted) {
    const missing = [];
    for (const row of wanted)
      if (!this.kept.has(row) && !this.asked.has(row)) missing.push(row);
    for (let i = 0; i < missing.length; i += BATCH) {
      if (this.loads >= 4) return;
      this.load(missing.slice(i, i + BATCH));
    }
  }

  async load(rows) {
    for (const row of rows) this.asked.add(row);
    this.loads++;
    try {
      const data = await this.source.tiles(rows);
      rows.forEach((row, i) => this.kept.set(row, data.subarray(i * this.size, (i + 1) * this.size)));
      while (this.kept.size > this.most) this.kept.delete(this.kept.keys().next().value);
    } catch (error) { // asked for again when it is drawn again
      this.onTrouble(error);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    } finally {
      for (const row of rows) this.asked.delete(row);
      this.loads--;
      this.onLoad();
    }
  }
}

export class Look { // how images are shown
  constructor() {
    this.contrast = 1;
    this.brightness = 0;
    this.lowpass = 0;
    this.invert = false;
    this.version = 0;
    this.table = new Uint8Array(256); // of tiles, whose bytes reach five deviations from the mean
    this.wide = new Uint8Array(256); // of sections, whose bytes are stretched already
    this.change({});
  }

  change(values) {
    Object.assign(this, values);
    this.version++;
    for (let i = 0; i < 256; i++) {
      for (const [table, more] of [[this.table, 1.6], [this.wide, 1]]) {
        const value = 128 + (i - 127.5) * this.contrast * more + this.brightness * 127;
        table[i] = Math.max(0, Math.min(255, Math.round(this.invert ? 255 - value : value)));
      }
    }
  }
}

// Blur by a Gaussian of `sigma` pixels. At a resolution of d it halves what is 0.187 d wide.
export function blurred(values, width, height, sigma) {
  if (sigma < 0.2) return values;
  const reach = Math.ceil(2.5 * sigma);
  const kernel = [];
  let sum = 0;
  for (let i = -reach; i <= reach; i++) {
    const weight = Math.exp(-(i * i) / (2 * sigma * sigma));
    kernel.push(weight);
    sum += weight;
  }
  const half = new Float32Array(values.length);
  const result = new Uint8Array(values.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let total = 0;
      for (let k = -reach; k <= reach; k++)
        total += kernel[k + reach] * values[y * width + Math.min(width - 1, Math.max(0, x + k))];
      half[y * width + x] = total / sum;
    }
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let total = 0;
      for (let k = -reach; k <= reach; k++)
        total += kernel[k + reach] * half[Math.min(height - 1, Math.max(0, y + k)) * width + x];
      result[y * width + x] = total / sum;
    }
  return result;
}

export function toImage(values, width, height, look, pixel = 1, table = look.table) {
  const smooth = blurred(values, width, height, (0.187 * look.lowpass) / pixel);
  const image = new ImageData(width, height);
  const words = new Uint32Array(image.data.buffer);
  for (let i = 0; i < words.length; i++) words[i] = 0xff000000 | (table[smooth[i]] * 0x010101);
  return image;
}

export function paint(canvas, values, width, height, look, pixel = 1) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(toImage(values, width, height, look, pixel), 0, 0);
}

// Painted tiles, side by side in canvases of moderate size: a browser copies a whole canvas when it
// is drawn from after a change, so tiles are painted first and drawn then.
export class Atlas {
  constructor(store, look, pixel) {
    this.store = store;
    this.look = look;
    this.pixel = pixel;
    this.across = Math.max(4, Math.floor(1024 / store.side));
    this.most = Math.max(1024, Math.floor((16 * 2 ** 20) / store.size)); // tiles
    this.pages = [];
    this.places = new Map();
    this.version = look.version;
  }

  page(number) {
    if (!this.pages[number]) {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = this.across * this.store.side;
      this.pages[number] = canvas.getContext("2d");
    }
    return this.pages[number];
  }

  where(place) {
    const { side } = this.store;
    const rest = place % (this.across * this.across);
    const page = this.page(Math.floor(place / (this.across * this.across)));
    return [page, (rest % this.across) * side, Math.floor(rest / this.across) * side];
  }

  // Paint what is not painted yet, as far as its bytes are here.
  paint(rows) {
    const { side } = this.store;
    if (this.version !== this.look.version) {
      this.places.clear();
      this.version = this.look.version;
    }
    for (const row of rows) { // what is seen now is the last to make room
      const known = this.places.get(row);
      if (known !== undefined) {
        this.places.delete(row);
        this.places.set(row, known);
      }
    }
    for (const row of rows) {
      const bytes = this.places.has(row) ? null : this.store.get(row);
      if (!bytes) continue;
      let place = this.places.size;
      if (place >= Math.max(this.most, 2 * rows.length)) {
        const [oldest, free] = this.places.entries().next().value;
        this.places.delete(oldest);
        place = free;
      }
      this.places.set(row, place);
      const [page, left, top] = this.where(place);
      page.putImageData(toImage(bytes, side, side, this.look, this.pixel), left, top);
    }
  }

  // Draw a painted tile; false if it is not painted.
  draw(context, row, x, y, size) {
    const place = this.places.get(row);
    if (place === undefined) return false;
    const { side } = this.store;
    const [page, left, top] = this.where(place);
    context.drawImage(page.canvas, left, top, side, side, x, y, size, size);
    return true;
  }
}
