// The page: views, decisions and keys put together.

import { Classes } from "./classes.js";
import { Decisions, WORDS } from "./decisions.js";
import { Grid } from "./grid.js";
import { Keys, shown } from "./keys.js";
import { Listing } from "./listing.js";
import { Panel } from "./panel.js";
import { Pick } from "./pick.js";
import { Server } from "./source.js";
import { Team } from "./team.js";
import { Atlas, Look, TileStore } from "./tiles.js";
import { Tomogram } from "./tomogram.js";

const MANY = 2000; // more than these are decided only after a question

export class App {
  constructor(source) {
    this.source = source;
    this.advance = true;
    this.stage = document.getElementById("stage");
  }

  async start() {
    const [data, mine] = await Promise.all([this.source.list(), this.source.mine()]);
    this.data = data;
    document.title = `slabkit review: ${data.count} minislabs${data.team ? `, ${data.reviewer}` : ""}`;
    this.decisions = new Decisions(data.count, data.species, data.classes, this.source);
    this.decisions.load(mine);
    this.listing = new Listing(data, this.decisions);
    if (data.arrays.suggested) this.listing.setSuggested(data.arrays.suggested);
    this.listing.refresh();
    this.look = new Look();
    try { this.look.change(JSON.parse(localStorage.getItem("slabkit-review-look") ?? "{}")); } catch { /* ours */ }
    this.store = new TileStore(this.source, data.side);
    this.store.onLoad = () => this.current?.redraw();
    this.store.onTrouble = (error) => this.say(`Tiles cannot be read: ${error.message}`);
    this.atlas = new Atlas(this.store, this.look, data.pixel);
    this.grid = new Grid(this);
    this.classes = new Classes(this);
    this.pick = new Pick(this);
    this.tomogram = new Tomogram(this);
    this.team = new Team(this);
    for (const view of [this.grid, this.classes, this.pick, this.tomogram, this.team]) {
      view.element.hidden = true;
      this.stage.append(view.element);
    }
    this.views = { tiles: this.grid, classes: this.classes, pick: this.pick, tomogram: this.tomogram, team: this.team };
    this.keys = new Keys((action, event) => this.act(action, event));
    if (innerWidth < 760) document.body.classList.add("narrow");
    this.panel = new Panel(this);
    this.decisions.onChange((what) => this.changed(what));
    this.buttons();
    this.changed("all");
    this.show("tiles");
    this.grid.resume();
    addEventListener("beforeunload", (event) => { if (this.decisions.waiting.length) event.preventDefault(); });
    this.keysStay();
    this.learnOrder();
    if (data.team) this.batch(false);
    this.learnOthers();
    document.body.dataset.ready = "yes";
  }

  buttons() {
    const useless = this.source.offline ? ["tomogram", "team"] : [];
    for (const name of useless) document.querySelector(`nav [data-view=${name}]`).hidden = true;
    this.stage.addEventListener("pointerdown", () => {
      if (innerWidth < 760) document.body.classList.add("narrow");
    });
    for (const button of document.querySelectorAll("nav button"))
      button.addEventListener("click", () => this.show(button.dataset.view));
    for (const button of document.querySelectorAll("header [data-action]"))
      button.addEventListener("click", () => this.act(button.dataset.action));
    this.actions = document.getElementById("actions");
    this.drawActions();
  }

  keysStay() { // what was clicked does not keep the keys that move through the tiles
    let pointed = false;
    addEventListener("pointerdown", () => { pointed = true; }, true);
    addEventListener("keydown", () => { pointed = false; }, true);
    const leave = (event) => {
      if (!pointed || event.target.closest("dialog, #stage .card, .scroll, canvas")) return;
      if (event.type === "click" && event.target.matches("select, input[type=range]")) return;
      this.current.element.querySelector("[tabindex='0']")?.focus({ preventScroll: true });
    };
    addEventListener("click", leave);
    addEventListener("change", leave);
  }

