// node node.mjs stompjs|legacy ws://127.0.0.1:PORT/ws: runs the cases in node and prints their outcome as JSON.

import { WebSocket } from "ws";

import { runCases } from "./cases.mjs";

globalThis.WebSocket = WebSocket;

const [which, url] = process.argv.slice(2);
const library = which === "legacy" ? (await import("stompjs")).default : await import("@stomp/stompjs");
const { makeClient } = await import(`./${which}.mjs`);
console.log(JSON.stringify(await runCases(makeClient(library, url))));
process.exit(0);
