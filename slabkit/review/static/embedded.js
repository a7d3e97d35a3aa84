// The page without a server: data are in the page, decisions in the browser, results in a CSV file.

import { unpack } from "./source.js";

const PART = 100; // events that the browser keeps as one text

function bytes(element) {
  const text = atob(element.textContent);
  const data = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) data[i] = text.charCodeAt(i);
  return data;
}

export class Embedded {
  offline = true;

  constructor(element) {
    this.data = unpack(bytes(element).buffer);
    this.parts = [...document.querySelectorAll("script.tiles")];
    this.decoded = new Map();
    this.store = `slabkit-review-${this.data.set}-${this.data.round}`;
    this.events = [];
    try {
      for (let part = 0, text; (text = localStorage.getItem(`${this.store}-${part}`)) !== null; part++)
        this.events.push(...JSON.parse(text));
    } catch { /* as far as they can be read */ }
    const button = document.createElement("button");
    button.type = "button";
    button.id = "download";
    button.textContent = "Download CSV";
    button.addEventListener("click", () => this.download());
    document.querySelector("header [data-action=keys]").before(button);
  }

  async list() { return this.data; }
  async mine() { return this.events; }

  async tiles(rows) {
    const size = this.data.side ** 2;
    const result = new Uint8Array(rows.length * size);
    rows.forEach((row, i) => {
      const part = Math.floor(row / 4096);
      if (!this.decoded.has(part)) {
        this.decoded.set(part, bytes(this.parts[part]));
        this.parts[part].textContent = "";
      }
      const start = (row % 4096) * size;
      result.set(this.decoded.get(part).subarray(start, start + size), i * size);
    });
    return result;
  }

  async averages() {
    const arrays = {}, sides = {};
    this.data.classes.forEach((_, code) => {
      const values = this.data.arrays[`average${code}`];
      if (values) { arrays[code] = values; sides[code] = Math.round(Math.sqrt(values.length)); }
    });
    return { arrays, sides };
  }

  async pick(row) { return { id: this.data.ids[row], tomogram: this.data.tomograms[this.data.arrays.tomogram[row]], class: this.data.classes[this.data.arrays.class[row]].name, pick: {}, history: [] }; }

  async send(events) { // in parts, so that the last decision does not write all before it again
    const time = new Date().toISOString();
    const made = events.map((one) => ({ ...one, time }));
    const first = Math.floor(this.events.length / PART);
    const tail = [...this.events.slice(first * PART), ...made];
    for (let i = 0; i < tail.length; i += PART) // refuses when it is full: not saved then
      localStorage.setItem(`${this.store}-${first + i / PART}`, JSON.stringify(tail.slice(i, i + PART)));
    this.events.push(...made);
  }

  csv() {
    const { decisions } = globalThis.review;
    const times = new Map();
    for (const action of decisions.done) if (action.touched) for (const row of action.touched) times.set(row, action);
    const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const known = new Map(this.events.map((one) => [one.key, one.time]));
    const lines = ["pick_id,gallery_set,decision,species,class,time"];
    for (let row = 0; row < this.data.count; row++) {
      if (!decisions.decision[row]) continue;
      const action = times.get(row);
      const species = decisions.names[decisions.species[row]];
      const name = decisions.how[row] === 2 ? action?.class ?? "" : "";
      const word = ["", "accepted", "rejected", "undecided"][decisions.decision[row]];
      const values = [this.data.ids[row], this.data.set, word, species, name, known.get(action?.key) ?? ""];
      lines.push(values.map(quoted).join(","));
    }
    return `${lines.join("\n")}\n`;
  }

  download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" }));
    link.download = "clicks.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}
