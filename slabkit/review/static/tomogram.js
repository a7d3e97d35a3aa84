// A tomogram: sections or slabs with the picks drawn; decide, move and add them.

import { WORDS } from "./decisions.js";
import { toImage } from "./tiles.js";

const NEAR = 12; // pixels within which a click means a pick

export class Tomogram {
  name = "tomogram";

  constructor(app) {
    this.app = app;
    this.number = 0;
    this.z = null;
    this.zoom = 1;
    this.left = this.top = 0; // of what is seen, in pixels of the section
    this.adding = false;
    this.chosen = -1;
    this.picks = [];
    this.element = document.createElement("div");
    this.element.className = "view tomogram";
    this.element.innerHTML = `<div class="bar">
      <label>tomogram <select id="which"></select></label>
      <label>z <input id="z" type="range" min="0" step="any"></label><output id="z-text"></output>
      <label>thickness <select id="thickness"></select></label>
      <button type="button" id="adding" aria-pressed="false">Add picks</button>
      <button type="button" id="closer" aria-label="Closer">+</button>
      <button type="button" id="farther" aria-label="Farther">−</button>
      <button type="button" id="whole">Whole section</button>
      <span class="legend"></span></div>
      <div class="canvas"><canvas tabindex="0" role="application" aria-roledescription="section" aria-label="Section with picks"></canvas></div>`;
    const find = (name) => this.element.querySelector(name);
    this.canvas = find("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.slider = find("#z");
    this.which = find("#which");
    this.thickness = find("#thickness");
    this.slider.addEventListener("input", () => { this.z = Number(this.slider.value); this.load(); });
    this.which.addEventListener("change", () => this.go(Number(this.which.value)));
    this.thickness.addEventListener("change", () => this.load());
    find("#adding").addEventListener("click", () => this.add());
    find("#closer").addEventListener("click", () => this.zoomBy(1.4));
    find("#farther").addEventListener("click", () => this.zoomBy(1 / 1.4));
    find("#whole").addEventListener("click", () => { this.fit(); this.redraw(); });
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.pointer();
  }

  get button() { return this.element.querySelector("#adding"); }

  async show() {
    const { data, grid } = this.app;
    if (!data.volumes) {
      this.element.replaceChildren();
      const text = document.createElement("p");
      text.className = "team";
      text.textContent = "Tomograms are shown where the pick list is known: start with --picks.";
      this.element.append(text);
      return;
    }
    if (!this.which.options.length) {
      this.which.append(...data.tomograms.map((name, number) => new Option(name, number)));
      for (const value of [0, data.depth / 2, data.depth, 2 * data.depth])
        this.thickness.append(new Option(value ? `${value.toFixed(0)} Å` : "one plane", value));
      this.thickness.selectedIndex = 1;
    }
    this.canvas.focus({ preventScroll: true });
    const row = grid.row();
    const number = row >= 0 && row < data.count ? this.app.listing.columns.tomogram[row] : 0;
    if (row >= 0 && row !== this.chosen) await this.go(number, row);
    else await this.load();
  }

  hide() {
    this.rest();
    if (this.adding) this.add();
  }

  async go(number, row = -1) {
    this.number = number;
    this.which.value = number;
    this.section = null;
    await this.places();
    const own = this.picks.find((one) => one.row === row) ?? this.picks[0];
    this.chosen = own?.row ?? -1;
    this.z = own?.z ?? 0;
    this.zoomed = false;
    await this.load();
    this.app.told();
    this.resize();
  }

  async places() {
    try {
      const { arrays, added } = await this.app.source.places(this.number);
      this.picks = Array.from(arrays.rows, (row, i) => ({
        row, x: arrays.places[3 * i], y: arrays.places[3 * i + 1], z: arrays.places[3 * i + 2],
        diameter: arrays.diameters[i], added: added.find((one) => one.row === row),
      }));
    } catch (error) { this.app.say(error.message); }
  }

  async load() {
    if (this.loading) { this.again = true; return; }
    this.loading = true;
    try {
      this.section = await this.app.source.section(this.number, this.z ?? 0, Number(this.thickness.value));
      this.slider.max = this.section.depth;
      this.slider.step = this.section.voxel;
      this.slider.value = this.z ?? 0;
      this.image = null;
      this.trouble = "";
      if (!this.zoomed) this.fit();
    } catch (error) {
      this.trouble = error.message;
      this.app.told();
    }
    this.loading = false;
    this.redraw();
    if (this.again) { this.again = false; this.load(); }
  }

  resize() {
    if (this.section) this.words(); // they may take another line, and the canvas has what is left
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.dense = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * this.dense);
    this.canvas.height = Math.round(height * this.dense);
    if (this.section && !this.zoomed) this.fit();
    this.redraw();
  }

