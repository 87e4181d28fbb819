// What could be typed next: commands, then the options of one, then the values of an option.

import { find, make } from "./dom.js";

const list = find("completion");
const box = find("say");
const hint = find("hint");
const QUIET_MS = 80;

export class Completion {
  commands = [];
  #ask;
  #items = [];
  #at = -1;
  #moved = false;
  #certain = false;
  #from = 0;
  #asked = 0;
  #timer = 0;

  // ask(wire): the gateway answers with `answer`.
  constructor(ask) {
    this.#ask = ask;
    box.addEventListener("input", () => this.look());
    box.addEventListener("blur", () => this.close());
    list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the message box keeps the focus
      const item = event.target.closest("li");
      if (item) this.#take(Number(item.dataset.n));
    });
  }

  get command() {
    const name = /^\/([a-z0-9_]+)(\s|$)/.exec(box.value)?.[1];
    return this.commands.find((command) => command.name === name);
  }

  look() {
    const typed = box.value.slice(0, box.selectionStart);
    const command = this.command;
    this.#asked++;
    clearTimeout(this.#timer);
    this.#explain(command);
    if (document.activeElement !== box) return this.close();
    const name = /^\/(\S*)$/.exec(typed);
    if (name) return this.#offerCommands(name[1]);
    if (!command) return this.close();
    const value = value_being_typed(command, typed);
    if (value) return this.#offerValues(command, value);
    const option = /(?:^|\s)--(\S*)$/.exec(typed);
    if (option) return this.#offerOptions(command, option[1], typed);
    return this.close();
  }

  answer({ n, choices }) {
    if (n === this.#asked) this.#show(choices.map(({ value, label }) => ({ insert: `${quoted(value)} `, name: value, about: label === value ? "" : label })), false);
  }

  // True when the key was for the list.
  key(event) {
    if (list.hidden) return false;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.#moved = true;
      this.#choose((this.#at + (event.key === "ArrowDown" ? 1 : -1) + this.#items.length) % this.#items.length);
    } else if (event.key === "Escape") this.close();
    else if (event.key === "Tab" && !event.shiftKey) this.#take(this.#at);
    else if (event.key === "Enter" && !event.shiftKey && (this.#moved || this.#certain)) this.#take(this.#at);
    else return false;
    return true;
  }

  close() {
    clearTimeout(this.#timer);
    this.#asked++;
    this.#items = [];
    list.hidden = true;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  }

  #offerCommands(prefix) {
    const found = this.commands.filter(({ name }) => name.startsWith(prefix.toLowerCase()));
    this.#from = 0;
    const whole = found.some(({ name }) => name === prefix);
    this.#show(found.map(({ name, summary }) => ({ insert: `/${name} `, name: `/${name}`, about: summary })), !whole && prefix !== "");
  }

  #offerOptions(command, prefix, typed) {
    const used = new Set([...box.value.matchAll(/--([a-z0-9_]+)\s/g)].map((match) => match[1]));
    const found = command.options.filter((option) => !option.rest && option.name.startsWith(prefix) && !used.has(option.name));
    this.#from = typed.length - prefix.length - 2;
    const item = (option) => ({ insert: `--${option.name} `, name: `--${option.name} ${range(option)}`.trim(), about: option.description || option.label });
    this.#show(found.map(item), false);
  }

  #offerValues(command, { option, typed, from }) {
    this.#from = from;
    if (option.type === "boolean") {
      this.#show(["yes", "no"].filter((word) => word.startsWith(typed)).map((word) => ({ insert: `${word} `, name: word, about: "" })), false);
    } else if (option.type === "choice") {
      const n = this.#asked;
      this.#timer = setTimeout(() => this.#ask({ type: "complete", n, command: command.name, option: option.name, typed }), QUIET_MS);
    } else this.close();
  }

  #show(items, certain) {
    this.#items = items;
    this.#moved = false;
    this.#certain = certain;
    if (!items.length) return this.close();
    list.replaceChildren(...items.map(({ name, about }, n) =>
      make("li", { role: "option", id: `choice-${n}`, "data-n": n, "aria-selected": "false" }, make("b", {}, name), make("span", {}, about))));
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
    this.#choose(0);
  }

  #choose(n) {
    list.children[this.#at]?.setAttribute("aria-selected", "false");
    this.#at = n;
    list.children[n].setAttribute("aria-selected", "true");
    list.children[n].scrollIntoView({ block: "nearest" });
    box.setAttribute("aria-activedescendant", `choice-${n}`);
  }

  #take(n) {
    const { insert } = this.#items[n];
    const rest = box.value.slice(box.selectionStart).replace(/^\S*\s?/, "");
    box.value = box.value.slice(0, this.#from) + insert + rest;
    const at = this.#from + insert.length;
    box.setSelectionRange(at, at);
    box.dispatchEvent(new Event("input"));
  }

  #explain(command) {
    hint.hidden = !command;
    if (!command) return;
    const shown = command.options.filter((option) => !option.advanced || option.required);
    const parts = shown.map((option) => option.rest ? option.label || option.name : `--${option.name} ${range(option)}`.trim());
    const more = command.options.length - shown.length;
    hint.replaceChildren(make("b", {}, `/${command.name}`), ` ${parts.join("  ·  ")}${more ? `  ·  ${more} more` : ""}`);
  }
}

// `--size sq` or `size:sq` at the end of what was typed.
function value_being_typed(command, typed) {
  const match = /(?:^|\s)(?:--([a-z0-9_]+)(?:\s+|=)|([a-z0-9_]+):)(\S*)$/.exec(typed);
  const option = match && command.options.find(({ name }) => name === (match[1] ?? match[2]));
  return option ? { option, typed: match[3], from: typed.length - match[3].length } : null;
}

function range({ type, minimum, maximum, default: usual, choices }) {
  if (type === "choice") return choices.slice(0, 4).map(({ value }) => value).join("|") + (choices.length > 4 ? "|…" : "");
  if (type === "boolean") return "yes|no";
  if (minimum !== null && maximum !== null) return `${minimum}…${maximum}`;
  if (minimum !== null) return `≥ ${minimum}`;
  if (maximum !== null) return `≤ ${maximum}`;
  if (usual !== null && usual !== "" && String(usual).length < 20) return `(${usual})`;
  return "";
}

function quoted(value) {
  return /[\s"]/.test(value) ? `"${value.replaceAll('"', '\\"')}"` : value;
}