  drawActions() {
    const { species } = this.data;
    const make = (action, text, kind, chip) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = kind;
      button.dataset.action = action;
      if (chip) {
        const dot = document.createElement("span");
        dot.className = "chip";
        dot.style.background = chip;
        button.append(dot);
      }
      button.append(`${text} `);
      const key = this.keys.keysOf(action)[0];
      if (key && kind !== "touch") {
        const kbd = document.createElement("kbd");
        kbd.textContent = shown(key);
        button.append(kbd);
      }
      button.addEventListener("click", () => this.act(action));
      return button;
    };
    const told = document.createElement("span");
    told.className = "told";
    this.actions.replaceChildren(
      make("accept", "Accept", "accept"), make("reject", "Reject", "reject"), make("undecided", "Undecided", ""),
      ...species.map((name, i) => make(`species${i + 1}`, name, "", this.colourOf(i + 1))),
      make("back", "Back", ""), make("next", "Next", ""),
      ...[["range", "Range"], ["all", "All"], ["none", "None"], ["open", "Open"]].map(([action, text]) => make(action, text, "touch")),
      told,
    );
  }

  // ---- what is shown

  show(name) {
    if (this.current) {
      this.current.hide();
      this.current.element.hidden = true;
    }
    this.current = this.views[name];
    document.body.dataset.view = name;
    this.current.element.hidden = false;
    for (const button of document.querySelectorAll("nav button"))
      button.setAttribute("aria-pressed", button.dataset.view === name);
    this.current.show();
    this.told();
  }

  filter(values) {
    Object.assign(this.listing.filters, values);
    this.listing.refresh();
    this.listed();
  }

  async again() {
    await this.learnOthers();
    this.filter({});
  }

  showAll() {
    for (const name of Object.keys(this.listing.filters)) this.listing.filters[name] = "";
    this.listing.scope = null;
    this.filter({});
  }

  sort(name, reverse) {
    this.listing.sort = name;
    this.listing.reverse = reverse;
    this.filter({});
  }

  listed() {
    this.panel.shownOrder = this.expected?.version;
    this.grid.listed();
    this.panel.build();
  }

  lookAs(values) {
    this.look.change(values);
    const { contrast, brightness, lowpass, invert } = this.look;
    localStorage.setItem("slabkit-review-look", JSON.stringify({ contrast, brightness, lowpass, invert }));
    this.panel.update();
    this.current.redraw();
  }

  colourOf(species) { return this.data.colours[this.data.species[species - 1]] ?? this.data.colours[""] ?? "#ffb000"; }

  colourOfRow(row, name = "") {
    const species = this.decisions.species[row];
    if (species) return this.colourOf(species);
    return this.data.colours[name] ?? "#ffb000";
  }

  speciesName(number) { return number ? this.data.species[number - 1] : ""; }

  describe(row) {
    const { columns, data } = this.listing;
    if (row < 0 || row >= data.count) return "";
    const parts = [data.tomograms[columns.tomogram[row]]];
    if (data.classes.length > 1) parts.push(`class ${data.classes[columns.class[row]].name || "none"}`);
    if (columns.score[row] === columns.score[row]) parts.push(`score ${columns.score[row].toFixed(2)}`);
    if (columns.probability[row] === columns.probability[row]) parts.push(`probability ${columns.probability[row].toFixed(2)}`);
    return parts.join(", ");
  }

  told() {
    const text = this.current.told();
    const place = this.actions?.querySelector(".told");
    if (place) place.textContent = text;
    clearTimeout(this.speaking); // for people who hear the page: not every step of a held key
    this.speaking = setTimeout(() => { document.getElementById("told").textContent = text; }, 250);
  }

  say(text) {
    const place = this.actions.querySelector(".told");
    place.textContent = text;
    document.getElementById("told").textContent = text;
  }

  changed(what) {
    const [none, accepted, rejected, undecided] = this.decisions.totals;
    const counts = document.getElementById("counts");
    counts.innerHTML = '<b class="good"></b><span> accepted, </span><b class="bad"></b><span> rejected, </span>'
      + '<b class="unsure"></b><span> undecided, </span><b></b><span> left</span>';
    const numbers = counts.querySelectorAll("b");
    [accepted, rejected, undecided, none].forEach((value, i) => { numbers[i].textContent = value; });
    const saved = document.getElementById("saved");
    const waiting = this.decisions.waiting.length;
    saved.textContent = this.decisions.failed ? `${waiting} not saved: ${this.decisions.failed}` : waiting ? `saving ${waiting}` : "all saved";
    saved.className = this.decisions.failed ? "late" : "";
    if (what === "saved") return;
    this.panel?.update();
    if (what === "places") { this.pick.forget(); this.tomogram.changed(); }
    if (this.current === this.classes) this.classes.update();
    this.current?.redraw();
  }

  drawn() { // for measurements: from a key to what it shows
    if (this.pressedAt) {
      this.latency = performance.now() - this.pressedAt;
      (this.latencies ??= []).push(this.latency);
      this.pressedAt = 0;
    }
  }

  // ---- what is done

  act(action, event) {
    if (event) this.pressedAt = performance.now();
    const decide = { accept: 1, reject: 2, undecided: 3 };
    if (action in decide) return this.decide(decide[action]);
    if (action.startsWith("species")) {
      const name = this.data.species[Number(action.slice(7)) - 1];
      if (name !== undefined) this.decide(1, name);
      return undefined;
    }
    if (action === "undo" || action === "redo") return this.takeBack(action);
    if (action === "keys") return this.keys.open();
    if (action === "keysChanged") return this.drawActions();
    if (action === "panel") {
      document.body.classList.toggle("narrow");
      return undefined;
    }
    if (action === "invert") return this.lookAs({ invert: !this.look.invert });
    if (action === "filter") return this.again();
    if (action === "batch") return this.data.team ? this.batch(false) : undefined;
    if (this.current.act(action)) {
      if (action === "range") this.actions.querySelector("[data-action=range]").setAttribute("aria-pressed", this.grid.ranging);
      return undefined;
    }
    if (action in this.views) return this.show(action);
    if (action === "none" && this.current !== this.grid) return this.show("tiles");
    if (action === "none" && this.listing.filters.class !== "") {
      this.listing.scope = this.batchRows ?? null;
      this.batchRows = null;
      this.filter({ class: "" });
      return this.show("classes");
    }
    return undefined;
  }

  decide(decision, species = "") {
    const view = this.current;
    if (view === this.classes) {
      view.decide(decision, species);
      this.told();
      return;
    }
    if (!view.rows_) return;
    const rows = view.rows_();
    if (!rows.length || rows[0] < 0) return;
    if (rows.length > MANY) { this.decideMany(rows, decision, 1, "the selection", species); return; }
    this.decisions.decide(rows, decision, species);
    view.decided();
    if (this.listing.scope) this.batchDone();
  }

  async decideMany(rows, decision, how, what, species = "") {
    if (!rows.length) return;
    if (!(await this.ask(`${WORDS[decision]}: ${rows.length} picks, ${what}? Undo takes it back.`))) return;
    this.decisions.decide(rows, decision, species, how);
    this.grid.selected.clear();
    this.grid.redraw();
    this.told();
  }

  ask(question) {
    const dialog = document.getElementById("ask");
    dialog.innerHTML = '<h2 id="ask-title"></h2><div class="buttons">'
      + '<button type="button" data-answer="yes">Yes</button><button type="button" data-answer="">No</button></div>';
    dialog.querySelector("h2").textContent = question;
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      for (const button of dialog.querySelectorAll("button"))
        button.addEventListener("click", () => dialog.close(button.dataset.answer));
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    });
  }

  takeBack(action) {
    if (action === "undo" && this.tomogram.unnudge()) return;
    const done = this.decisions[action]();
    if (!done) { this.say(`Nothing to ${action}.`); return; }
    if (this.current === this.classes && done.class) this.classes.moveTo(done.class);
    let seen = true;
    if (this.current !== this.classes && done.kind === "decide" && done.touched?.length) {
      if (this.current === this.tomogram) this.tomogram.choose(this.tomogram.picks.find((one) => one.row === done.touched[0]));
      else seen = this.grid.focusRow(done.touched[0]);
    }
    if (this.current === this.pick) this.pick.load();
    this.told();
    if (!seen) this.say(`${action}: ${done.touched.length} that are not in this list, ${this.describe(done.touched[0])}`);
  }

  // ---- what comes from the server meanwhile

  async learnOrder() { // it comes when it is made, and again when labels have changed it
    for (let wait = 300; !this.source.offline; wait = Math.min(10_000, wait * 1.7)) {
      try {
        const order = await this.source.order(this.expected?.version ?? "");
        if (order) {
          const first = !this.expected;
          this.expected = order;
          this.listing.setSuggested(order.arrays.order, order.arrays.probability);
          const { sort, scope } = this.listing;
          const changes = sort === "probability" || (sort === "suggest" && !scope);
          if (first && changes && this.grid.focus === this.grid.resumed) {
            this.filter({});
            this.grid.resume();
          }
          else if (first) this.panel.build();
          else this.panel.progress();
        }
      } catch { /* the next time */ }
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  async learnOthers() {
    if (this.source.offline) return;
    try {
      const { names, arrays } = await this.source.others();
      this.listing.others = new Map(names.map((name, i) => [name, new Set(arrays[`rows${i}`])]));
      if (names.length) this.panel.build();
    } catch { /* not needed to go on */ }
  }

  async batch(disputed) {
    try {
      const { arrays } = await this.source.batch(disputed);
      if (!arrays.rows.length) {
        this.say(disputed ? "No disagreement waits for you." : "Nothing is left for you: thank you.");
        return;
      }
      for (const name of Object.keys(this.listing.filters)) this.listing.filters[name] = "";
      this.batchRows = null;
      this.listing.scope = Array.from(arrays.rows);
      this.filter({});
      this.show("tiles");
      this.learnOthers();
    } catch (error) { this.say(error.message); }
  }

  async batchDone() {
    const { scope } = this.listing;
    if (!this.data.team || scope.some((row) => !this.decisions.decision[row])) return;
    await this.decisions.flushed();
    await this.batch(false);
  }
}

async function main() {
  if (location.search) history.replaceState(null, "", location.pathname); // the token stays secret
  const embedded = document.getElementById("embedded");
  const source = embedded ? new (await import("./embedded.js")).Embedded(embedded) : new Server();
  const app = new App(source);
  globalThis.review = app;
  try {
    await app.start();
  } catch (error) {
    document.getElementById("stage").textContent = `The page cannot be shown: ${error.message}`;
    throw error;
  }
}

main();
