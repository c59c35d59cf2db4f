// node node.mjs stompjs|legacy ws://127.0.0.1:PORT/ws: runs the cases in node and prints their outcome as JSON.
// node node.mjs stompjs http://127.0.0.1:PORT/ws TRANSPORT: over this transport of sockjs-client.

import { WebSocket } from "ws";

import { runCases } from "./cases.mjs";

globalThis.WebSocket = WebSocket;

const [which, url, transports] = process.argv.slice(2);
const library = which === "legacy" ? (await import("stompjs")).default : await import("@stomp/stompjs");
const { makeClient } = await import(`./${which}.mjs`);
const SockJS = transports && (await import("sockjs-client")).default;
const factory = transports && (() => new SockJS(url, null, { transports, timeout: 8_000 }));
console.log(JSON.stringify(await runCases(makeClient(library, url, factory))));
process.exit(0);
