// The panel beside the tiles: sorting, filters, the threshold, how images are shown.

import { HOW, WORDS } from "./decisions.js";

function field(id, text, control) {
  const box = document.createElement("div");
  box.className = "field";
  const label = document.createElement("label");
  label.htmlFor = id;
  label.textContent = text;
  control.id = id;
  box.append(label, control);
  return box;
}

function select(choices, value, change) {
  const control = document.createElement("select");
  for (const [key, text] of choices) control.append(new Option(text, key));
  control.value = value;
  control.addEventListener("change", () => change(control.value));
  return control;
}

function range(min, max, step, value, change) {
  const control = document.createElement("input");
  Object.assign(control, { type: "range", min, max, step, value });
  control.addEventListener("input", () => change(Number(control.value)));
  return control;
}

function check(value, change) {
  const control = document.createElement("input");
  control.type = "checkbox";
  control.checked = value;
  control.addEventListener("change", () => change(control.checked));
  return control;
}

function button(text, act) {
  const control = document.createElement("button");
  control.type = "button";
  control.textContent = text;
  control.addEventListener("click", act);
  return control;
}

function section(title, ...parts) {
  const box = document.createElement("section");
  const head = document.createElement("h2");
  head.textContent = title;
  box.append(head, ...parts);
  return box;
}

// Build a part of the page anew; what had the keys keeps them.
export function rebuilt(element, build) {
  const at = document.activeElement;
  const name = (one) => one.id || one.textContent;
  const had = at !== element && element.contains(at) ? name(at) : "";
  build();
  if (had) [...element.querySelectorAll("button, select, input")].find((one) => name(one) === had)?.focus();
}

export class Panel {
  constructor(app) {
    this.app = app;
    this.element = document.getElementById("panel");
    this.build();
  }

  build() { rebuilt(this.element, () => this.make()); }

  make() {
    const { app } = this;
    const { listing, data } = app;
    const filters = listing.filters;
    const sorts = [["list", "as listed"]];
    if (listing.suggested || data.order === "suggest") sorts.unshift(["suggest", "what to label next"]);
    if (listing.has("score")) sorts.push(["score", "score, highest first"]);
    if (listing.has("class")) sorts.push(["class", "class, best first"]);
    if (listing.has("probability")) sorts.push(["probability", "probability, highest first"]);
    const set = (name) => (value) => app.filter({ [name]: value });
    const any = ["", "any"];
    const reviewers = [...listing.others.keys()].map((name) => [name, name]);
    const shown = [
      ["tomogram", data.tomograms.map((name, i) => [i, name])],
      ["class", data.classes.map((one, i) => [i, one.name || "none"])],
      ["species", data.species.map((name, i) => [i + 1, name])],
    ].filter(([, choices]) => choices.length > 1);
    this.threshold = document.createElement("div");
    const close = button("Close the panel", () => app.act("panel"));
    close.className = "close";
    this.element.replaceChildren(
      close,
      ...(data.team ? [section(`Your batch, ${data.reviewer}`, this.batch())] : []),
      section("Order",
        field("sort", "by", select(sorts, listing.sort, (value) => app.sort(value, listing.reverse))),
        field("reverse", "backwards", check(listing.reverse, (value) => app.sort(listing.sort, value))),
        field("advance", "advance", check(app.advance, (value) => { app.advance = value; }))),
      this.expected = document.createElement("div"),
      section("Filter",
        ...shown.map(([name, choices]) => field(`filter-${name}`, name, select([any, ...choices], filters[name], set(name)))),
        field("filter-decision", "decision", select([any, ["0", "none yet"], ["decided", "decided"], ...WORDS.slice(1).map((word, i) => [i + 1, word])], filters.decision, set("decision"))),
        field("filter-how", "decided", select([any, ...HOW.slice(1).map((word, i) => [i + 1, `by ${word}`])], filters.how, set("how"))),
        ...(reviewers.length ? [field("filter-reviewer", "reviewer", select([any, ["me", "me"], ...reviewers], filters.reviewer, set("reviewer")))] : []),
        this.buttons(button("Apply again", () => app.again()), button("Show all", () => app.showAll()))),
      this.threshold,
      section("Display",
        field("size", "size", range(40, 400, 1, app.grid.size, (value) => app.grid.setSize(value))),
        field("contrast", "contrast", range(0.3, 4, 0.05, app.look.contrast, (contrast) => app.lookAs({ contrast }))),
        field("brightness", "brightness", range(-0.6, 0.6, 0.02, app.look.brightness, (brightness) => app.lookAs({ brightness }))),
        field("lowpass", "low-pass", range(0, 150, 1, app.look.lowpass, (lowpass) => app.lookAs({ lowpass }))),
        field("invert", "invert", check(app.look.invert, (invert) => app.lookAs({ invert }))),
        this.lowpassText = document.createElement("p")),
    );
    this.lowpassText.className = "soft";
    this.update();
    this.progress();
    this.drawThreshold();
  }

