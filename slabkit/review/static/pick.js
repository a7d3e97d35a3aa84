// One pick: sections through its tomogram, slab, minislab, neighbours, history.

import { WORDS } from "./decisions.js";
import { toImage } from "./tiles.js";

export class Pick {
  name = "pick";

  constructor(app) {
    this.app = app;
    this.element = document.createElement("div");
    this.element.className = "view pick";
    this.element.innerHTML = `<div class="sections">
      <figure data-plane="xy"><canvas role="img" aria-label="Section xy"></canvas><figcaption>xy</figcaption></figure>
      <figure data-plane="xz"><canvas role="img" aria-label="Section xz"></canvas><figcaption>xz</figcaption></figure>
      <figure data-plane="yz"><canvas role="img" aria-label="Section yz"></canvas><figcaption>yz</figcaption></figure>
      <figure data-plane="tile"><canvas role="img" aria-label="Minislab"></canvas><figcaption>minislab</figcaption></figure>
      <figure data-plane="slab"><canvas role="img" aria-label="Slab with neighbours"></canvas><figcaption>slab</figcaption></figure>
      </div><div class="facts" tabindex="0" role="region" aria-label="Facts">
      <div class="field"><label for="depth">depth</label><input id="depth" type="range" step="1"></div>
      <p id="depth-text" class="soft"></p><dl></dl><h2>History</h2><ol></ol></div>`;
    this.depth = this.element.querySelector("#depth");
    this.depth.addEventListener("input", () => this.paint());
    this.cached = new Map();
    this.current = -1;
  }

  row() { return this.app.grid.row(); }

  show() {
    this.app.stage.focus({ preventScroll: true });
    this.load();
  }

  hide() {}

  fetch(row) { // cubes of this pick and the next are here before they are looked at
    if (!this.cached.has(row)) {
      const { source, data } = this.app;
      const volumes = data.volumes ? [source.cube(row), source.slab(row)] : [];
      const wanted = Promise.all(volumes.map((one) => one.catch((error) => error)));
      wanted.then((found) => { wanted.found = found; });
      this.cached.set(row, wanted);
      while (this.cached.size > 24) this.cached.delete(this.cached.keys().next().value);
    }
    return this.cached.get(row);
  }

  forget() { this.cached.clear(); }

  async load() {
    const row = this.row();
    if (row < 0) return;
    this.current = row;
    this.app.store.want([row]);
    this.facts = null;
    const volumes = this.fetch(row);
    this.hold(volumes.found); // shown at once where it was fetched ahead
    this.paint();
    try {
      const [facts, found] = await Promise.all([this.app.source.pick(row), volumes]);
      if (this.current !== row) return;
      this.facts = facts;
      if (this.waiting) this.hold(found);
    } catch (error) {
      this.trouble = error.message;
    }
    this.paint();
    const next = this.app.listing.view[this.app.grid.focus + 1];
    if (next !== undefined) this.fetch(next);
  }

  hold(found) { // the cube and the slab of a pick, or that they are not here yet
    const [cube, slab] = found ?? [];
    this.waiting = !found && this.app.data.volumes;
    this.trouble = cube instanceof Error ? cube.message : "";
    this.cube = cube && !(cube instanceof Error) ? cube : null;
    this.slab = slab && !(slab instanceof Error) ? slab : null;
    if (!this.cube) return;
    this.depth.min = 0;
    this.depth.max = this.cube.side - 1;
    this.depth.value = this.cube.side / 2;
  }

  redraw() { this.paint(); }
  decided() { this.app.grid.decided(); this.load(); }
  rows_() { const row = this.row(); return row < 0 ? [] : [row]; }

