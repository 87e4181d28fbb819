// Slack as npm's emulate has it, on a free port of the loopback: node serve.mjs <folder of node_modules>.
// It is told its workspace in the first line of its input, says its address, and begins anew for every further line. It ends with its input.
import http from "node:http";
import net from "node:net";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const LOOPBACK = "127.0.0.1";

async function freePort() {
  const probe = net.createServer();
  await new Promise((up) => probe.listen(0, LOOPBACK, up));
  const { port } = probe.address();
  await new Promise((down) => probe.close(down));
  return port;
}

// It takes no host and would listen on every interface.
const listening = new Promise((up) => {
  const listen = http.Server.prototype.listen;
  http.Server.prototype.listen = function (port) {
    return listen.call(this, port, LOOPBACK, up);
  };
});

const { createEmulator } = await import(pathToFileURL(path.join(process.argv[2], "emulate", "dist", "api.js")).href);
const lines = readline.createInterface({ input: process.stdin });
let emulator;
for await (const line of lines) {
  if (emulator) {
    emulator.reset();
  } else {
    const port = await freePort();
    const baseUrl = `http://${LOOPBACK}:${port}`;
    emulator = await createEmulator({ service: "slack", port, baseUrl, seed: { slack: JSON.parse(line) } });
    await listening;
  }
  console.log(emulator.url);
}
process.exit(0);
