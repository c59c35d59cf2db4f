// node readme.mjs ws://127.0.0.1:PORT/ws < snippet: runs the README's JavaScript against that address instead of its own;
// prints what it logs first, as JSON.

import { readFileSync } from "node:fs";

import * as StompJs from "@stomp/stompjs";
import { WebSocket } from "ws";

globalThis.WebSocket = WebSocket;

const snippet = readFileSync(0, "utf8").replace("ws://127.0.0.1:8080/ws", process.argv[2]);
const log = (value) => process.stdout.write(`${JSON.stringify(value)}\n`, () => process.exit(0));
new Function("StompJs", "console", snippet)(StompJs, { log });
