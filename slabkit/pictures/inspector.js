// The page of `slabkit inspect`: a threshold on scores, moved by hand, and what it keeps.
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const get = (id) => document.getElementById(id);
  const svg = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    return element;
  };
  const slider = get("threshold"), number = get("number"), chooser = get("slab");
  const picture = get("picture"), circles = get("circles"), chart = get("chart");
  const dropped = get("dropped"), only = get("only");
  const WIDTH = 460, HEIGHT = 200, LEFT = 44, BOTTOM = 34, TOP = 8, RIGHT = 8, BINS = 60;
  let current = 0;

  // How many of the scores, which stand highest first, are at or above the threshold.
  function kept(scores, threshold) {
    let low = 0, high = scores.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (scores[middle] >= threshold) low = middle + 1; else high = middle;
    }
    return low;
  }

  const threshold = () => Number(slider.value);
  const everything = [].concat(...data.scores).sort((a, b) => b - a);
  const scoreX = (value) =>
    LEFT + (Math.min(value, data.high) - data.low) / (data.high - data.low) * (WIDTH - LEFT - RIGHT);

  function drawChart() {
    const scores = only.checked ? data.slabs[current].picks.map((pick) => pick[3]) : everything;
    const counts = new Array(BINS).fill(0), width = (data.high - data.low) / BINS;
    for (const score of scores)
      counts[Math.max(0, Math.min(BINS - 1, Math.floor((score - data.low) / width)))] += 1;
    const most = Math.max(1, ...counts), floor = HEIGHT - BOTTOM;
    chart.replaceChildren();
    counts.forEach((count, bin) => {
      if (!count) return;
      // Square roots, so that the few high scores are seen beside the many low ones.
      const height = Math.sqrt(count / most) * (floor - TOP), left = data.low + bin * width;
      const bar = svg("rect", {
        x: scoreX(left) + 0.5, y: floor - height,
        width: (WIDTH - LEFT - RIGHT) / BINS - 1, height: height, "data-middle": left + width / 2,
      });
      bar.appendChild(svg("title", {})).textContent =
        count + " picks from " + left.toFixed(2) + " to " + (left + width).toFixed(2);
      chart.appendChild(bar);
    });
    chart.appendChild(svg("path", {
      class: "axis", fill: "none", d: "M" + LEFT + " " + TOP + "V" + floor + "H" + (WIDTH - RIGHT),
    }));
    for (const tick of data.ticks) {
      const text = svg("text", { x: scoreX(tick), y: floor + 15, "text-anchor": "middle" });
      text.textContent = tick;
      chart.appendChild(text);
    }
    for (const part of [0.25, 1]) {
      const text = svg("text", {
        x: LEFT - 6, y: floor - Math.sqrt(part) * (floor - TOP) + 5, "text-anchor": "end",
      });
      text.textContent = Math.round(part * most);
      chart.appendChild(text);
    }
    const label = svg("text", {
      x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 3, "text-anchor": "middle",
    });
    label.textContent = "score (heights by square root)";
    chart.appendChild(label);
    chart.appendChild(svg("path", { id: "line", class: "mark" }));
  }

  function drawSlab() {
    const slab = data.slabs[current];
    picture.src = slab.image;
    picture.alt = slab.name;
    // Pixel centres are whole numbers in the tables, so the image begins at -0.5.
    circles.setAttribute("viewBox", "-0.5 -0.5 " + slab.width + " " + slab.height);
    circles.replaceChildren();
    for (const pick of slab.picks) {
      const [name, colour] = data.species[pick[4]];
      const circle = svg("circle", { cx: pick[0], cy: pick[1], r: pick[2], stroke: colour });
      circle.appendChild(svg("title", {})).textContent = name + ", score " + pick[3];
      circles.appendChild(circle);
    }
    get("where").textContent = slab.text;
    chooser.value = String(current);
  }

  function drawLegend(picks) {
    if (data.species.length === 1 && !data.species[0][2]) return;  // no pick has a species
    get("legend").replaceChildren(...data.species.map(([name, colour], index) => {
      const entry = document.createElement("span"), swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.background = colour;
      const count = picks.filter((pick) => pick[4] === index).length;
      entry.append(swatch, name + " (" + count + ")");
      return entry;
    }));
  }

  function update() {
    const value = threshold(), slab = data.slabs[current];
    const own = slab.picks.map((pick) => pick[3]);
    const ofTomogram = data.of[slab.tomogram];
    let inTomogram = 0, allInTomogram = 0;
    for (const index of ofTomogram) {
      inTomogram += kept(data.scores[index], value);
      allInTomogram += data.scores[index].length;
    }
    get("kept-slab").textContent = kept(own, value);
    get("all-slab").textContent = own.length;
    get("kept-tomogram").textContent = inTomogram;
    get("all-tomogram").textContent = allInTomogram;
    get("kept-all").textContent = kept(everything, value);
    get("all-all").textContent = everything.length;
    get("option").textContent = "--threshold " + value.toFixed(2);
    if (document.activeElement !== number) number.value = value.toFixed(2);
    const shown = kept(own, value);
    drawLegend(slab.picks.slice(0, shown));
    Array.from(circles.children).forEach((circle, index) => {
      circle.setAttribute("class", index < shown ? "kept" : dropped.checked ? "out" : "hidden");
    });
    for (const bar of chart.querySelectorAll("rect"))
      bar.setAttribute("class", Number(bar.dataset.middle) >= value ? "series0" : "below");
    const x = scoreX(value).toFixed(1);
    get("line").setAttribute("d", "M" + x + " " + TOP + "V" + (HEIGHT - BOTTOM));
  }

  function show(index) {
    current = (index + data.slabs.length) % data.slabs.length;
    drawSlab();
    if (only.checked) drawChart();
    update();
  }

  function setThreshold(value) {
    slider.value = value;
    update();
  }

  data.slabs.forEach((slab, index) => {
    const option = document.createElement("option");
    option.value = String(index);
    option.textContent = slab.name + " (" + slab.picks.length + ")";
    chooser.appendChild(option);
  });
  slider.addEventListener("input", update);
  number.addEventListener("input", () => { if (number.value !== "") setThreshold(number.value); });
  chooser.addEventListener("change", () => show(Number(chooser.value)));
  dropped.addEventListener("change", update);
  only.addEventListener("change", () => { drawChart(); update(); });
  get("before").addEventListener("click", () => show(current - 1));
  get("after").addEventListener("click", () => show(current + 1));
  chart.addEventListener("click", (event) => {
    const box = chart.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * WIDTH;
    setThreshold(data.low + (x - LEFT) / (WIDTH - LEFT - RIGHT) * (data.high - data.low));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === number) return;
    const step = Number(slider.step);
    if (event.key === "n") show(current + 1);
    else if (event.key === "p") show(current - 1);
    else if (event.key === "+") setThreshold(threshold() + 10 * step);
    else if (event.key === "-") setThreshold(threshold() - 10 * step);
    else return;
    event.preventDefault();
  });
  drawChart();
  show(0);
})();
