// ws on Node.js: every text frame goes to all other connections.
//
//   node ws_broadcast.mjs PORT FOLDER
//
// FOLDER is where ws was installed (provision.py).

import { createRequire } from "node:module";

const [port, folder] = process.argv.slice(2);
const { WebSocket, WebSocketServer } = createRequire(`${folder}/`)("ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(port),
  perMessageDeflate: false,
  backlog: 4096,
});

server.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("message", (data, isBinary) => {
    for (const client of server.clients) {
      if (client !== socket && client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
    }
  });
});

process.on("SIGTERM", () => process.exit(0));
