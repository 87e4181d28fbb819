// The conversation: one element a message, kept in order and changed in place.

import { drawing, find, make, safe, size } from "./dom.js";
import { enlarge } from "./lightbox.js";

const log = find("log");
const scroll = find("scroll");
const SIGNS = { sending: "Sending…", sent: "Sent", seen: "Seen", done: "Done", failed: "Could not be done" };
const SETTLED_AFTER = 1500;
const REPLY = "M10 8 5 13l5 5M5 13h9a5 5 0 0 0 5-5V6";
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const longClock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class Conversation {
  #press;
  #reply;
  #shown = new Map(); // key → { element, message, parts, told }
  #timers = new Map();

  // press(button, message, element) and reply(message): what somebody does with a message.
  constructor(press, reply) {
    this.#press = press;
    this.#reply = reply;
    // Pictures grow while they load; whoever reads the end stays at the end.
    let atEnd = true;
    scroll.addEventListener("scroll", () => {
      atEnd = this.atEnd;
      if (atEnd) find("jump").hidden = true;
    }, { passive: true });
    const watch = new ResizeObserver(() => atEnd && this.toEnd());
    watch.observe(log);
    watch.observe(scroll);
    find("jump").onclick = () => {
      this.toEnd();
      find("say").focus({ preventScroll: true });
    };
  }

  get isEmpty() {
    return this.#shown.size === 0;
  }

  get first() {
    return Math.min(...[...this.#shown.values()].map(({ message }) => message.place));
  }

  get atEnd() {
    return scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  }

  toEnd() {
    scroll.scrollTop = scroll.scrollHeight;
    find("jump").hidden = true;
  }

  // What the gateway knows of the latest messages replaces what stands here.
  restore(messages) {
    const known = new Set(messages.map(({ key }) => key));
    const since = messages[0]?.place ?? 0;
    for (const [key, { message }] of this.#shown) {
      if (message.place >= since && !known.has(key) && message.state !== "sending") this.remove(key);
    }
    log.setAttribute("aria-busy", "true"); // a whole history is not read aloud
    for (const message of messages) this.show(message);
    log.setAttribute("aria-busy", "false");
    this.toEnd();
  }

  before(messages) {
    const height = scroll.scrollHeight;
    for (const message of messages) this.show(message);
    scroll.scrollTop += scroll.scrollHeight - height;
  }

  show(message, fresh = false) {
    if (message.mine) this.remove(`local:${message.id}`);
    const old = this.#shown.get(message.key);
    const stay = this.atEnd;
    const shown = old ?? { element: make("li", { tabindex: "-1" }), parts: {}, told: "" };
    shown.message = message;
    this.#shown.set(message.key, shown);
    this.#dress(shown);
    keepFocus(shown.element, () => this.#fill(shown));
    if (old && fresh) this.#settle(message.key, shown);
    if (!old) {
      shown.told = matter(message);
      this.#place(shown.element, message.place);
    }
    if (!old && fresh) {
      shown.element.classList.add("new");
      if (message.mine || stay) this.toEnd();
      else find("jump").hidden = false;
    }
  }

  #dress({ element, message }) {
    element.className = "message" + (message.mine ? " mine" : "") + (message.state === "sending" ? " pending" : "");
    element.dataset.key = message.key;
    if (message.sign) element.classList.add(`sign-${message.sign}`);
  }

  #fill(shown) {
    const { element, message } = shown;
    const answered = message.mine ? this.get(message.reply_to) : undefined;
    const quoted = answered ? summary(answered) : "";
    const kept = message.media.filter(is_kept);
    const inside = [
      part(shown, "quote", quoted, () => quoted && quote(quoted)),
      part(shown, "media", [kept, message.media.length], () => figures(message, element)),
      part(shown, "text", [message.text, message.html], () => words(message)),
    ];
    renew(message, shown.parts.media.element);
    const body = part(shown, "body", inside.some(Boolean), () => inside.some(Boolean) && make("div", { class: "body" }));
    if (body) arrange(body, inside);
    arrange(element, [
      part(shown, "who", message.mine, () => make("span", { class: "hidden" }, message.mine ? "You said: " : "Chatelier: ")),
      body,
      part(shown, "buttons", message.buttons, () => this.#buttons(message)),
      part(shown, "meta", [message.at, message.private, message.sign, message.state], () => this.#meta(message)),
      shown.parts.note?.element,
    ]);
  }

  // A card that moves is not read aloud with each step: only when it has come to rest as something else than it was.
  #settle(key, shown) {
    shown.element.setAttribute("aria-live", "off");
    clearTimeout(this.#timers.get(key));
    this.#timers.set(key, setTimeout(() => {
      this.#timers.delete(key);
      if (this.#shown.get(key) !== shown || shown.told === matter(shown.message)) return;
      shown.told = matter(shown.message);
      find("told").textContent = spoken(shown.message);
    }, SETTLED_AFTER));
  }

  // A line under a message, with a button; null takes it away.
  note(key, words, label, act) {
    const shown = this.#shown.get(key);
    if (!shown) return;
    shown.parts.note?.element.remove();
    shown.parts.note = undefined;
    if (!words) return;
    const button = make("button", { class: "press", type: "button" }, label);
    button.onclick = act;
    const element = make("div", { class: "note" }, make("p", {}, words), button);
    const stay = this.atEnd;
    shown.parts.note = { element };
    shown.element.append(element);
    if (stay) this.toEnd();
  }

  // The key of what this page said with this id.
  own(id) {
    return [...this.#shown.values()].find(({ message }) => message.mine && message.id === id)?.message.key ?? "";
  }

  get(key) {
    return this.#shown.get(key)?.message;
  }

  sign(key, sign) {
    const found = this.#shown.get(key);
    if (found) this.show({ ...found.message, sign });
  }

  remove(key) {
    this.#shown.get(key)?.element.remove();
    this.#shown.delete(key);
  }

  #place(element, place) {
    let after = log.lastElementChild;
    while (after && (this.#shown.get(after.dataset.key)?.message.place ?? 0) > place) after = after.previousElementSibling;
    if (after) after.after(element);
    else log.prepend(element);
  }

  #buttons(message) {
    if (!message.buttons.length) return null;
    const rows = message.buttons.map((row) => make("div", {}, ...row.map((button) => this.#button(button, message))));
    return make("div", { class: "buttons", role: "group", "aria-label": "Actions" }, ...rows);
  }

  #button(button, message) {
    const style = `press ${button.style}`;
    if (button.url) return make("a", { class: style, href: button.url, target: "_blank", rel: "noopener noreferrer", "data-does": button.url }, button.label);
    const element = make("button", { class: style, type: "button", "data-does": button.payload }, button.label);
    element.onclick = () => element.getAttribute("aria-disabled") === "true" || this.#press(button, message, element);
    return element;
  }

  #meta(message) {
    const parts = meta(message);
    if (message.state !== "sending") {
      const button = make("button", { class: "answer", type: "button", "aria-label": "Reply", title: "Reply", "data-does": "reply" }, drawing(REPLY));
      button.onclick = () => this.#reply(this.get(message.key));
      parts.push(button);
    }
    return make("div", { class: "meta", "aria-live": "off" }, ...parts);
  }
}

// A piece of a message, made anew only when it says something else. null: there is none.
function part({ parts }, name, says, build) {
  const said = JSON.stringify(says);
  if (parts[name]?.said !== said) {
    const element = build() || null;
    parts[name]?.element?.remove();
    parts[name] = { said, element };
  }
  return parts[name].element;
}

// What is in its place already is not touched: whoever presses it just now would miss it.
function arrange(parent, children) {
  children.filter(Boolean).forEach((child, n) => parent.children[n] !== child && parent.insertBefore(child, parent.children[n] ?? null));
}

function quote(words) {
  return make("div", { class: "quote" }, make("span", { class: "hidden" }, "In answer to: "), words);
}

// The words of a message in one line, or what else it shows.
export function summary(message) {
  const words = message.mine ? message.text : safe(message.html).textContent;
  const first = words.trim().replace(/\s+/g, " ");
  const named = message.media.map(({ alt, name }) => alt || name).filter(Boolean)[0] ?? "";
  return first.slice(0, 200) || named || "a message";
}

// What somebody who does not see the page must be told of: not how far it is.
function matter({ buttons, media, html }) {
  return JSON.stringify([buttons, media.filter(is_kept).map(({ src }) => src), buttons.length ? "" : html]);
}

function spoken(message) {
  const seen = message.media.filter(is_kept).map(({ alt, name }) => alt || name);
  return ["Chatelier:", safe(message.html).textContent, ...seen].join(" ").slice(0, 500);
}

// `change` may take the element away that has the focus; then what does the same gets it, or the message itself.
function keepFocus(element, change) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  change();
  if (!focused || document.activeElement === focused) return;
  const same = focused.dataset.does && element.querySelector(`[data-does="${CSS.escape(focused.dataset.does)}"]`);
  const heir = element.contains(focused) ? focused : same || element;
  heir.focus({ preventScroll: true });
}

function is_kept({ preview }) {
  return !preview;
}

// A preview is the same picture, a step further.
function renew(message, media) {
  const preview = message.media.find((item) => item.preview);
  const image = preview && media.querySelector(".preview img");
  if (image && image.src !== preview.src) image.src = preview.src;
}

function words(message) {
  if (message.mine) return message.text ? make("div", { class: "text" }, message.text) : null;
  return message.html ? make("div", { class: "text" }, safe(message.html)) : null;
}

function meta(message) {
  const parts = [];
  if (message.at) {
    const at = new Date(message.at);
    parts.push(make("time", { datetime: message.at, title: longClock.format(at) }, clock.format(at)));
  }
  if (message.private) parts.push(make("span", { class: "private" }, "only you see this"));
  const sign = message.mine ? SIGNS[message.sign || message.state || "sent"] : "";
  if (sign) parts.push(make("span", { class: "sign" }, sign));
  return parts;
}

// A picture that stands there already is kept, so that an edit does not make it flicker.
function figures(message, element) {
  if (!message.media.length) return null;
  const old = new Map([...element.querySelectorAll("[data-src]")].map((each) => [each.dataset.src, each]));
  const box = make("div", { class: "media", "data-count": message.media.length });
  const pictures = message.media.filter(({ kind, preview }) => (kind === "image" || kind === "animation") && !preview);
  for (const item of message.media) {
    const id = item.preview ? "preview" : item.src;
    const kept = old.get(id);
    const figure = kept ?? figure_of(item, pictures);
    figure.dataset.src = id;
    box.append(figure);
  }
  return box;
}

function figure_of(item, pictures) {
  if (item.kind === "image" || item.kind === "animation") return picture(item, pictures);
  if (item.kind === "video") return lost_on_error(make("video", { controls: true, preload: "metadata", src: item.src, "aria-label": item.alt || item.name }), item);
  if (item.kind === "audio") return lost_on_error(make("audio", { controls: true, preload: "metadata", src: item.src, "aria-label": item.alt || item.name }), item);
  return make("a", { class: "file", href: `${item.src}?download`, download: item.name },
    drawing("M7 3h7l5 5v13H7zM14 3v5h5"), make("span", {}, item.name), make("small", {}, size(item.size)));
}

function picture(item, pictures) {
  const image = make("img", { alt: item.alt, width: item.width || null, height: item.height || null, decoding: "async" });
  const frame = item.preview
    ? make("div", { class: "picture preview" }, image)
    : make("button", { class: "picture", type: "button", "aria-label": `Enlarge: ${item.alt || item.name}` }, image);
  if (item.spoiler) frame.classList.add("spoiler");
  if (!item.preview) {
    frame.onclick = () => {
      if (frame.classList.contains("spoiler")) frame.classList.remove("spoiler");
      else enlarge(pictures, pictures.indexOf(item));
    };
    lost_on_error(image, item, frame);
  }
  image.src = item.src;
  return frame;
}

function lost_on_error(media, item, frame = media) {
  media.addEventListener("error", () => frame.replaceWith(make("p", { class: "lost" }, `${item.name}: this file is no longer kept.`)));
  return frame;
}
