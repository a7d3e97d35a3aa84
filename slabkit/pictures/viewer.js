// The page of `slabkit view`: sections through tomograms, the picks near them, and one pick's own.
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const get = (id) => document.getElementById(id);
  const make = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  // Of a plane: what is across, down, and through it; 0 x, 1 y, 2 z.
  const PLANES = { xy: [0, 1, 2], xz: [0, 2, 1], yz: [2, 1, 0] };
  const ID = 0, SCORE = 4, SPECIES = 5, DECISION = 6, DIAMETER = 7, CLOSE = 8, KIND = 9;
  const AXES = "xyz";
  const chooser = get("tomogram"), lowest = get("lowest"), number = get("number");
  const sliders = [...AXES].map((axis) => get("slider-" + axis));
  let current = 0, chosen = null, place = [0, 0, 0];  // Å

  const tomogram = () => data.tomograms[current];
  const ticked = (name) => [...document.querySelectorAll("input[name=" + name + "]")]
    .map((box) => box.checked);

  function passes() {
    const species = ticked("species"), decisions = ticked("decision");
    const least = Number(lowest.value);
    return (pick) => species[pick[SPECIES]] && decisions[pick[DECISION]] &&
      (pick[SCORE] === null || pick[SCORE] >= least);
  }

  // The section across an axis that holds a place, and its middle and thickness in Å.
  function section(axis) {
    const { edges } = tomogram().sections[axis], size = tomogram().voxel;
    const at = place[axis] / size + 0.5;
    let index = edges.findIndex((edge) => edge > at) - 1;
    if (index < 0) index = at < edges[0] ? 0 : edges.length - 2;
    const middle = (edges[index] + edges[index + 1] - 1) / 2 * size;
    return { index, middle, thick: (edges[index + 1] - edges[index]) * size };
  }

  function mark(kind, x, y, radius) {
    const half = radius * Math.SQRT1_2;
    if (kind === "truth")
      return make("path", { d: `M${x} ${y - radius}l${radius} ${radius}l${-radius} ${radius}` +
        `l${-radius} ${-radius}z` });
    const group = make("g", {});
    group.append(make("circle", { cx: x, cy: y, r: radius }));
    if (kind === "rejected")
      group.append(make("path", { d: `M${x - half} ${y - half}L${x + half} ${y + half}` +
        `M${x - half} ${y + half}L${x + half} ${y - half}` }));
    return group;
  }

  function drawPlane(name, keep) {
    const [across, down, through] = PLANES[name], one = tomogram(), half = one.voxel / 2;
    const picture = get(name), where = section(through), stack = one.sections[through];
    const sizes = one.size.map((voxels) => voxels * one.voxel);
    picture.setAttribute("viewBox", `${-half} ${-half} ${sizes[across]} ${sizes[down]}`);
    // The last pixel of a line may stand out of the volume; the view box cuts it off.
    const image = make("image", {
      x: -half, y: -half, preserveAspectRatio: "none", href: stack.images[where.index],
      width: stack.pixels[0] * one.pixel, height: stack.pixels[1] * one.pixel,
    });
    const lines = make("path", {
      class: "cross",
      d: `M${place[across]} ${-half}v${sizes[down]}M${-half} ${place[down]}h${sizes[across]}`,
    });
    const marks = [];
    const add = (item, kind, radius, position, title) => {
      const away = Math.abs(position[through] - where.middle);
      if (away > Math.max(item && item === chosen ? Infinity : radius, where.thick / 2)) return;
      const shape = mark(kind, position[across], position[down], kind === "truth" ?
        Math.min(radius, sizes[0] / 60) / 2 : radius);
      shape.setAttribute("class", "hit " + kind + "-hit" + (item && item === chosen ? " chosen" : ""));
      const faint = Math.max(0, away - where.thick / 2) / Math.max(radius, 1e-9);
      shape.setAttribute("opacity", (1 - 0.7 * Math.min(1, faint)).toFixed(2));
      shape.append(make("title", {}, title));
      marks.push(shape);
      return shape;
    };
    if (get("truth") && get("truth").checked)
      for (const [x, y, z, species, diameter, found] of one.truth) {
        if (!ticked("species")[species]) continue;
        const [title, colour] = data.species[species];
        const said = found === null ? "" : found ? ", found" : ", missed";
        const shape = add(null, "truth", diameter / 2, [x, y, z], "truth: " + title + said);
        if (!shape) continue;
        shape.setAttribute("stroke", colour);
        shape.setAttribute("fill", found === false ? colour : "none");
      }
    for (const pick of one.picks) {
      if (pick !== chosen && !keep(pick)) continue;
      const [title, colour] = data.species[pick[SPECIES]];
      const kind = data.decisions[pick[DECISION]];
      const said = [title, kind, pick[SCORE] === null ? "no score" : "score " + pick[SCORE]];
      const shape = add(pick, kind, pick[DIAMETER] / 2, pick.slice(1, 4), said.join(", "));
      if (!shape) continue;
      shape.setAttribute("stroke", colour);
      shape.addEventListener("click", (event) => { event.stopPropagation(); choose(pick); });
    }
    picture.replaceChildren(image, lines, ...marks);
  }

  function draw() {
    const keep = passes(), one = tomogram();
    for (const name in PLANES) drawPlane(name, keep);
    [...AXES].forEach((axis, index) => {
      const { index: shown, middle, thick } = section(index);
      const count = one.sections[index].images.length;
      sliders[index].max = String(count - 1);
      sliders[index].value = String(shown);
      get("at-" + axis).textContent =
        `${axis} ${middle.toFixed(0)} Å, ${thick.toFixed(0)} Å thick, ${shown + 1} of ${count}`;
    });
    get("about").textContent = one.text;
    count(keep);
    drawChosen();
    const state = new URLSearchParams({ tomogram: one.name });
    if (chosen) state.set("pick", chosen[ID]);
    else [...AXES].forEach((axis, index) => state.set(axis, place[index].toFixed(1)));
    try { history.replaceState(null, "", "#" + state); } catch { /* a page without an address */ }
  }

  function count(keep) {
    for (const [name, column] of [["species", SPECIES], ["decision", DECISION]])
      document.querySelectorAll("input[name=" + name + "]").forEach((box, index) => {
        const numbers = (picks) => {
          const own = picks.filter((pick) => pick[column] === index);
          return own.filter(keep).length + " of " + own.length;
        };
        const cells = box.closest("tr").cells;
        cells[1].textContent = numbers(tomogram().picks);
        cells[2].textContent = numbers([].concat(...data.tomograms.map((one) => one.picks)));
      });
  }

  function drawChosen() {
    get("chosen").hidden = !chosen;
    get("hint").hidden = Boolean(chosen);
    if (!chosen) return;
    const kind = data.kinds[chosen[KIND]];
    const facts = {
      pick: chosen[ID], tomogram: tomogram().name,
      "x, y, z": chosen.slice(1, 4).map((value) => value.toFixed(1)).join(", ") + " Å",
      score: chosen[SCORE] === null ? "none" : chosen[SCORE] + (kind ? ` (${kind})` : ""),
      species: data.species[chosen[SPECIES]][0], decision: data.decisions[chosen[DECISION]],
      diameter: chosen[DIAMETER] + " Å",
    };
    get("facts").replaceChildren(...Object.entries(facts).map(([name, value]) => {
      const row = document.createElement("tr");
      for (const text of [name, value]) row.appendChild(document.createElement("td")).textContent = text;
      return row;
    }));
    const close = chosen[CLOSE], picture = get("close");
    picture.toggleAttribute("hidden", !close);
    get("close-text").textContent = close ?
      `xy, xz and yz through the pick at full resolution: ${(close[1] * tomogram().voxel).toFixed(0)} ` +
      `Å wide, ${(close[2] * tomogram().voxel).toFixed(0)} Å thick` :
      "No sections at full resolution of this pick are in the page (--closeups).";
    if (!close) return;
    const [url, side, , z, y, x] = close, radius = chosen[DIAMETER] / 2 / tomogram().voxel;
    picture.setAttribute("viewBox", `-0.5 -0.5 ${3 * side} ${side}`);
    const shapes = [[x, y], [x, z], [z, y]].map(([across, down], index) => {
      const kindOf = data.decisions[chosen[DECISION]];
      const shape = mark(kindOf === "rejected" ? "undecided" : kindOf, across, down, radius);
      const frame = make("svg", {
        x: index * side - 0.5, y: -0.5, width: side, height: side,
        viewBox: `-0.5 -0.5 ${side} ${side}`,
      });
      shape.setAttribute("class", "hit " + kindOf + "-hit");
      shape.setAttribute("stroke", data.species[chosen[SPECIES]][1]);
      frame.append(shape, make("path", { class: "cross", d: `M${side - 0.5} -0.5v${side}` }));
      return frame;
    });
    picture.replaceChildren(
      make("image", { x: -0.5, y: -0.5, width: 3 * side, height: side, href: url }),
      ...(get("outline").checked ? shapes : []));
  }

  function choose(pick) {
    chosen = pick;
    if (pick) place = pick.slice(1, 4);
    draw();
  }

  function show(index) {
    current = (index + data.tomograms.length) % data.tomograms.length;
    chooser.value = String(current);
    chosen = null;
    get("planes").style.gridTemplateColumns = tomogram().size[0] + "fr " + tomogram().size[2] + "fr";
    place = tomogram().size.map((voxels) => (voxels - 1) / 2 * tomogram().voxel);
    draw();
  }

  // The next of the picks that the filters keep, by falling score.
  function step(by) {
    const order = tomogram().picks.filter(passes());
    if (!order.length) return;
    const at = order.indexOf(chosen);
    choose(order[at < 0 ? (by > 0 ? 0 : order.length - 1) : (at + by + order.length) % order.length]);
  }

  data.tomograms.forEach((one, index) => {
    const option = document.createElement("option");
    option.value = String(index);
    option.textContent = `${one.name} (${one.picks.length})`;
    chooser.appendChild(option);
  });
  for (const name in PLANES)
    get(name).addEventListener("click", (event) => {
      const picture = get(name), box = picture.getBoundingClientRect();
      const view = picture.viewBox.baseVal, [across, down] = PLANES[name];
      place[across] = view.x + (event.clientX - box.left) / box.width * view.width;
      place[down] = view.y + (event.clientY - box.top) / box.height * view.height;
      choose(null);
    });
  sliders.forEach((slider, axis) => slider.addEventListener("input", () => {
    const { edges } = tomogram().sections[axis], index = Number(slider.value);
    place[axis] = (edges[index] + edges[index + 1] - 1) / 2 * tomogram().voxel;
    draw();
  }));
  lowest.addEventListener("input", () => { number.value = lowest.value; draw(); });
  number.addEventListener("input", () => {
    if (number.value !== "") { lowest.value = number.value; draw(); }
  });
  for (const box of document.querySelectorAll("input[type=checkbox]"))
    box.addEventListener("change", draw);
  chooser.addEventListener("change", () => show(Number(chooser.value)));
  get("before").addEventListener("click", () => show(current - 1));
  get("after").addEventListener("click", () => show(current + 1));
  get("worse").addEventListener("click", () => step(1));
  get("better").addEventListener("click", () => step(-1));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === number) return;
    if (event.key === "n") step(1);
    else if (event.key === "p") step(-1);
    else return;
    event.preventDefault();
  });

  function follow() {
    const state = new URLSearchParams(location.hash.slice(1));
    const named = data.tomograms.findIndex((one) => one.name === state.get("tomogram"));
    show(Math.max(0, named));
    [...AXES].forEach((axis, index) => {
      if (state.get(axis)) place[index] = Number(state.get(axis)) || 0;
    });
    choose(tomogram().picks.find((pick) => pick[ID] === state.get("pick")) || null);
  }
  window.addEventListener("hashchange", follow);
  follow();
})();
