// Keys: what each does, which they are, and the sheet on which they are changed.

const STORE = "slabkit-review-keys";

export const ACTIONS = [
  ["accept", "accept", ["a"]],
  ["reject", "reject", ["r"]],
  ["undecided", "undecided: looked at, cannot say", ["u"]],
  ...Array.from({ length: 9 }, (_, i) => [`species${i + 1}`, `accept as species ${i + 1}`, [`${i + 1}`]]),
  ["next", "next", ["ArrowRight", "Space"]],
  ["back", "back", ["ArrowLeft", "Backspace"]],
  ["down", "a row down", ["ArrowDown"]],
  ["up", "a row up", ["ArrowUp"]],
  ["pageDown", "a page down", ["PageDown"]],
  ["pageUp", "a page up", ["PageUp"]],
  ["first", "first", ["Home"]],
  ["last", "last", ["End"]],
  ["undo", "undo", ["z", "Ctrl+z"]],
  ["redo", "redo", ["y", "Ctrl+y", "Ctrl+Shift+z"]],
  ["select", "select or not", ["x"]],
  ["extendNext", "select one on; tomogram: move", ["Shift+ArrowRight"]],
  ["extendBack", "select one back; tomogram: move", ["Shift+ArrowLeft"]],
  ["extendDown", "select a row down; tomogram: move", ["Shift+ArrowDown"]],
  ["extendUp", "select a row up; tomogram: move", ["Shift+ArrowUp"]],
  ["all", "select all that are shown", ["Ctrl+a", "*"]],
  ["none", "select none; leave", ["Escape"]],
  ["open", "open: the pick, or a class", ["Enter"]],
  ["deeper", "sections: deeper", ["."]],
  ["shallower", "sections: less deep", [","]],
  ["add", "tomogram: add picks, by click or by arrows and Enter", ["m"]],
  ["invert", "invert the contrast", ["i"]],
  ["larger", "larger tiles", ["+", "="]],
  ["smaller", "smaller tiles", ["-"]],
  ["filter", "apply the filters again", ["f"]],
  ["batch", "next batch", ["b"]],
  ["tiles", "view: tiles", ["t"]],
  ["classes", "view: classes", ["c"]],
  ["pick", "view: one pick", ["p"]],
  ["tomogram", "view: tomogram", ["v"]],
  ["team", "view: team", ["g"]],
  ["panel", "show or hide the panel", ["l"]],
  ["keys", "this sheet", ["?"]],
];

export function nameOf(event) {
  let key = event.key === " " ? "Space" : event.key;
  const printable = key.length === 1;
  if (printable && (event.ctrlKey || event.metaKey)) key = key.toLowerCase();
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && (!printable || parts.length)) parts.push("Shift");
  return [...parts, key].join("+");
}

// What a key may mean, the likeliest first: also with Caps Lock, and where letters are not Latin or
// digits need Shift.
function namesOf(event) {
  const key = nameOf(event);
  const names = [key];
  if (event.getModifierState?.("CapsLock")) names.push(key.toLowerCase());
  const { code } = event;
  const plain = !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey);
  if (plain && (/^Digit[1-9]$/.test(code) || (/^Key[A-Z]$/.test(code) && key > "~")))
    names.push(code.at(-1).toLowerCase());
  return names;
}

const SIGNS = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
export const shown = (key) => key.split("+").map((one) => SIGNS[one] ?? one).join("+") || key;

export class Keys {
  constructor(act) {
    this.act = act;
    this.bound = new Map(ACTIONS.map(([name, , keys]) => [name, [...keys]]));
    try {
      for (const [name, keys] of Object.entries(JSON.parse(localStorage.getItem(STORE) ?? "{}")))
        if (this.bound.has(name) && Array.isArray(keys)) this.bound.set(name, keys.map(String));
    } catch { /* begin with ours */ }
    this.index();
    this.catching = null;
    this.sheet = document.getElementById("sheet");
    addEventListener("keydown", (event) => this.pressed(event));
  }

  index() {
    this.actions = new Map();
    for (const [name, keys] of this.bound) for (const key of keys) this.actions.set(key, name);
  }

  keysOf(name) { return this.bound.get(name) ?? []; }

  pressed(event) {
    if (this.catching) {
      if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
      event.preventDefault();
      this.caught(event.key === "Escape" ? null : nameOf(event));
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const at = event.target;
    const typing = at.matches?.("input[type=text], input[type=number], textarea");
    if (typing) return;
    const key = nameOf(event);
    const moving = ["Space", "Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "PageUp", "PageDown"];
    const control = at.matches?.("select, input[type=range], input[type=checkbox]");
    if (control && (moving.includes(key) || (at.matches("select") && key.length === 1))) return;
    if (at.matches?.("button, a") && (key === "Space" || key === "Enter") && !at.matches(".card")) return;
    const action = namesOf(event).map((one) => this.actions.get(one)).find(Boolean);
    if (!action) return;
    event.preventDefault();
    this.act(action, event);
  }

  open() {
    this.draw();
    this.sheet.showModal();
  }

  draw() {
    const list = ACTIONS.map(([name, text]) => {
      const item = document.createElement("li");
      const label = document.createElement("span");
      label.textContent = text;
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.bind = name;
      label.id = `means-${name}`;
      button.id = `key-${name}`;
      button.setAttribute("aria-labelledby", `${label.id} ${button.id}`);
      for (const key of this.keysOf(name)) {
        const kbd = document.createElement("kbd");
        kbd.textContent = shown(key);
        button.append(kbd, " ");
      }
      if (!this.keysOf(name).length) button.textContent = "none";
      button.addEventListener("click", () => this.catch(name, button));
      item.append(label, button);
      return item;
    });
    this.sheet.innerHTML = '<h2 id="sheet-title">Keys</h2><p class="soft">Press one of the keys '
      + 'below to change it. Click chooses a tile, Ctrl-click and Shift-click select, dragging '
      + 'selects what the frame touches, a double click opens. Touch: tap, touch long, drag after '
      + 'that; two fingers zoom a section.</p><ul></ul><div class="buttons">'
      + '<button type="button" data-do="close">Close</button>'
      + '<button type="button" data-do="reset">As they were at first</button></div>';
    this.sheet.querySelector("ul").append(...list);
    this.sheet.querySelector("[data-do=close]").addEventListener("click", () => this.sheet.close());
    this.sheet.querySelector("[data-do=reset]").addEventListener("click", () => {
      for (const [name, , keys] of ACTIONS) this.bound.set(name, [...keys]);
      localStorage.removeItem(STORE);
      this.index();
      this.draw();
      this.act("keysChanged");
    });
  }

  catch(name, button) {
    this.catching = name;
    button.textContent = "press a key";
  }

  caught(key) {
    const name = this.catching;
    this.catching = null;
    if (key !== null) {
      for (const [other, keys] of this.bound) this.bound.set(other, keys.filter((one) => one !== key));
      this.bound.set(name, [key]);
      localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(this.bound)));
      this.index();
    }
    this.draw();
    this.sheet.querySelector(`[data-bind=${name}]`).focus();
    this.act("keysChanged");
  }
}
