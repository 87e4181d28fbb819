// Small pieces that every part of the page uses.

export const find = (id) => document.getElementById(id);

// `make("button", { class: "press", type: "button" }, "Again")`: text is always text, never markup.
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function drawing(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export const CROSS = "m6 6 12 12M18 6 6 18";

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

export function toast(words) {
  const box = make("div", { class: "toast" }, make("span", {}, words));
  const close = make("button", { type: "button", "aria-label": "Dismiss" }, drawing(CROSS));
  close.onclick = () => box.remove();
  box.append(close);
  find("toasts").append(box);
  setTimeout(() => box.remove(), Math.max(6000, words.length * 90));
}

const TAGS = new Set("P BR STRONG EM DEL CODE PRE A H3 H4 H5 H6 BLOCKQUOTE UL OL LI HR".split(" "));

// The gateway's HTML holds only these tags already; should it ever hold more, the rest is shown as text.
export function safe(html) {
  const kept = document.createDocumentFragment();
  copy(new DOMParser().parseFromString(html, "text/html").body, kept);
  return kept;
}

function copy(from, to) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
    else if (node.nodeType === Node.ELEMENT_NODE && TAGS.has(node.tagName)) {
      const element = document.createElement(node.tagName);
      if (node.tagName === "A") link(node, element);
      if (node.tagName === "OL" && node.start > 1) element.start = node.start;
      copy(node, element);
      to.append(element);
    } else if (node.nodeType === Node.ELEMENT_NODE) to.append(node.outerHTML);
  }
}

function link(from, to) {
  if (!/^(https?:|mailto:)/i.test(from.getAttribute("href") ?? "")) return;
  to.href = from.getAttribute("href");
  to.rel = "noopener noreferrer";
  to.target = "_blank";
}
