// Files on their way: chosen, dropped or pasted, and uploaded at once.

import { CROSS, drawing, find, make, toast } from "./dom.js";

const MOST = 10;
const tray = find("tray");

// Resolves to the reference of the uploaded file; rejects with words.
export async function upload(file) {
  let response;
  try {
    const address = `/chat/files?name=${encodeURIComponent(file.name || "file")}`;
    response = await fetch(address, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
  } catch {
    throw new Error(`${file.name} did not arrive. Check the connection and add it again.`);
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error || `${file.name} was not taken. Reload the page and add it again.`);
  return answer.ref;
}

// A file that will not be sent. When this does not arrive, the file goes by itself after a day.
function forget(ref) {
  fetch(`/chat/files/${ref}`, { method: "DELETE" }).catch(() => {});
}

export class Tray {
  #items = [];
  #changed;

  constructor(changed) {
    this.#changed = changed;
  }

  get isEmpty() {
    return this.#items.length === 0;
  }

  get isReady() {
    return this.#items.every(({ ref }) => ref);
  }

  // Gives the references away and empties the tray.
  take() {
    const refs = this.#items.map(({ ref }) => ref);
    for (const item of [...this.#items]) this.#remove(item);
    return refs;
  }

  add(files) {
    for (const file of files) {
      if (this.#items.length === MOST) {
        toast(`At most ${MOST} files go with one message.`);
        return;
      }
      this.#start(file);
    }
  }

  async #start(file) {
    const item = { ref: "", element: make("li", { class: "uploading" }), url: "" };
    if (file.type.startsWith("image/")) {
      item.url = URL.createObjectURL(file);
      item.element.append(make("img", { src: item.url, alt: file.name }));
    } else item.element.append(make("span", {}, file.name));
    const remove = make("button", { type: "button", "aria-label": `Remove ${file.name}` }, drawing(CROSS));
    remove.onclick = () => {
      this.#remove(item);
      if (item.ref) forget(item.ref);
    };
    item.element.append(remove);
    this.#items.push(item);
    tray.append(item.element);
    this.#show();
    try {
      item.ref = await upload(file);
      if (!this.#items.includes(item)) forget(item.ref); // taken away while it was under way
      item.element.classList.remove("uploading");
    } catch (error) {
      toast(error.message);
      this.#remove(item);
    }
    this.#changed();
  }

  #remove(item) {
    this.#items = this.#items.filter((each) => each !== item);
    item.element.remove();
    if (item.url) URL.revokeObjectURL(item.url);
    this.#show();
  }

  #show() {
    tray.hidden = this.isEmpty;
    this.#changed();
  }
}

// Files may be dropped anywhere on the page, and pasted into the message.
export function accept(add) {
  const holds = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  let depth = 0;
  const cover = (by) => {
    depth = Math.max(0, depth + by);
    find("drop").hidden = depth === 0;
  };
  addEventListener("dragenter", (event) => holds(event) && cover(1));
  addEventListener("dragleave", (event) => holds(event) && cover(-1));
  addEventListener("dragover", (event) => holds(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!holds(event)) return;
    event.preventDefault();
    cover(-depth);
    add(event.dataTransfer.files);
  });
  find("say").addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    add(event.clipboardData.files);
  });
  find("attach").onclick = () => find("files").click();
  find("files").onchange = ({ target }) => {
    add(target.files);
    target.value = "";
  };
}
