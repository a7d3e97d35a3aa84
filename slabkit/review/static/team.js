// How the team is doing: counts, pace, agreement, and the queue of disagreements.

import { rebuilt } from "./panel.js";

export class Team {
  name = "team";

  constructor(app) {
    this.app = app;
    this.element = document.createElement("div");
    this.element.className = "view team";
    this.element.tabIndex = 0;
  }

  show() {
    this.load();
    this.timer = setInterval(() => this.load(), 3000);
    this.element.focus({ preventScroll: true });
  }

  hide() { clearInterval(this.timer); }

  async load() {
    if (this.app.source.offline) return this.draw(this.alone());
    try { this.draw(await this.app.source.team()); } catch { /* the next time */ }
  }

  alone() {
    const [none, accepted, rejected, undecided] = this.app.decisions.totals;
    const decided = accepted + rejected + undecided;
    return {
      people: [{ name: this.app.data.reviewer, decided, accepted, rejected, undecided, per_minute: "", left: none }],
      pairs: [], picks: this.app.data.count, seen: decided, twice: 0, disputed: 0, overlap: 0,
    };
  }

  draw(report) {
    const told = JSON.stringify(report);
    if (told === this.shown) return;
    this.shown = told;
    rebuilt(this.element, () => this.make(report));
  }

  make(report) {
    const numbers = [
      [report.seen, `of ${report.picks} picks looked at`],
      [report.people.reduce((sum, one) => sum + (Number(one.per_minute) || 0), 0).toFixed(1), "decisions a minute, all together"],
    ];
    if (this.app.data.team) numbers.push([report.twice, "looked at by two or more"], [report.disputed, "disagreements open"]);
    if (report.expected_f_beta !== undefined)
      numbers.push([report.expected_f_beta.toFixed(3), `F${report.beta} expected now`]);
    this.element.replaceChildren();
    const title = document.createElement("h2");
    title.textContent = "How far we are";
    const row = document.createElement("div");
    row.className = "numbers";
    for (const [value, text] of numbers) {
      const cell = document.createElement("div");
      const b = document.createElement("b"), span = document.createElement("span");
      b.textContent = value;
      span.textContent = text;
      cell.append(b, span);
      row.append(cell);
    }
    this.element.append(title, row);
    if (report.advice) {
      const advice = document.createElement("p");
      advice.textContent = report.advice;
      this.element.append(advice);
    }
    if (this.app.data.team) {
      const buttons = document.createElement("div");
      buttons.className = "buttons";
      for (const [text, disputed] of [["Next batch", false], [`Decide disagreements (${report.disputed})`, true]]) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = text;
        button.addEventListener("click", () => this.app.batch(disputed));
        buttons.append(button);
      }
      this.element.append(buttons);
    }
    this.table("Reviewers", ["reviewer", "decided", "accepted", "rejected", "undecided", "a minute", "left of the batch"],
      report.people.map((one) => [one.name, one.decided, one.accepted, one.rejected, one.undecided, one.per_minute, one.left]));
    if (report.pairs.length)
      this.table("Agreement", ["first", "second", "picks", "agree", "kappa"],
        report.pairs.map((one) => [one.first, one.second, one.picks, `${(100 * one.agree).toFixed(1)} %`, one.kappa?.toFixed(3) ?? "–"]));
  }

  table(caption, columns, rows) {
    const title = document.createElement("h2");
    title.textContent = caption;
    const box = document.createElement("div");
    box.className = "wide-table";
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", caption);
    const table = document.createElement("table");
    table.setAttribute("aria-label", caption);
    const head = table.createTHead().insertRow();
    for (const name of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const values of rows) {
      const line = body.insertRow();
      for (const value of values) line.insertCell().textContent = value;
    }
    box.append(table);
    this.element.append(title, box);
  }

  act() { return false; }
  redraw() {}
  row() { return -1; }
  told() { return "Team"; }
}
