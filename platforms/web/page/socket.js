// The socket to the gateway: it comes back by itself, and what was not acknowledged is said again.

const KEPT = "chatelier.unsent";
const LONGEST_PAUSE = 15_000;
const MOST_TRIES = 6;

export class Line {
  #handlers;
  #socket = null;
  #unsent = new Map();
  #tries = 0;
  #timer = 0;

  // handlers: by the type of what the gateway says; and `state(online)`.
  constructor(handlers) {
    this.#handlers = handlers;
    for (const act of kept()) this.#unsent.set(act.id, act);
    addEventListener("online", () => this.#open());
    addEventListener("pageshow", (event) => event.persisted && this.#open());
    this.#open();
  }

  get unsent() {
    return [...this.#unsent.values()];
  }

  // Something that must arrive. Returns its id; `ack` or `refused` tells what came of it.
  act(type, fields) {
    const act = { type, id: crypto.randomUUID?.() ?? randomId(), ...fields };
    this.#unsent.set(act.id, act);
    this.#keep();
    this.ask(act);
    return act.id;
  }

  // Something that only matters now.
  ask(wire) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(wire, whole));
  }

  #open() {
    if (this.#socket && this.#socket.readyState <= WebSocket.OPEN) return;
    clearTimeout(this.#timer);
    const address = new URL("/chat/socket", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.onopen = () => this.ask({ type: "hello" });
    socket.onmessage = (event) => this.#hear(JSON.parse(event.data));
    socket.onclose = () => this.#lost(socket);
  }

  #hear(wire) {
    if (wire.type === "history" && !wire.earlier) {
      this.#tries = 0;
      this.#handlers.state(true);
    }
    const act = this.#unsent.get(wire.id);
    if (act && (wire.type === "ack" || wire.type === "refused")) {
      this.#unsent.delete(wire.id);
      this.#keep();
    }
    this.#handlers[wire.type]?.(wire, act);
    if (wire.type === "history" && !wire.earlier) for (const waiting of this.unsent) this.#again(waiting);
  }

  // What the gateway cannot get through again and again must not keep the page from working.
  #again(act) {
    act.tries = (act.tries ?? 0) + 1;
    if (act.tries < MOST_TRIES) this.ask(act);
    else this.#hear({ type: "refused", id: act.id, words: "This could not be sent. Try it in other words, or later." });
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#handlers.state(false);
    const pause = Math.min(LONGEST_PAUSE, 400 * 2 ** this.#tries++) * (0.7 + Math.random() * 0.6);
    this.#timer = setTimeout(() => this.#open(), pause);
  }

  #keep() {
    sessionStorage.setItem(KEPT, JSON.stringify(this.unsent));
  }
}

// A text may end in the middle of a character, where something cut it; the gateway takes whole ones.
function whole(key, value) {
  return value?.toWellFormed?.() ?? value;
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
  } catch {
    return [];
  }
}

// `randomUUID` is there on https and on this machine only.
function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