  act(action) {
    if (action === "deeper" || action === "shallower") {
      this.depth.value = Number(this.depth.value) + (action === "deeper" ? 1 : -1);
      this.paint();
    } else if (action === "next" || action === "back") {
      this.app.grid.move(this.app.grid.focus + (action === "next" ? 1 : -1));
      this.load();
    } else if (action === "first" || action === "last") {
      this.app.grid.act(action);
      this.load();
    } else if (action === "open" || action === "none") this.app.show("tiles");
    else return false;
    return true;
  }

  frame(plane) {
    const figure = this.element.querySelector(`[data-plane=${plane}]`);
    return { figure, canvas: figure.querySelector("canvas"), caption: figure.querySelector("figcaption") };
  }

  put(plane, values, width, height, pixel, text, overlay) {
    const { figure, canvas, caption } = this.frame(plane);
    figure.hidden = false;
    const dense = devicePixelRatio || 1;
    const scale = ((canvas.clientWidth || 384) * dense) / width; // as sharp as the screen
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const small = document.createElement("canvas");
    small.width = width;
    small.height = height;
    small.getContext("2d").putImageData(toImage(values, width, height, this.app.look, pixel, plane === "tile" ? undefined : this.app.look.wide), 0, 0);
    const context = canvas.getContext("2d");
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
    context.lineWidth = 2 * dense;
    overlay?.(context, scale);
    caption.textContent = text;
  }

  paint() {
    const { data, store, grid } = this.app;
    const row = this.current;
    if (row < 0) return;
    const tile = store.get(row);
    if (tile) this.put("tile", tile, data.side, data.side, data.pixel, `minislab, ${data.box.toFixed(0)} Å wide, ${data.depth.toFixed(0)} Å deep`);
    else if (row < data.count) setTimeout(() => this.current === row && this.paint(), 60);
    this.frame("tile").figure.hidden = row >= data.count;
    const { cube, waiting } = this;
    for (const plane of ["xy", "xz", "yz", "slab"]) { // what is awaited keeps its room
      const { figure, canvas } = this.frame(plane);
      figure.hidden = !waiting && !(plane === "slab" ? this.slab : cube);
      if (waiting) canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    }
    this.depth.closest(".field").hidden = !waiting && !cube;
    if (cube) this.paintCube(cube);
    if (this.slab) this.paintSlab(this.slab);
    this.write(grid);
  }

  paintCube(cube) {
    const n = cube.side, bytes = cube.arrays.cube, middle = n / 2;
    const z = Number(this.depth.value);
    const cut = (at) => {
      const values = new Uint8Array(n * n);
      for (let v = 0; v < n; v++) for (let u = 0; u < n; u++) values[v * n + u] = bytes[at(u, v)];
      return values;
    };
    const diameter = (this.facts?.pick?.slabkitDiameter ?? this.app.data.box / 2) / cube.voxel;
    const colour = this.app.colourOfRow(this.current);
    const circle = (offset) => (context, scale) => {
      const radius = Math.sqrt(Math.max(0, (diameter / 2) ** 2 - offset ** 2));
      context.strokeStyle = colour;
      context.beginPath();
      context.arc((middle + 0.5) * scale, (middle + 0.5) * scale, radius * scale, 0, 7);
      context.stroke();
    };
    const line = (draw) => (context, scale) => {
      draw(context, scale);
      context.strokeStyle = "#ffd54a";
      context.setLineDash([4, 4]);
      context.beginPath();
      return context;
    };
    const px = cube.voxel;
    this.put("xy", cut((u, v) => z * n * n + v * n + u), n, n, px, `xy, ${((z - middle) * px).toFixed(0)} Å from the pick in z`, circle(z - middle));
    this.put("xz", cut((u, v) => v * n * n + middle * n + u), n, n, px, "xz (z downwards)", (context, scale) => {
      line(circle(0))(context, scale);
      context.moveTo(0, (z + 0.5) * scale);
      context.lineTo(n * scale, (z + 0.5) * scale);
      context.stroke();
    });
    this.put("yz", cut((u, v) => u * n * n + v * n + middle), n, n, px, "yz (z to the right)", (context, scale) => {
      line(circle(0))(context, scale);
      context.moveTo((z + 0.5) * scale, 0);
      context.lineTo((z + 0.5) * scale, n * scale);
      context.stroke();
    });
    this.element.querySelector("#depth-text").textContent = `z = ${(cube.place[2] + (z - middle) * px).toFixed(0)} Å`;
  }

