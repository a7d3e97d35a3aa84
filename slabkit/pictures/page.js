// Pages with pictures: a click enlarges one; wheel, drag and two fingers zoom; marks are coloured
// by what is chosen, and hidden by their legend.
"use strict";
(function () {
  const root = document.documentElement;
  const figures = [...document.querySelectorAll("figure.zoom")];
  const make = (name, parent, text, act) => {
    const element = parent.appendChild(document.createElement(name));
    if (text) element.textContent = text;
    if (act) element.addEventListener("click", act);
    return element;
  };

  const dialog = document.createElement("dialog");
  const bar = make("div", dialog);
  bar.className = "bar";
  const caption = make("p", bar);
  const button = (text, label, act) => {
    const made = make("button", bar, text, act);
    made.type = "button";
    made.title = label;
    made.setAttribute("aria-label", label);
  };
  button("‹", "previous picture (left arrow)", () => show(current - 1));
  button("›", "next picture (right arrow)", () => show(current + 1));
  button("+", "larger (+)", () => zoom(1.5));
  button("−", "smaller (-)", () => zoom(1 / 1.5));
  button("1:1", "whole picture (0)", () => reset());
  button("×", "close (Esc)", () => dialog.close());
  const stage = make("div", dialog);
  stage.className = "stage";
  let current = 0, picture = null, scale = 1, left = 0, top = 0, moved = false;
  const fingers = new Map();

  function place() {
    picture.style.transform = "translate(" + left + "px," + top + "px) scale(" + scale + ")";
  }
  function reset() {
    scale = 1; left = top = 0;
    place();
  }
  // About a point of the screen, or the middle.
  function zoom(factor, x, y) {
    const box = stage.getBoundingClientRect();
    const across = (x === undefined ? box.width / 2 : x - box.left) - box.width / 2;
    const down = (y === undefined ? box.height / 2 : y - box.top) - box.height / 2;
    const next = Math.min(40, Math.max(1, scale * factor)), by = next / scale;
    left = next === 1 ? 0 : across - (across - left) * by;
    top = next === 1 ? 0 : down - (down - top) * by;
    scale = next;
    place();
  }
  function show(index) {
    current = (index + figures.length) % figures.length;
    const figure = figures[current], words = figure.querySelector("figcaption");
    picture = figure.querySelector("svg, img").cloneNode(true);
    picture.removeAttribute("style");
    stage.replaceChildren(picture);
    caption.textContent = words ? words.innerText.replaceAll("\n", " · ") : "";
    reset();
    if (!dialog.open) dialog.showModal();
  }

  if (figures.length) {
    (document.querySelector("main") || document.body).appendChild(dialog);
    figures.forEach((figure, index) => {
      figure.tabIndex = 0;
      figure.setAttribute("role", "button");
      figure.title = "click to enlarge";
      figure.addEventListener("click", () => show(index));
      figure.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        show(index);
      });
    });
    dialog.addEventListener("close", () => figures[current].focus({ preventScroll: true }));
    dialog.addEventListener("keydown", (event) => {
      const acts = {
        ArrowLeft: () => show(current - 1), ArrowRight: () => show(current + 1),
        "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), "0": reset,
      };
      if (acts[event.key]) acts[event.key]();
    });
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 400), event.clientX, event.clientY);
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => {
      if (scale > 1) reset(); else zoom(3, event.clientX, event.clientY);
    });
    stage.addEventListener("pointerdown", (event) => {
      if (!fingers.size) moved = false;
      fingers.set(event.pointerId, event);
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const other = [...fingers.values()].find((one) => one.pointerId !== event.pointerId);
      fingers.set(event.pointerId, event);
      if (Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) > 1) moved = true;
      if (other) {
        const span = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
        zoom(span(event) / Math.max(1, span(before)),
          (event.clientX + other.clientX) / 2, (event.clientY + other.clientY) / 2);
      } else if (scale > 1) {
        left += event.clientX - before.clientX;
        top += event.clientY - before.clientY;
        place();
      }
    });
    for (const name of ["pointerup", "pointercancel"])
      stage.addEventListener(name, (event) => {
        fingers.delete(event.pointerId);
        const beside = document.elementFromPoint(event.clientX, event.clientY) === stage;
        if (name === "pointerup" && beside && !moved) dialog.close();
      });
  }

  document.addEventListener("change", (event) => {
    const input = event.target;
    if (input.dataset.colour) {
      root.dataset.colour = input.dataset.colour;
      for (const one of document.querySelectorAll("[data-colour]"))
        if (one !== root) one.checked = one.dataset.colour === input.dataset.colour;
    } else if (input.dataset.marks) {
      root.classList.toggle("hide-" + input.dataset.marks, !input.checked);
      for (const one of document.querySelectorAll("[data-marks]"))
        if (one.dataset.marks === input.dataset.marks) one.checked = input.checked;
    }
  });
})();