  fit() {
    if (!this.section) return;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.zoom = Math.min(width / this.section.width, height / this.section.height) || 1;
    this.left = (this.section.width - width / this.zoom) / 2;
    this.top = (this.section.height - height / this.zoom) / 2;
    this.zoomed = false;
  }

  // Å to pixels of the canvas, and back
  toScreen(x, y) {
    const { pixel } = this.section;
    return [(x / pixel + 0.5 - this.left) * this.zoom, (y / pixel + 0.5 - this.top) * this.zoom];
  }

  toPlace(u, v) {
    const { pixel } = this.section;
    return [(u / this.zoom + this.left - 0.5) * pixel, (v / this.zoom + this.top - 0.5) * pixel];
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    if (this.element.hidden || !this.dense) return;
    const { context, section } = this;
    if (!section) { // not that of another tomogram
      if (this.trouble) context.clearRect(0, 0, this.canvas.width, this.canvas.height);
      return;
    }
    const version = this.app.look.version;
    if (!this.image || this.painted !== version) {
      this.image = document.createElement("canvas");
      this.image.width = section.width;
      this.image.height = section.height;
      const look = this.app.look;
      this.image.getContext("2d").putImageData(toImage(section.arrays.section, section.width, section.height, look, section.pixel, look.wide), 0, 0);
      this.painted = version;
    }
    context.setTransform(this.dense, 0, 0, this.dense, 0, 0);
    context.fillStyle = "#20262c";
    context.fillRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
    const { zoom } = this;
    context.drawImage(this.image, -this.left * zoom, -this.top * zoom, section.width * zoom, section.height * zoom);
    const reach = this.reach();
    for (const one of this.picks) this.circle(one, reach);
    if (this.cross) {
      const [u, v] = this.cross;
      context.strokeStyle = "#ffd54a";
      context.lineWidth = 1.5;
      context.beginPath();
      for (const sign of [-1, 1]) {
        context.moveTo(u + 4 * sign, v);
        context.lineTo(u + 14 * sign, v);
        context.moveTo(u, v + 4 * sign);
        context.lineTo(u, v + 14 * sign);
      }
      context.stroke();
    }
    this.words();
  }

  words() {
    const reach = this.reach();
    const shown = this.picks.filter((one) => Math.abs(one.z - this.z) <= reach + one.diameter / 2).length;
    this.element.querySelector("#z-text").textContent = `${(this.z ?? 0).toFixed(0)} Å, ${shown} of ${this.picks.length} picks`;
    this.legend();
  }

  reach() { return (Math.max(this.section.planes, 1) * this.section.voxel) / 2; } // half of what is shown, in Å

  circle(one, reach) {
    const away = Math.max(0, Math.abs(one.z - this.z) - reach);
    const radius = one.diameter / 2;
    if (away > radius) return;
    const { context } = this;
    const [u, v] = this.toScreen(one.x, one.y);
    const size = Math.max(3, (Math.sqrt(radius * radius - away * away) / this.section.pixel) * this.zoom);
    const decision = this.app.decisions.decision[one.row] || (one.added ? 1 : 0);
    context.strokeStyle = decision === 2 ? "#ff5a4f" : this.app.colourOfRow(one.row, one.added?.species);
    context.lineWidth = decision === 1 ? 3 : 1.6;
    context.setLineDash(decision === 2 ? [4, 4] : decision === 3 ? [1, 4] : []);
    context.beginPath();
    context.arc(u, v, size, 0, 7);
    context.stroke();
    context.setLineDash([]);
    if (decision === 2) {
      const d = size * 0.7;
      context.beginPath();
      context.moveTo(u - d, v - d);
      context.lineTo(u + d, v + d);
      context.moveTo(u + d, v - d);
      context.lineTo(u - d, v + d);
      context.stroke();
    }
    if (one.added) {
      context.fillStyle = context.strokeStyle;
      context.fillRect(u - 2, v - 2, 4, 4);
    }
    if (one.row === this.chosen) {
      context.strokeStyle = "#ffffff";
      context.lineWidth = 2;
      context.beginPath();
      context.arc(u, v, size + 5, 0, 7);
      context.stroke();
    }
  }

  legend() {
    const { app } = this;
    const parts = app.data.species.map((name, i) => {
      const item = document.createElement("span"), chip = document.createElement("span");
      chip.className = "chip";
      chip.style.background = app.colourOf(i + 1);
      item.append(chip, name);
      return item;
    });
    const text = document.createElement("span");
    text.className = "soft sign";
    text.textContent = "thick: accepted, crossed: rejected, dotted: undecided, dot: added";
    this.element.querySelector(".legend").replaceChildren(...parts, text);
  }

