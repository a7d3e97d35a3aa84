// The list of picks: sorting, filters, the threshold. A million rows are no trouble: columns are
// typed arrays, and an order is made once.

export class Listing {
  constructor(data, decisions) {
    this.data = data;
    this.count = data.count;
    this.columns = data.arrays;
    this.decisions = decisions;
    this.orders = new Map();
    this.suggested = null;
    this.others = new Map(); // name to what they said of rows, where it may be known
    this.sort = data.order;
    this.reverse = false;
    this.filters = { tomogram: "", class: "", species: "", decision: "", how: "", reviewer: "" };
    this.scope = null; // rows of a batch, or of a class
    this.view = new Uint32Array(0);
    this.refresh();
  }

  has(column) {
    if (column === "class") return this.data.classes.length > 1;
    const values = this.columns[column];
    for (let i = 0; i < values.length; i++) if (values[i] === values[i]) return true;
    return false;
  }

  order(name) {
    if (name === "suggest" && this.suggested) return this.suggested;
    if (name === "list" || name === "suggest" || !this.has(name)) return this.identity();
    if (!this.orders.has(name)) this.orders.set(name, this.sorted(name));
    return this.orders.get(name);
  }

  identity() {
    if (!this.orders.has("list"))
      this.orders.set("list", Uint32Array.from({ length: this.count }, (_, i) => i));
    return this.orders.get("list");
  }

  sorted(name) { // by class: best first; by a number: highest first; ties in the order of the list
    const values = this.columns[name];
    const keys = new Float64Array(this.count);
    const rank = name === "class" ? this.classRank() : null;
    for (let i = 0; i < this.count; i++) {
      const value = rank ? rank[values[i]] : -values[i];
      keys[i] = value === value ? value : Infinity;
    }
    // Pack the value's bits (ordered as integers) above the row, and sort those numbers.
    const low = new Float32Array(1);
    const bits = new Uint32Array(low.buffer);
    const packed = new Float64Array(this.count);
    for (let i = 0; i < this.count; i++) {
      low[0] = keys[i];
      const ordered = bits[0] & 0x80000000 ? ~bits[0] >>> 0 : (bits[0] | 0x80000000) >>> 0;
      packed[i] = ordered * 2097152 + i;
    }
    packed.sort();
    return Uint32Array.from(packed, (one) => one % 2097152);
  }

  classRank() { // of each class: 0 is the best
    const known = this.data.classes.map((one, code) => [one.quality ?? -1, code]);
    known.sort((a, b) => b[0] - a[0] || a[1] - b[1]);
    const rank = new Float64Array(known.length);
    known.forEach(([, code], place) => { rank[code] = code === 0 ? Infinity : place; });
    return rank;
  }

  setSuggested(order, probability) {
    this.suggested = order;
    if (probability) {
      this.columns.probability = probability;
      this.orders.delete("probability");
    }
  }

  refresh() {
    const { decision, how, species } = this.decisions;
    const { tomogram, class: code } = this.columns;
    const f = this.filters;
    const inScope = this.scope ? new Uint8Array(this.count) : null;
    if (inScope) for (const row of this.scope) inScope[row] = 1;
    const wantTomogram = f.tomogram === "" ? -1 : Number(f.tomogram);
    const wantClass = f.class === "" ? -1 : Number(f.class);
    const wantSpecies = f.species === "" ? -1 : Number(f.species);
    const wantHow = f.how === "" ? -1 : Number(f.how);
    const theirs = f.reviewer === "" ? null : this.others.get(f.reviewer);
    const own = this.scope && this.sort === "suggest"; // a batch comes in its order
    const order = own ? Uint32Array.from(this.scope) : this.order(this.sort);
    const view = new Uint32Array(order.length);
    let n = 0;
    for (let i = 0; i < order.length; i++) {
      const row = order[this.reverse ? order.length - 1 - i : i];
      if (inScope && !inScope[row]) continue;
      if (wantTomogram >= 0 && tomogram[row] !== wantTomogram) continue;
      if (wantClass >= 0 && code[row] !== wantClass) continue;
      if (wantSpecies >= 0 && species[row] !== wantSpecies) continue;
      if (wantHow >= 0 && how[row] !== wantHow) continue;
      if (theirs && !theirs.has(row)) continue;
      if (f.reviewer === "me" && !decision[row]) continue;
      if (f.decision === "decided" ? !decision[row] : f.decision !== "" && decision[row] !== Number(f.decision)) continue;
      view[n++] = row;
    }
    this.view = view.subarray(0, n);
    this.ranked = null;
  }

  // How many of the rows shown are at or above a threshold, and how many of those are not decided.
  above(column, threshold) {
    if (!this.ranked || this.ranked.column !== column) {
      const values = this.columns[column];
      const own = Float32Array.from(this.view, (row) => values[row]).filter((one) => one === one);
      own.sort();
      this.ranked = { column, own };
    }
    const { own } = this.ranked;
    let low = 0, high = own.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (own[middle] < threshold) low = middle + 1; else high = middle;
    }
    return { above: own.length - low, below: low, all: own.length };
  }

  range(column) {
    const values = this.columns[column];
    let low = Infinity, high = -Infinity;
    for (let i = 0; i < values.length; i++) {
      if (values[i] < low) low = values[i];
      if (values[i] > high) high = values[i];
    }
    return low <= high ? [low, high] : null;
  }
}
