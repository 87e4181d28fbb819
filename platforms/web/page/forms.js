// Questions asked at once, in a dialog with a typed field each.

import { upload } from "./files.js";
import { find, make } from "./dom.js";

const dialog = find("sheet");
const form = find("form");
const problem = find("form-error");
export const FILES = { image: "image/*", video: "video/*", audio: "audio/*", file: "" };
let fields = [];
let send = null;
let waiting = "";
let dismissed = null;

// submit(values) returns the id of what was sent; the dialog stays until `answered` says what came of it.
// leave(): it was closed instead.
export function ask({ title, fields: options, values = {} }, submit, leave = null) {
  find("sheet-title").textContent = title;
  fields = options.map((option, n) => new Field(option, n, values[option.name] ?? option.default));
  find("fields").replaceChildren(...fields.map(({ element }) => element));
  problem.hidden = true;
  send = submit;
  dismissed = leave;
  waiting = "";
  form.querySelector(".primary").disabled = false;
  if (!dialog.open) dialog.showModal();
  find("fields").querySelector("input, select, textarea")?.focus();
}

// words: why it was refused, "" when it was taken. True when the dialog shows them.
export function answered(id, words) {
  if (!waiting || id !== waiting) return false;
  waiting = "";
  form.querySelector(".primary").disabled = false;
  if (words && dialog.open) {
    complain(words);
    return true;
  }
  dismissed = null;
  dialog.close();
  return false;
}

// The first question that only a form or a message can answer now; null when none is open.
export function lacking({ fields: options, values }) {
  return options.find(({ name, required, default: usual }) => required && usual === null && !(name in values)) ?? null;
}

function complain(words) {
  problem.textContent = words;
  problem.hidden = false;
}

class Field {
  constructor(option, n, value) {
    this.option = option;
    this.had = value !== null && value !== undefined && value !== "";
    this.input = control(option, value);
    this.input.id = `field-${n}`;
    this.input.required = option.required && option.type !== "boolean";
    this.input.setAttribute("aria-describedby", `about-${n} wrong-${n}`);
    this.wrong = make("div", { class: "wrong", id: `wrong-${n}` });
    const name = option.label || option.name;
    const about = make("small", { id: `about-${n}` }, describe(option));
    const label = make("label", { for: this.input.id }, name);
    if (option.type === "boolean") label.prepend(this.input);
    this.element = make("div", { class: option.type === "boolean" ? "field check" : "field" }, label,
      ...(option.type === "boolean" ? [] : [this.input]), about, this.wrong);
  }

  check() {
    const fine = this.input.checkValidity();
    this.wrong.textContent = fine ? "" : this.input.validationMessage;
    this.input.setAttribute("aria-invalid", String(!fine));
    return fine;
  }

  // undefined: left empty; "": a text that was taken away.
  async value() {
    const { type } = this.option;
    if (type === "boolean") return this.input.checked;
    if (type in FILES) return this.input.files[0] ? { file: await upload(this.input.files[0]) } : undefined;
    if (this.input.value === "") return type === "text" && this.had ? "" : undefined;
    return type === "integer" || type === "number" ? Number(this.input.value) : this.input.value;
  }
}

function control(option, value) {
  if (option.type === "boolean") {
    const box = make("input", { type: "checkbox" });
    box.checked = value === true;
    return box;
  }
  if (option.type === "choice") {
    const empty = option.required ? [] : [make("option", { value: "" }, "—")];
    const select = make("select", {}, ...empty, ...option.choices.map(({ value: each, label }) => make("option", { value: each }, label || each)));
    if (value !== null && value !== undefined) select.value = value;
    return select;
  }
  if (option.type in FILES) return make("input", { type: "file", accept: FILES[option.type] || null });
  if (option.type === "integer" || option.type === "number") {
    const step = option.step ?? (option.type === "integer" ? 1 : "any");
    return make("input", { type: "number", min: option.minimum, max: option.maximum, step, value, inputmode: option.type === "integer" ? "numeric" : "decimal" });
  }
  const long = option.rest || option.max_length > 200;
  const text = make(long ? "textarea" : "input", { maxlength: option.max_length });
  text.value = value ?? "";
  return text;
}

function describe({ description, minimum, maximum, type }) {
  const numbers = type === "integer" || type === "number";
  const span = numbers && minimum !== null && maximum !== null ? `${minimum} to ${maximum}` : "";
  return [description, span].filter(Boolean).join(" · ");
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (waiting) return;
  const wrong = fields.filter((field) => !field.check());
  if (wrong.length) {
    wrong[0].input.focus();
    return;
  }
  problem.hidden = true;
  form.querySelector(".primary").disabled = true;
  try {
    const values = {};
    for (const field of fields) {
      const value = await field.value();
      if (value !== undefined) values[field.option.name] = value;
    }
    waiting = send(values);
  } catch (error) {
    complain(error.message);
    form.querySelector(".primary").disabled = false;
  }
});

form.addEventListener("input", (event) => {
  const field = fields.find(({ input }) => input === event.target);
  if (field?.wrong.textContent) field.check();
});

dialog.addEventListener("close", () => {
  if (dialog.open) return; // the next one stands there already
  if (!waiting) dismissed?.();
  dismissed = null;
});

dialog.addEventListener("click", (event) => {
  if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
});
