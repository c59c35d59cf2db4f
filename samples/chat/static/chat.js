// The chat's page: one STOMP client, one room at a time.
"use strict";

const $ = (id) => document.getElementById(id);

// Each tab keeps its own name; a new one begins with the last that was used.
$("name").value = sessionStorage.getItem("chat.name") || localStorage.getItem("chat.name") || "";
$("room").value = roomOfAddress();
$("transport").value = sessionStorage.getItem("chat.transport") || "";

const client = new StompJs.Client({
  webSocketFactory: connect,
  reconnectDelay: 2000,
  heartbeatIncoming: 10000,
  heartbeatOutgoing: 10000,
});
let subscriptions = [];

// SockJS takes WebSocket where it gets through, else the best of the others; the selector forces one.
function connect() {
  const transport = $("transport").value;
  if (transport === "plain") return new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws/websocket`);
  return new SockJS("/ws", null, transport ? { transports: transport } : {});
}

function show(state) {
  $("state").dataset.state = state;
  $("state").textContent = state;
  const ready = state === "connected";
  $("text").disabled = !ready;
  document.querySelector("#say button").disabled = !ready;
}

function complain(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
  $("lines").scrollTop = $("lines").scrollHeight; // The list has less room now.
}

function add(said) {
  const line = document.createElement("li");
  line.className = said.name === $("name").value.trim() ? "mine" : "";
  const who = document.createElement("span");
  who.className = "who";
  const name = document.createElement("b");
  name.textContent = said.name;
  const time = new Date(said.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  who.append(name, ` ${time}`);
  line.append(who, said.text);
  $("lines").append(line);
  $("lines").scrollTop = $("lines").scrollHeight;
  $("empty").hidden = true;
}

function clear() {
  $("lines").replaceChildren();
  $("empty").hidden = false;
}

function roomOfAddress() {
  try {
    return decodeURIComponent(location.hash.slice(1)) || "lobby";
  } catch {
    return "lobby";
  }
}

// A star would make a pattern of the destination.
const roomPath = () => encodeURIComponent($("room").value.trim()).replaceAll("*", "%2A");

function enter() {
  subscriptions.forEach((subscription) => subscription.unsubscribe());
  clear();
  complain("");
  const room = roomPath();
  location.hash = room;
  // The news first: what is said before the history comes is in the history, too.
  const news = client.subscribe(`/topic/room/${room}`, (frame) => add(JSON.parse(frame.body)));
  // The history comes once, as the answer to this subscription.
  const history = client.subscribe(`/app/room/${room}`, (frame) => {
    clear();
    JSON.parse(frame.body).forEach(add);
  });
  subscriptions = [news, history];
}

client.onConnect = () => {
  show("connected");
  $("transport").options[0].textContent = $("transport").value ? "automatic" : `automatic: ${client.webSocket.transport}`;
  subscriptions = [];
  client.subscribe("/user/queue/errors", (frame) => complain(JSON.parse(frame.body).message));
  enter();
};
client.onStompError = (frame) => complain(frame.headers.message);
client.onWebSocketClose = () => show(client.active ? "reconnecting" : "disconnected");

$("room").addEventListener("change", () => client.connected && $("room").reportValidity() && enter());
$("transport").addEventListener("change", async () => {
  sessionStorage.setItem("chat.transport", $("transport").value);
  show("disconnected");
  await client.deactivate();
  show("connecting");
  client.activate();
});
$("name").addEventListener("change", () => {
  for (const storage of [sessionStorage, localStorage]) storage.setItem("chat.name", $("name").value.trim());
});
window.addEventListener("hashchange", () => {
  if (roomOfAddress() === $("room").value.trim()) return;
  $("room").value = roomOfAddress();
  if (client.connected) enter();
});
$("settings").addEventListener("submit", (event) => event.preventDefault());
$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!$("name").reportValidity()) return;
  complain("");
  const line = { name: $("name").value, text: $("text").value };
  client.publish({ destination: `/app/room/${roomPath()}`, body: JSON.stringify(line) });
  $("text").value = "";
  $("text").focus();
});

show("connecting");
client.activate();
