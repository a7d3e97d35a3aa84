// What this reviewer decided: by row, with everything that can be taken back. The same rules as in
// slabkit/tables/events.py: the last decision counts, but what was decided by hand is left as it is
// by a decision on a class or by a threshold.

export const WORDS = ["", "accepted", "rejected", "undecided"];
export const HOW = ["", "hand", "class", "threshold"];
const ROOM = 65536; // rows for picks that are added

export class Decisions {
  constructor(count, species, classes, source) {
    this.count = count;
    this.decision = new Uint8Array(count + ROOM);
    this.species = new Uint8Array(count + ROOM);
    this.how = new Uint8Array(count + ROOM);
    this.names = ["", ...species];
    this.source = source;
    this.totals = new Uint32Array(4);
    this.totals[0] = count;
    this.done = [];
    this.undone = [];
    this.waiting = [];
    this.sending = false;
    this.failed = "";
    this.listeners = [];
  }

  onChange(listener) { this.listeners.push(listener); }
  changed(what) { for (const one of this.listeners) one(what); }

  load(events) {
    const order = new Map();
    const known = new Map();
    const undone = new Map();
    events.forEach((event, number) => {
      if (event.kind === "undo") {
        if (order.delete(event.of)) undone.set(event.of, known.get(event.of));
      } else if (event.kind === "redo") {
        if (known.has(event.of) && !order.has(event.of)) order.set(event.of, [number, known.get(event.of)]);
        undone.delete(event.of);
      } else if (!event.round) {
        known.set(event.key, event);
        order.set(event.key, [number, event]);
        undone.clear();
      }
    });
    const inForce = [...order.values()].sort((a, b) => a[0] - b[0]);
    for (const [, event] of inForce) this.apply(this.action(event));
    this.undone = [...undone.values()].map((event) => this.action(event));
    this.changed("all");
  }

  action(event) {
    if (event.kind !== "decide") return event;
    return {
      ...event,
      rows: Uint32Array.from(event.rows),
      decision: WORDS.indexOf(event.decision),
      species: Math.max(0, this.names.indexOf(event.species || "")),
      how: HOW.indexOf(event.by || "hand"),
    };
  }

  apply(action) {
    this.done.push(action);
    if (action.kind !== "decide") return;
    let rows = action.rows;
    if (action.how !== 1) rows = rows.filter((row) => this.how[row] !== 1);
    action.touched = rows;
    action.before = new Uint8Array(3 * rows.length);
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i];
      action.before[3 * i] = this.decision[row];
      action.before[3 * i + 1] = this.species[row];
      action.before[3 * i + 2] = this.how[row];
      this.set(row, action.decision, action.species, action.how);
    }
  }

  set(row, decision, species, how) {
    if (row < this.count) {
      this.totals[this.decision[row]]--;
      this.totals[decision]++;
    }
    this.decision[row] = decision;
    this.species[row] = species;
    this.how[row] = how;
  }

  key() {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    return Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
  }

  decide(rows, decision, species = "", how = 1, className = "") {
    const event = {
      key: this.key(), kind: "decide", rows: Array.from(rows), decision: WORDS[decision],
      species, by: HOW[how], class: className,
    };
    const action = this.action(event);
    this.apply(action);
    this.undone = [];
    this.send(event);
    this.changed("decisions");
    return action;
  }

  async other(event) { // added or moved picks: the server gives them their place first
    const full = { key: this.key(), ...event };
    await this.source.send([full]);
    this.done.push(full);
    this.undone = [];
    this.changed("places");
  }

  undo() {
    const action = this.done.pop();
    if (!action) return null;
    if (action.kind === "decide") {
      for (let i = action.touched.length - 1; i >= 0; i--)
        this.set(action.touched[i], ...action.before.subarray(3 * i, 3 * i + 3));
    }
    this.undone.push(action);
    this.send({ key: this.key(), kind: "undo", of: action.key });
    this.after(action);
    return action;
  }

  redo() {
    const action = this.undone.pop();
    if (!action) return null;
    this.apply(action);
    this.send({ key: this.key(), kind: "redo", of: action.key });
    this.after(action);
    return action;
  }

  after(action) { // places are the server's: it has to know first
    this.changed("decisions");
    if (action.kind !== "decide") this.flushed().then(() => this.changed("places"));
  }

  send(event) {
    this.waiting.push(event);
    this.changed("saved");
    this.pump();
  }

  async pump() {
    if (this.sending) return;
    this.sending = true;
    while (this.waiting.length) {
      const part = this.waiting.slice(0, 50);
      try {
        await this.source.send(part);
        this.waiting.splice(0, part.length);
        this.failed = "";
      } catch (error) {
        this.failed = error.status ? error.message : "the server does not answer";
        this.changed("saved");
        await new Promise((resolve) => setTimeout(resolve, 1000));
        continue;
      }
      this.changed("saved");
    }
    this.sending = false;
    this.changed("saved");
  }

  async flushed() {
    while (this.waiting.length) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