  paintSlab(slab) {
    const n = slab.side;
    const [x, y, z] = slab.place;
    this.put("slab", slab.arrays.slab, n, n, slab.voxel, `slab, ${(n * slab.voxel).toFixed(0)} Å wide, with ${this.facts?.neighbours?.length ?? 0} neighbours`, (context, scale) => {
      const dot = (dx, dy, colour, radius, dashed) => {
        context.strokeStyle = colour;
        context.setLineDash(dashed ? [4, 3] : []);
        context.beginPath();
        context.arc((n / 2 + dx / slab.voxel) * scale, (n / 2 + dy / slab.voxel) * scale, radius, 0, 7);
        context.stroke();
        context.setLineDash([]);
      };
      const radius = ((this.facts?.pick?.slabkitDiameter ?? this.app.data.box / 2) / 2 / slab.voxel) * scale;
      for (const one of this.facts?.neighbours ?? [])
        dot(one.x - x, one.y - y, this.app.colourOfRow(one.row), radius, Math.abs(one.z - z) > this.app.data.depth / 2);
      context.lineWidth = 3;
      dot(0, 0, "#ffffff", radius + 3);
    });
  }

  write() {
    const { facts, app } = this;
    const list = this.element.querySelector("dl");
    const decision = app.decisions.decision[this.current];
    const pick = facts?.pick ?? {};
    const column = (name) => app.listing.columns[name][this.current];
    const number = (value, digits = 2) => (Number.isFinite(value) ? value.toFixed(digits) : "");
    const rows = [
      ["decision", [WORDS[decision] || "not decided", app.speciesName(app.decisions.species[this.current])].filter(Boolean).join(", ")],
      ["pick", facts?.id ?? ""], ["tomogram", facts?.tomogram ?? pick.slabkitTomogram ?? ""],
      ["class", facts?.class ?? ""], ["score", `${number(column("score"))} ${pick.slabkitScoreKind ?? ""}`.trim()],
      ["probability", number(column("probability"))],
      ["x, y, z", ["X", "Y", "Z"].map((axis) => number(pick[`slabkit${axis}`], 0)).filter(Boolean).join(", ") + (pick.slabkitX === undefined ? "" : " Å")],
      ["diameter", pick.slabkitDiameter ? `${number(pick.slabkitDiameter, 0)} Å` : ""],
      ["species", pick.slabkitSpecies], ["flags", pick.slabkitFlags], ["source", pick.slabkitSource],
      ["others say", (facts?.said ?? []).map((one) => `${one.author}: ${one.decision}`).join("; ")],
      ["volume", this.trouble],
    ].filter(([, value]) => value && value !== "none");
    list.replaceChildren(...rows.flatMap(([name, value]) => {
      const term = document.createElement("dt"), text = document.createElement("dd");
      term.textContent = name;
      text.textContent = value;
      return [term, text];
    }));
    const items = (facts?.history ?? []).map((entry) => {
      const item = document.createElement("li");
      const { step, ...others } = entry;
      const { time, author, decision, species, by, ...more } = others;
      const said = [decision, species, by && `by ${by}`, ...Object.entries(more).map(([name, value]) => `${name} ${value}`)];
      const when = time?.slice(0, 16).replace("T", " ");
      item.textContent = `${step}: ${[...said, author, when].filter(Boolean).join(", ")}`;
      return item;
    });
    const none = document.createElement("li");
    none.textContent = "nothing yet";
    this.element.querySelector("ol").replaceChildren(...(items.length ? items : [none]));
  }

  told() { return this.app.grid.told(); }
}