  nearest(u, v) {
    let best = null, least = Infinity;
    for (const one of this.picks) {
      if (Math.abs(one.z - this.z) > one.diameter / 2 + (this.section.planes * this.section.voxel) / 2) continue;
      const [x, y] = this.toScreen(one.x, one.y);
      const far = Math.hypot(x - u, y - v);
      const size = (one.diameter / 2 / this.section.pixel) * this.zoom;
      if (far < Math.max(size, NEAR) && far < least) { best = one; least = far; }
    }
    return best;
  }

  pointer() {
    const { canvas } = this;
    let down = null;
    const at = (event) => {
      const frame = canvas.getBoundingClientRect();
      return [event.clientX - frame.left, event.clientY - frame.top];
    };
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (!this.section) return;
      if (event.ctrlKey || event.metaKey || event.shiftKey) return this.step(Math.sign(event.deltaY || event.deltaX));
      this.zoomBy(Math.exp(-event.deltaY / 400), ...at(event));
    }, { passive: false });
    const fingers = new Map();
    let held = null; // two fingers: their middle and distance
    const two = () => {
      const [[a, b], [c, d]] = fingers.values();
      return { u: (a + c) / 2, v: (b + d) / 2, far: Math.max(1, Math.hypot(a - c, b - d)) };
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.section || event.button !== 0) return;
      const [u, v] = at(event);
      fingers.set(event.pointerId, [u, v]);
      if (fingers.size > 1) { // what the first of them dragged goes back
        if (down?.from) Object.assign(down.pick, down.from);
        down = null;
        held = fingers.size === 2 ? two() : null;
        return;
      }
      this.cross = null;
      down = { u, v, left: this.left, top: this.top, pick: this.adding ? null : this.nearest(u, v), moved: false };
      if (down.pick) down.from = { x: down.pick.x, y: down.pick.y };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      const [u, v] = at(event);
      if (held && fingers.has(event.pointerId)) {
        fingers.set(event.pointerId, [u, v]);
        const now = two();
        this.left -= (now.u - held.u) / this.zoom;
        this.top -= (now.v - held.v) / this.zoom;
        this.zoomBy(now.far / held.far, now.u, now.v);
        held = now;
      }
      if (!down) return;
      if (Math.hypot(u - down.u, v - down.v) < 5 && !down.moved) return;
      down.moved = true;
      if (down.pick && down.pick.row === this.chosen) {
        const [x, y] = this.toPlace(u, v), [x0, y0] = this.toPlace(down.u, down.v);
        down.pick.x = down.from.x + x - x0;
        down.pick.y = down.from.y + y - y0;
      } else {
        this.left = down.left - (u - down.u) / this.zoom;
        this.top = down.top - (v - down.v) / this.zoom;
        this.zoomed = true;
      }
      this.redraw();
    });
    const lift = (event) => {
      fingers.delete(event.pointerId);
      held = null;
    };
    canvas.addEventListener("pointerup", (event) => {
      lift(event);
      if (!down) return;
      const { pick, moved, u, v, from } = down;
      const dragged = moved && pick && pick.row === this.chosen;
      down = null;
      if (dragged) this.move(pick, from);
      else if (!moved && this.adding) this.put(...this.toPlace(...at(event)));
      else if (!moved) this.choose(this.nearest(u, v));
    });
    canvas.addEventListener("pointercancel", (event) => { lift(event); down = null; });
  }

  choose(pick) {
    this.rest();
    this.chosen = pick ? pick.row : -1;
    if (pick && pick.row < this.app.data.count) this.app.grid.focusRow(pick.row);
    this.redraw();
    this.app.told();
  }

  async move(pick, from) {
    const inside = (value) => Math.max(0, value);
    const event = { kind: "move", row: pick.row, x: inside(pick.x), y: inside(pick.y), z: pick.z };
    try {
      await this.app.decisions.other(event);
      this.app.say("The pick was moved; it keeps its id.");
    } catch (error) {
      Object.assign(pick, from); // the server may not say where it is
      this.app.say(`Not moved: ${error.message}`);
    }
    await this.changed();
  }

  nudge(across, down) { // of keys: the pick is moved once they rest
    const pick = this.picks.find((one) => one.row === this.chosen);
    if (!pick || !this.section) return;
    this.nudged ??= { pick, from: { x: pick.x, y: pick.y } };
    pick.x += across * this.section.pixel;
    pick.y += down * this.section.pixel;
    this.redraw();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.rest(), 600);
  }

  unnudge() { // gives whether there was something to take back
    clearTimeout(this.resting);
    if (!this.nudged) return false;
    Object.assign(this.nudged.pick, this.nudged.from);
    this.nudged = null;
    this.redraw();
    return true;
  }

  rest() {
    clearTimeout(this.resting);
    const { pick, from } = this.nudged ?? {};
    this.nudged = null;
    if (pick) this.move(pick, from);
  }

  aim(across, down) { // the cross that keys move, on the canvas
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const [u, v] = this.cross ?? [width / 2, height / 2];
    const inside = (value, most) => Math.max(0, Math.min(most, value));
    this.cross = [inside(u + 8 * across, width), inside(v + 8 * down, height)];
    this.redraw();
  }

  add() {
    this.adding = !this.adding;
    this.cross = null;
    this.redraw();
    this.button.setAttribute("aria-pressed", this.adding);
    this.canvas.style.cursor = this.adding ? "crosshair" : "";
    this.app.say(this.adding ? "Click where a particle was missed, or go there with arrows and press Enter; its depth is searched." : "");
  }

  async put(x, y) { // x and y by click, z by the search that `slabkit map` uses
    const { app } = this;
    const known = this.picks.filter((one) => one.diameter > 0).map((one) => one.diameter).sort((a, b) => a - b);
    const diameter = known[known.length >> 1] ?? app.data.box / 2;
    const species = app.data.species.length === 1 ? app.data.species[0] : app.addAs ?? "";
    try {
      const z = await app.source.refine(this.number, x, y, this.z, diameter);
      await app.decisions.other({ kind: "add", tomogram: this.number, x, y, z, diameter, species });
      await this.changed();
      const last = this.picks.filter((one) => one.added).at(-1);
      this.choose(last ?? null);
      app.say(`Added at z = ${z.toFixed(0)} Å.`);
    } catch (error) { app.say(error.message); }
  }

  async changed() {
    this.app.pick.forget();
    await this.places();
    this.redraw();
  }

  zoomBy(factor, u = this.canvas.clientWidth / 2, v = this.canvas.clientHeight / 2) { // about a point
    const x = u / this.zoom + this.left, y = v / this.zoom + this.top;
    this.zoom = Math.max(0.1, Math.min(40, this.zoom * factor));
    this.left = x - u / this.zoom;
    this.top = y - v / this.zoom;
    this.zoomed = true;
    this.redraw();
  }

  step(planes) {
    const edge = this.section?.voxel ?? 1;
    this.z = Math.max(0, Math.min(this.section?.depth ?? 0, (this.z ?? 0) + planes * edge));
    this.load();
  }

  row() { return this.chosen; }
  rows_() { return this.chosen < 0 ? [] : [this.chosen]; }

  decided() {
    if (this.app.advance) this.next(1);
    this.redraw();
  }

  next(step) { // in z, then y, so that the section changes little
    const order = [...this.picks].sort((a, b) => a.z - b.z || a.y - b.y || a.x - b.x);
    const place = order.findIndex((one) => one.row === this.chosen);
    const pick = order[Math.max(0, Math.min(order.length - 1, place + step))];
    if (!pick) return;
    this.z = pick.z;
    this.choose(pick);
    this.load();
  }

  act(action) {
    const way = { next: [1, 0], back: [-1, 0], down: [0, 1], up: [0, -1] }[action.replace("extend", "").toLowerCase()];
    if (way && action.startsWith("extend")) this.nudge(...way);
    else if (way && this.adding) this.aim(...way);
    else if (this.adding && action === "open") this.put(...this.toPlace(...(this.cross ?? [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2])));
    else if (action === "next" || action === "back") this.next(action === "next" ? 1 : -1);
    else if (action === "deeper" || action === "shallower") this.step(action === "deeper" ? 1 : -1);
    else if (action === "down" || action === "up") this.step(action === "down" ? 5 : -5);
    else if (action === "add") this.add();
    else if (action === "none" && this.adding) this.add();
    else if (action === "open") this.app.show("pick");
    else if (action === "larger" || action === "smaller") this.zoomBy(action === "larger" ? 1.25 : 0.8);
    else return false;
    return true;
  }

  told() {
    if (this.trouble) return this.trouble;
    const pick = this.picks.find((one) => one.row === this.chosen);
    if (!pick) return "No pick is chosen; next goes to the first.";
    const word = WORDS[this.app.decisions.decision[pick.row]] || (pick.added ? "added" : "not decided");
    return `x ${pick.x.toFixed(0)}, y ${pick.y.toFixed(0)}, z ${pick.z.toFixed(0)} Å, ${word}`;
  }
}
