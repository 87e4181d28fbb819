// One picture at a time, as large as the window.

import { find } from "./dom.js";

const dialog = find("lightbox");
let pictures = [];
let at = 0;

export function enlarge(of, index) {
  pictures = of;
  at = index;
  for (const button of dialog.querySelectorAll("[data-step]")) button.hidden = pictures.length < 2;
  look();
  dialog.showModal();
}

function look() {
  const picture = pictures[at];
  const image = find("large");
  image.src = picture.src;
  image.alt = picture.alt || picture.name;
  const place = pictures.length > 1 ? `${at + 1} of ${pictures.length}` : "";
  find("caption").textContent = [place, picture.alt].filter(Boolean).join(" · ");
  find("save").href = `${picture.src}?download`;
  find("save").download = picture.name;
}

function step(by) {
  at = (at + by + pictures.length) % pictures.length;
  look();
}

dialog.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.dataset.step) step(Number(button.dataset.step));
  else if (button || !event.target.closest("img, figcaption, a")) dialog.close();
});
dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
