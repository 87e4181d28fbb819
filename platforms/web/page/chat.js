// The page: puts the parts together.

import { Completion } from "./completion.js";
import { find, make, toast } from "./dom.js";
import { accept, Tray } from "./files.js";
import * as forms from "./forms.js";
import { Conversation, summary } from "./messages.js";
import { Line } from "./socket.js";

const box = find("say");
const LONGEST = 20_000;
const BUSY_MS = 15_000;
const DRAFT = "chatelier.draft";
const TITLE = document.title;

const pressed = new Map();
// Not `disabled`: that would take the focus away.
const conversation = new Conversation((button, message, element) => {
  element.setAttribute("aria-disabled", "true");
  pressed.set(line.act("press", { payload: button.payload, message: message.key }), element);
}, answer);
const tray = new Tray(() => ready());
const completion = new Completion((wire) => line.ask(wire));

let answering = null; // the message that the next one answers
let taken = null; // the act that was acknowledged last; a form comes right after it
let noted = ""; // the key of the message under which a form can be opened again
let unread = 0;
let busyTimer = 0;
let bannerTimer = 0;

const line = new Line({
  state: connection,
  history({ messages, more, earlier }) {
    if (earlier) conversation.before(messages);
    else conversation.restore(messages);
    if (!earlier) for (const act of line.unsent) pend(act);
    find("earlier").hidden = !more;
    welcome();
  },
  message({ message }) {
    if (!message.mine) busy(false);
    conversation.show(message, true);
    if (!message.mine && document.hidden) document.title = `(${++unread}) ${TITLE}`;
    welcome();
  },
  edit: ({ message }) => conversation.show(message, true),
  delete({ key }) {
    conversation.remove(key);
    if (answering?.key === key) answer(null);
    welcome();
  },
  ack({ id }, act) {
    taken = act;
    release(id);
    forms.answered(id, "");
  },
  refused({ id, words }, act) {
    release(id);
    conversation.remove(`local:${id}`);
    if (!forms.answered(id, words)) toast(words);
    if (act?.type === "say" && !box.value) {
      box.value = act.text;
      answer(conversation.get(act.reply_to) ?? null);
      typed();
    }
    welcome();
  },
  signal({ what, message }) {
    busy(what === "busy");
    if (what !== "busy") conversation.sign(message, what);
  },
  commands({ commands }) {
    completion.commands = commands;
    examples(commands);
    ready();
  },
  choices: (wire) => completion.answer(wire),
  ask: ({ form }) => open(form, taken?.message ?? conversation.own(taken?.id)),
});

// place: the key of the message that the form belongs to. Whoever closes the form must still find the question.
function open(form, place) {
  note("");
  const ask = () => open(form, place);
  forms.ask(form, (values) => line.act("submit", { form: form.key, values }), () => {
    const option = forms.lacking(form);
    if (!option) return;
    const command = /^\/\S+/.exec(conversation.get(place)?.text ?? "")?.[0] ?? "This";
    const how = option.type in forms.FILES ? "Send it" : "Write it";
    note(place, `${command} waits for: ${option.label || option.name}. ${how} here, or open the form again.`, "Open the form", ask);
  });
}

function note(key, ...what) {
  if (noted) conversation.note(noted);
  noted = key;
  if (key) conversation.note(key, ...what);
}

// message: null for none.
function answer(message) {
  answering = message;
  find("answering").hidden = !message;
  find("answered-words").textContent = message ? summary(message) : "";
  if (!message) return;
  const picture = message.media.find(({ kind, preview }) => kind === "image" && !preview);
  find("answered").hidden = !picture;
  if (picture) find("answered").src = picture.src;
  box.focus();
}

// Not said yet when it was lost only for a moment.
function connection(online) {
  clearTimeout(bannerTimer);
  const banner = find("banner");
  if (online) banner.hidden = true;
  else if (banner.hidden) {
    bannerTimer = setTimeout(() => {
      banner.textContent = "Connection lost. Trying again… what you send is kept.";
      banner.hidden = false;
    }, 600);
  }
}

function release(id) {
  const element = pressed.get(id);
  element?.removeAttribute("aria-disabled");
  pressed.delete(id);
}

// What was said but has not arrived yet.
function pend(act) {
  if (act.type !== "say" || !act.text) return;
  conversation.show({
    key: `local:${act.id}`, id: "", place: Infinity, mine: true, text: act.text, html: "", media: [], buttons: [],
    reply_to: act.reply_to, private: false, sign: "", at: "", state: "sending",
  }, true);
}

