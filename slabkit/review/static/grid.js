// The tiles: any number of them in one canvas, of which only what is seen is drawn.

import { HOW, WORDS } from "./decisions.js";

const GAP = 4;
const HIGHEST = 12e6; // pixels that browsers still scroll

export class Grid {
  name = "tiles";

  constructor(app) {
    this.app = app;
    this.size = Number(localStorage.getItem("slabkit-review-size")) || (innerWidth < 760 ? 84 : 112);
    this.shown = this.size;
    this.focus = 0; // a place in the view
    this.anchor = 0;
    this.selected = new Set(); // rows
    this.element = document.createElement("div");
    this.element.className = "view grid";
    this.element.innerHTML = '<div class="scroll" tabindex="0" role="application" '
      + 'aria-roledescription="wall of tiles" aria-label="Minislabs"><canvas aria-hidden="true">'
      + '</canvas><div class="room"></div></div><p class="nothing" hidden>Nothing fits these '
      + 'filters.</p>';
    this.scroll = this.element.querySelector(".scroll");
    this.canvas = this.element.querySelector("canvas");
    this.room = this.element.querySelector(".room");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.scroll.addEventListener("scroll", () => this.redraw());
    this.pointer();
    new ResizeObserver(() => this.resize()).observe(this.scroll);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.colours());
    this.colours();
  }

  colours() {
    const style = getComputedStyle(document.documentElement);
    this.colour = Object.fromEntries(
      ["stage", "good", "bad", "unsure", "focus", "ink", "ground", "line"].map((name) => [
        name, style.getPropertyValue(`--${name}`).trim(),
      ]),
    );
    this.redraw();
  }

  get view() { return this.app.listing.view; }
  get cell() { return this.shown + GAP; }

  show() { this.resize(); this.scroll.focus({ preventScroll: true }); }
  hide() {}

  resize() {
    const { clientWidth: width, clientHeight: height } = this.scroll;
    if (!width || !height) return;
    this.dense = devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(width * this.dense);
    this.canvas.height = Math.round(height * this.dense);
    this.layout(true);
  }

  layout(keep = false) {
    if (!this.width) return;
    this.across = Math.max(1, Math.floor((this.width - GAP) / (this.size + GAP)));
    this.shown = (this.width - GAP) / this.across - GAP; // as large as fits the width
    this.rows = Math.ceil(this.view.length / this.across);
    this.full = this.rows * this.cell + GAP;
    this.scale = Math.max(1, this.full / HIGHEST); // of a scrolled pixel
    this.room.style.height = `${Math.max(0, Math.min(this.full, HIGHEST) - this.height)}px`;
    this.element.querySelector(".nothing").hidden = this.view.length > 0;
    this.focus = Math.max(0, Math.min(this.focus, this.view.length - 1));
    if (keep) this.reveal();
    this.redraw();
  }

  get top() {
    const most = Math.max(0, this.full - this.height);
    const room = Math.max(1, Math.min(this.full, HIGHEST) - this.height);
    return this.scale > 1 ? (this.scroll.scrollTop / room) * most : this.scroll.scrollTop;
  }

  scrollTo(top) {
    const most = Math.max(0, this.full - this.height);
    const room = Math.max(1, Math.min(this.full, HIGHEST) - this.height);
    const wanted = Math.max(0, Math.min(top, most));
    this.scroll.scrollTop = this.scale > 1 ? (wanted / most) * room : wanted;
  }

  reveal() {
    if (!this.across) return;
    const top = Math.floor(this.focus / this.across) * this.cell;
    const seen = this.top;
    if (top < seen) this.scrollTo(top);
    else if (top + this.cell + GAP > seen + this.height) this.scrollTo(top + this.cell + GAP - this.height);
  }

  listed() { // the view is another one
    this.focus = 0;
    this.anchor = 0;
    this.selected.clear();
    this.scroll.scrollTop = 0;
    this.layout();
    this.app.told();
  }

  resume() { // where one left off: at the first that is not decided
    const { decision } = this.app.decisions;
    this.move(Math.max(0, this.view.findIndex((row) => !decision[row])));
    this.resumed = this.focus;
  }

  focusRow(row) {
    const place = this.view.indexOf(row);
    if (place >= 0) this.move(place);
    return place >= 0;
  }

  row() { return this.view.length ? this.view[this.focus] : -1; }

  rows_() { // that a decision is on
    if (this.selected.size) return Uint32Array.from(this.selected);
    return this.view.length ? Uint32Array.of(this.row()) : new Uint32Array(0);
  }

  decided() {
    if (this.selected.size) this.selected.clear();
    else if (this.app.advance && this.focus < this.view.length - 1) return this.move(this.focus + 1);
    this.redraw();
    this.app.told();
  }

  move(place, extend = false) {
    place = Math.max(0, Math.min(this.view.length - 1, place));
    if (extend) this.range(this.anchor, place);
    else this.anchor = place;
    this.focus = place;
    this.reveal();
    this.redraw();
    this.app.told();
  }

  range(from, to) {
    if (this.lastRange) for (let i = this.lastRange[0]; i <= this.lastRange[1]; i++) this.selected.delete(this.view[i]);
    const [low, high] = from < to ? [from, to] : [to, from];
    for (let i = low; i <= high; i++) this.selected.add(this.view[i]);
    this.lastRange = [low, high];
  }

  act(action) {
    const page = Math.max(1, Math.floor(this.height / this.cell)) * this.across;
    const steps = {
      next: 1, back: -1, down: this.across, up: -this.across, pageDown: page, pageUp: -page,
      extendNext: 1, extendBack: -1, extendDown: this.across, extendUp: -this.across,
    };
    if (action in steps) this.move(this.focus + steps[action], action.startsWith("extend"));
    else if (action === "first") this.move(0);
    else if (action === "last") this.move(this.view.length - 1);
    else if (action === "select") this.toggle(this.focus);
    else if (action === "range") this.ranging = !this.ranging;
    else if (action === "all") {
      this.selected = new Set(this.view);
      this.redraw();
      this.app.told();
    } else if (action === "none") {
      if (!this.selected.size) return false;
      this.selected.clear();
      this.lastRange = null;
      this.redraw();
      this.app.told();
    } else if (action === "larger" || action === "smaller") {
      this.setSize(this.size * (action === "larger" ? 1.25 : 0.8));
    } else if (action === "open" && this.view.length) this.app.show("pick");
    else return false;
    if (!action.startsWith("extend")) this.lastRange = null;
    return true;
  }

  setSize(size) {
    this.size = Math.round(Math.max(40, Math.min(400, size)));
    localStorage.setItem("slabkit-review-size", this.size);
    const slider = document.getElementById("size");
    if (slider) slider.value = this.size;
    this.layout(true);
  }

  toggle(place) {
    const row = this.view[place];
    if (row === undefined) return;
    if (!this.selected.delete(row)) this.selected.add(row);
    this.anchor = place;
    this.redraw();
    this.app.told();
  }

  placeAt(event) {
    const frame = this.canvas.getBoundingClientRect();
    const x = event.clientX - frame.left, y = event.clientY - frame.top + this.top;
    const column = Math.floor((x - GAP) / this.cell), line = Math.floor((y - GAP) / this.cell);
    const place = line * this.across + column;
    const inside = column >= 0 && column < this.across && line >= 0 && place < this.view.length;
    return { x, y, place: inside ? place : -1 };
  }

  pointer() {
    let start = null, timer = 0;
    const canvas = this.scroll;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.offsetX > this.width) return;
      const at = this.placeAt(event);
      start = { ...at, event, dragged: false };
      if (event.pointerType === "touch") {
        timer = setTimeout(() => { // a long touch selects, and may go on to draw a frame
          if (!start) return;
          start.held = true;
          if (start.place >= 0) this.toggle(start.place);
        }, 450);
      } else canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!start) return;
      const far = Math.hypot(event.clientX - start.event.clientX, event.clientY - start.event.clientY);
      if (far > 8) clearTimeout(timer);
      if (event.pointerType === "touch" && !start.held) { if (far > 12) start = null; return; }
      if (far < 6 && !start.dragged) return;
      start.dragged = true;
      const at = this.placeAt(event);
      this.band = [Math.min(start.x, at.x), Math.min(start.y, at.y), Math.max(start.x, at.x), Math.max(start.y, at.y)];
      if (event.clientY > this.canvas.getBoundingClientRect().bottom - 12) this.scroll.scrollTop += 16;
      this.redraw();
    });
    const end = (event) => {
      clearTimeout(timer);
      if (!start) return;
      const { place, dragged, held, event: down } = start;
      start = null;
      if (dragged && this.band) {
        if (!down.ctrlKey && !down.metaKey && !down.shiftKey && !held) this.selected.clear();
        for (const row of this.inBand()) this.selected.add(row);
        this.band = null;
        this.redraw();
        this.app.told();
      } else if (place >= 0 && !held && event.type === "pointerup") {
        if (down.shiftKey || this.ranging) this.move(place, true);
        else if (down.ctrlKey || down.metaKey) { this.toggle(place); this.focus = place; }
        else { this.selected.clear(); this.lastRange = null; this.move(place); }
      }
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", () => { clearTimeout(timer); start = null; this.band = null; });
    canvas.addEventListener("touchmove", (event) => {
      if (start?.held) event.preventDefault(); // a frame is drawn: not a scroll
    }, { passive: false });
    canvas.addEventListener("contextmenu", (event) => { if (start) event.preventDefault(); });
    canvas.addEventListener("dblclick", (event) => {
      if (this.placeAt(event).place >= 0) this.app.show("pick");
    });
  }

  inBand() {
    const [left, top, right, bottom] = this.band;
    const rows = [];
    const first = Math.max(0, Math.floor((top - GAP) / this.cell)), last = Math.floor((bottom - GAP) / this.cell);
    const from = Math.max(0, Math.floor((left - GAP) / this.cell)), to = Math.min(this.across - 1, Math.floor((right - GAP) / this.cell));
    for (let line = first; line <= last; line++)
      for (let column = from; column <= to; column++) {
        const row = this.view[line * this.across + column];
        if (row !== undefined) rows.push(row);
      }
    return rows;
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.draw(); });
  }

  draw() {
    if (!this.width || !this.element.isConnected || this.element.hidden) return;
    const { context, dense, cell, shown: size, across, view } = this;
    const { decisions, atlas, store } = this.app;
    const top = this.top;
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.fillStyle = this.colour.stage;
    context.fillRect(0, 0, this.width, this.height);
    const first = Math.floor(top / cell) * across;
    const last = Math.min(view.length, Math.ceil((top + this.height) / cell) * across);
    const missing = [];
    atlas.paint(view.subarray(first, last));
    for (let place = first; place < last; place++) {
      const row = view[place];
      const x = GAP + (place % across) * cell, y = GAP + Math.floor(place / across) * cell - top;
      if (!atlas.draw(context, row, x, y, size)) {
        missing.push(row);
        context.fillStyle = this.colour.line;
        context.fillRect(x, y, size, size);
      }
      this.mark(context, row, x, y, place === this.focus, decisions);
    }
    if (this.band) {
      const [left, high, right, low] = this.band;
      context.strokeStyle = this.colour.focus;
      context.lineWidth = 1.5;
      context.setLineDash([5, 4]);
      context.strokeRect(left, high - top, right - left, low - high);
      context.setLineDash([]);
    }
    const ahead = Math.min(view.length, last + 2 * (last - first));
    store.want([...missing, ...view.subarray(last, ahead), ...view.subarray(Math.max(0, first - (last - first)), first)]);
    this.app.drawn();
  }

  mark(context, row, x, y, focused, decisions) {
    const { shown: size } = this;
    const decision = decisions.decision[row];
    if (decision) {
      const colour = [null, this.colour.good, this.colour.bad, this.colour.unsure][decision];
      context.strokeStyle = colour;
      context.lineWidth = 3;
      context.setLineDash(HOW[decisions.how[row]] === "hand" ? [] : [6, 4]); // not by hand: dashed
      context.strokeRect(x + 1.5, y + 1.5, size - 3, size - 3);
      context.setLineDash([]);
      if (decision === 2) {
        context.fillStyle = "#0007";
        context.fillRect(x + 3, y + 3, size - 6, size - 6);
      }
      const badge = Math.max(14, Math.min(20, size / 5));
      const species = decisions.species[row];
      context.fillStyle = species ? this.app.colourOf(species) : colour;
      context.fillRect(x + size - badge, y, badge, badge);
      context.fillStyle = species ? "#000" : this.colour.ground;
      context.font = `600 ${Math.round(badge * 0.78)}px system-ui, sans-serif`;
      context.textAlign = "center";
      context.textBaseline = "middle";
      const sign = species ? String(species) : ["", "✓", "✕", "?"][decision];
      context.fillText(sign, x + size - badge / 2, y + badge / 2 + 1);
    }
    if (this.selected.has(row)) {
      context.fillStyle = this.colour.focus;
      context.globalAlpha = 0.32;
      context.fillRect(x, y, size, size);
      context.globalAlpha = 1;
    }
    if (focused) {
      context.strokeStyle = this.colour.ground;
      context.lineWidth = 5;
      context.strokeRect(x - 1, y - 1, size + 2, size + 2);
      context.strokeStyle = this.colour.focus;
      context.lineWidth = 3;
      context.strokeRect(x - 1, y - 1, size + 2, size + 2);
    }
  }

  told() {
    if (!this.view.length) return "Nothing fits these filters.";
    const chosen = this.selected.size ? `${this.selected.size} selected, ` : "";
    const word = WORDS[this.app.decisions.decision[this.row()]] || "not decided";
    return `${chosen}${this.focus + 1} of ${this.view.length}: ${this.app.describe(this.row())}, ${word}`;
  }
}