  progress() { // what is expected of the list with the labels so far
    const known = this.app.expected;
    if (!known) return;
    const lines = [
      `F${known.beta} expected now: ${known.expected_f_beta.toFixed(3)}, with ${known.labelled} labels.`,
      known.advice,
      known.trained ? `The model was trained on ${known.trained} labels.` : "",
      known.trouble ? `The model: ${known.trouble}` : "",
      this.shownOrder && this.shownOrder !== known.version && this.app.listing.sort === "suggest" ? "A new order is ready: Apply again." : "",
    ];
    this.shownOrder ??= known.version;
    this.expected.replaceChildren(section("Learning", ...lines.filter(Boolean).map((text) => {
      const line = document.createElement("p");
      line.textContent = text;
      return line;
    })));
  }

  buttons(...all) {
    const box = document.createElement("div");
    box.className = "buttons";
    box.append(...all);
    return box;
  }

  batch() {
    const box = document.createElement("div");
    this.left = document.createElement("p");
    box.append(this.left, this.buttons(button("Next batch", () => this.app.batch(false)), button("Disagreements", () => this.app.batch(true))));
    return box;
  }

  update() {
    const { look, listing, decisions } = this.app;
    this.lowpassText.textContent = look.lowpass ? `low-pass at ${look.lowpass} Å` : "no low-pass";
    document.getElementById("invert").checked = look.invert;
    if (this.left) {
      const open = listing.scope ? listing.scope.filter((row) => !decisions.decision[row]).length : 0;
      this.left.textContent = listing.scope ? `${open} of ${listing.scope.length} left` : "no batch yet";
    }
  }

  drawThreshold() {
    const list = this.app.listing;
    const names = ["score", "probability"].filter((name) => list.has(name));
    if (!names.length) return this.threshold.replaceChildren();
    this.column = names.includes(this.column) ? this.column : names[0];
    const [low, high] = list.range(this.column);
    const step = (high - low) / 1000 || 0.001;
    this.value = Math.min(high, Math.max(low, this.value ?? low));
    const slider = range(low, high, step, this.value, (value) => { this.value = value; this.count(); });
    this.counted = document.createElement("p");
    this.counted.setAttribute("role", "status");
    this.counted.id = "threshold-count";
    const parts = [];
    if (names.length > 1)
      parts.push(field("threshold-of", "of", select(names.map((one) => [one, one]), this.column, (value) => { this.column = value; this.value = undefined; this.drawThreshold(); })));
    parts.push(field("threshold", "at least", slider), this.counted,
      this.buttons(button("Accept those", () => this.decide(1)), button("Reject the others", () => this.decide(2))));
    this.threshold.replaceChildren(section("Threshold", ...parts));
    this.count();
  }

  count() {
    if (!this.counted) return;
    const { above, below, all } = this.app.listing.above(this.column, this.value);
    this.counted.textContent = `${this.column} ≥ ${this.value.toFixed(3)}: ${above} of ${all} shown; ${below} below`;
  }

  decide(decision) {
    const { listing } = this.app;
    const values = listing.columns[this.column];
    const wanted = decision === 1 ? (one) => one >= this.value : (one) => one < this.value;
    const rows = listing.view.filter((row) => wanted(values[row]));
    this.app.decideMany(rows, decision, 3, `${this.column} ${decision === 1 ? "≥" : "<"} ${this.value.toFixed(3)}`);
  }
}
