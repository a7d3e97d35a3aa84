// Classes: averages, best first, each decided in one stroke.

import { WORDS } from "./decisions.js";
import { paint } from "./tiles.js";

export class Classes {
  name = "classes";

  constructor(app) {
    this.app = app;
    this.element = document.createElement("div");
    this.element.className = "view";
    this.focus = 0;
    this.cards = [];
  }

  async show() {
    if (!this.members) this.collect();
    if (!this.pictures) {
      this.element.innerHTML = '<p class="team soft">Loading the averages.</p>';
      this.pictures = await this.app.source.averages();
    }
    this.draw();
    this.cards[this.focus]?.focus();
  }

  hide() {}

  collect() {
    const { data, columns } = this.app.listing;
    this.members = data.classes.map(() => 0);
    for (let row = 0; row < data.count; row++) this.members[columns.class[row]]++;
    const rank = this.app.listing.classRank();
    this.codes = data.classes.map((_, code) => code).filter((code) => this.members[code]);
    this.codes.sort((a, b) => rank[a] - rank[b]);
  }

  rowsOf(code) {
    const own = this.app.listing.columns.class;
    const rows = new Uint32Array(this.members[code]);
    let n = 0;
    for (let row = 0; row < own.length; row++) if (own[row] === code) rows[n++] = row;
    return rows;
  }

  draw() {
    const { data } = this.app.listing;
    this.element.innerHTML = data.classes.length < 2
      ? '<p class="team">There are no classes: start with --classified.</p>'
      : '<h2 class="hidden">Classes</h2><div class="cards"></div>';
    if (data.classes.length < 2) return;
    const box = this.element.querySelector(".cards");
    this.cards = this.codes.map((code, place) => {
      const card = document.createElement("button");
      card.type = "button";
      card.className = "card";
      card.dataset.class = data.classes[code].name;
      const canvas = document.createElement("canvas");
      canvas.setAttribute("aria-hidden", "true");
      card.append(canvas, document.createElement("b"), document.createElement("span"), document.createElement("span"));
      card.addEventListener("click", () => this.move(place));
      card.addEventListener("focus", () => this.move(place, false));
      card.addEventListener("dblclick", () => this.open());
      box.append(card);
      return card;
    });
    this.paint();
    this.update();
  }

  paint() {
    const { look, data } = this.app;
    this.painted = look.version;
    this.cards.forEach((card, place) => {
      const code = String(this.codes[place]), bytes = this.pictures.arrays[code];
      const side = this.pictures.sides[code];
      if (bytes) paint(card.querySelector("canvas"), bytes, side, side, look, data.pixel);
    });
  }

  update() {
    const { data, columns } = this.app.listing;
    const { decision, how, totals } = this.app.decisions;
    if (!this.cards.length) return;
    const tally = data.classes.map(() => new Uint32Array(4));
    const hand = data.classes.map(() => 0);
    if (totals[0] < data.count)
      for (let row = 0; row < data.count; row++) {
        if (!decision[row]) continue;
        tally[columns.class[row]][decision[row]]++;
        if (how[row] === 1) hand[columns.class[row]]++;
      }
    this.cards.forEach((card, place) => {
      const code = this.codes[place];
      const { name, quality, species } = data.classes[code];
      const [, yes, no, unsure] = tally[code];
      const most = Math.max(yes, no, unsure);
      const done = yes + no + unsure;
      const whole = done && 2 * most >= this.members[code];
      card.className = `card ${whole ? WORDS[[yes, no, unsure].indexOf(most) + 1] : ""}`;
      card.setAttribute("aria-current", place === this.focus);
      const [title, size, counts] = card.querySelectorAll("b, span");
      title.textContent = name ? `Class ${name}` : "No class";
      if (species) title.textContent += `: ${species}`;
      size.textContent = `${this.members[code]} picks` + (quality == null ? "" : `, quality ${quality.toFixed(2)}`);
      counts.textContent = done ? `✓ ${yes}  ✕ ${no}  ? ${unsure}; ${hand[code]} by hand` : "not decided";
    });
  }

  redraw() { if (this.pictures && this.painted !== this.app.look.version) this.paint(); }
  row() { return this.codes?.length ? this.rowsOf(this.codes[this.focus])[0] : -1; }

  move(place, focus = true) {
    this.focus = Math.max(0, Math.min(this.cards.length - 1, place));
    this.cards.forEach((card, i) => card.setAttribute("aria-current", i === this.focus));
    if (focus) this.cards[this.focus]?.focus();
    this.app.told();
  }

  moveTo(name) {
    this.move(this.codes.findIndex((code) => this.app.listing.data.classes[code].name === name));
  }

  decide(decision, species) {
    const code = this.codes[this.focus];
    const { name, species: named } = this.app.listing.data.classes[code];
    if (!name) return;
    if (decision === 1 && !species && this.app.data.species.includes(named)) species = named;
    this.app.decisions.decide(this.rowsOf(code), decision, species, 2, name);
    if (this.app.advance) this.move(this.focus + 1);
  }

  open() {
    const code = this.codes[this.focus];
    const { listing } = this.app;
    this.app.batchRows = listing.scope ?? this.app.batchRows; // all members, not those of a batch
    listing.scope = null;
    this.app.filter({ class: String(code) });
    this.app.show("tiles");
  }

  act(action) {
    const tops = this.cards.map((card) => card.offsetTop);
    const across = Math.max(1, tops.filter((one) => one === tops[0]).length);
    const steps = { next: 1, back: -1, down: across, up: -across, pageDown: 3 * across, pageUp: -3 * across };
    if (action in steps) this.move(this.focus + steps[action]);
    else if (action === "first") this.move(0);
    else if (action === "last") this.move(this.cards.length - 1);
    else if (action === "open") this.open();
    else return false;
    return true;
  }

  told() {
    if (!this.cards.length) return "No classes.";
    const { name, species } = this.app.listing.data.classes[this.codes[this.focus]];
    const as = species ? `accepted as ${species}; ` : "";
    return `Class ${name || "none"}, ${this.members[this.codes[this.focus]]} picks: ${as}a decision is on all of them, less those decided by hand`;
  }
}