function busy(on) {
  clearTimeout(busyTimer);
  const stay = conversation.atEnd;
  find("busy").hidden = !on;
  if (on) busyTimer = setTimeout(() => busy(false), BUSY_MS);
  if (on && stay) conversation.toEnd();
}

function welcome() {
  find("welcome").hidden = !conversation.isEmpty;
}

function examples(commands) {
  const has = (name) => commands.find((command) => command.name === name);
  const whole = [];
  if (has("make")) whole.push("/make a red fox in the snow", "/make a lighthouse at dusk, oil on canvas --width 768");
  const names = commands.filter(({ name }) => name !== "make" && name !== "start").slice(0, 3);
  const option = has("make")?.options.map(({ name }) => name) ?? [];
  const usable = whole.filter((text) => [...text.matchAll(/--(\w+)/g)].every((match) => option.includes(match[1])));
  find("examples").replaceChildren(
    ...usable.map((text) => example(text, "", () => send(text))),
    ...names.map(({ name, summary }) => example(`/${name}`, summary, () => {
      box.value = `/${name} `;
      typed();
      box.focus();
    })),
  );
}

function example(text, about, act) {
  const [command, ...rest] = text.split(" ");
  const button = make("button", { type: "button" }, make("b", {}, command), ` ${rest.join(" ")}`, ...(about ? [make("small", {}, about)] : []));
  button.onclick = act;
  return make("li", {}, button);
}

function send(text) {
  if (text.length > LONGEST) {
    toast(`This is ${text.length.toLocaleString()} characters long and ${LONGEST.toLocaleString()} is the most. Make it shorter.`);
    return false;
  }
  const fields = { text, files: tray.take(), reply_to: answering?.key ?? "" };
  answer(null);
  note("");
  pend({ type: "say", id: line.act("say", fields), ...fields });
  welcome();
  return true;
}

function typed() {
  box.dispatchEvent(new Event("input"));
}

function ready() {
  find("send").disabled = !tray.isReady || (!box.value.trim() && tray.isEmpty);
  const command = completion.command;
  find("options").hidden = !command?.options.length;
  if (command) find("options").setAttribute("aria-label", `Fill in the options of /${command.name}`);
}

find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (find("send").disabled || !send(box.value.trim())) return;
  box.value = "";
  typed();
  box.focus();
});

box.addEventListener("input", () => {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
  sessionStorage.setItem(DRAFT, box.value);
  ready();
});

box.addEventListener("keydown", (event) => {
  if (event.isComposing) return;
  if (completion.key(event)) event.preventDefault();
  else if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    completion.close();
    find("composer").requestSubmit();
  }
});

find("options").addEventListener("click", () => {
  const command = completion.command;
  const values = given(command, box.value);
  // A message that is answered brings its files.
  const fields = command.options.map((option) => (answering && option.type in forms.FILES ? { ...option, required: false } : option));
  forms.ask({ title: `/${command.name}`, fields, values }, (options) => {
    const reply_to = answering?.key ?? "";
    box.value = "";
    answer(null);
    note("");
    typed();
    return line.act("call", { command: command.name, options, reply_to });
  });
});

// What was typed already: `--width 512` and the words that belong to no option.
function given(command, text) {
  const values = {};
  const rest = text.replace(/^\/\S+\s*/, "").replace(/(?:^|\s)--([a-z0-9_]+)(?:\s+|=)("[^"]*"|\S+)/g, (whole, name, value) => {
    const option = command.options.find((each) => each.name === name);
    if (!option) return whole;
    values[name] = option.type === "boolean" ? /^(yes|true|on|1)$/i.test(value) : value.replaceAll('"', "");
    return "";
  });
  const taker = command.options.find((option) => option.rest);
  const words = rest.replace(/--\w*\s*$/, "").trim();
  if (taker && words) values[taker.name] = words;
  return values;
}

find("not-answering").onclick = () => {
  answer(null);
  box.focus();
};

find("earlier").onclick = () => line.ask({ type: "earlier", before: conversation.first });

const theme = find("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
const showTheme = () => theme.setAttribute("aria-pressed", String(isDark()));
theme.onclick = () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  localStorage.setItem("chatelier.theme", document.documentElement.dataset.theme);
  showTheme();
};
system.addEventListener("change", showTheme);
showTheme();

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  document.title = TITLE;
});

accept((files) => {
  tray.add(files);
  box.focus();
});
box.value ||= sessionStorage.getItem(DRAFT) ?? ""; // somebody may have typed before this script was there
typed();
if (matchMedia("(hover: hover)").matches) box.focus();
