// The conversation: one element a message, kept in order and changed in place.

import { drawing, find, make, safe, size } from "./dom.js";
import { enlarge } from "./lightbox.js";

const log = find("log");
const scroll = find("scroll");
const SIGNS = { sending: "Sending…", sent: "Sent", seen: "Seen", done: "Done", failed: "Could not be done" };
const SETTLED_AFTER = 1500;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const longClock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class Conversation {
  #press;
  #shown = new Map(); // key → { element, message }
  #timers = new Map();

  constructor(press) {
    this.#press = press;
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
    const element = old?.element ?? make("li");
    element.className = "message" + (message.mine ? " mine" : "") + (message.state === "sending" ? " pending" : "");
    element.dataset.key = message.key;
    if (message.sign) element.classList.add(`sign-${message.sign}`);
    const media = figures(message, element);
    const text = words(message);
    const body = make("div", { class: "body" });
    if (media) body.append(media);
    if (text) body.append(text);
    element.replaceChildren(
      make("span", { class: "hidden" }, message.mine ? "You said: " : "Chatelier: "),
      ...(media || text ? [body] : []),
      ...this.#buttons(message),
      meta(message),
    );
    this.#shown.set(message.key, { element, message });
    if (!old) this.#place(element, message.place);
    if (old && fresh) this.#settle(message.key, element);
    if (!old && fresh) {
      element.classList.add("new");
      if (message.mine || stay) this.toEnd();
      else find("jump").hidden = false;
    }
  }

  // A message that changes every second is read aloud when it has come to rest.
  #settle(key, element) {
    element.setAttribute("aria-busy", "true");
    clearTimeout(this.#timers.get(key));
    this.#timers.set(key, setTimeout(() => element.removeAttribute("aria-busy"), SETTLED_AFTER));
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
    if (!message.buttons.length) return [];
    const rows = message.buttons.map((row) => make("div", {}, ...row.map((button) => this.#button(button, message))));
    return [make("div", { class: "buttons", role: "group", "aria-label": "Actions" }, ...rows)];
  }

  #button(button, message) {
    const style = `press ${button.style}`;
    if (button.url) return make("a", { class: style, href: button.url, target: "_blank", rel: "noopener noreferrer" }, button.label);
    const element = make("button", { class: style, type: "button" }, button.label);
    element.onclick = () => this.#press(button, message, element);
    return element;
  }
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
  return make("div", { class: "meta" }, ...parts);
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
    if (item.preview && kept) kept.querySelector("img").src = item.src;
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
