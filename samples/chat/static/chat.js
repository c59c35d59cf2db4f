// The chat's page: one STOMP client, one room at a time.
"use strict";

const $ = (id) => document.getElementById(id);
const storage = window.localStorage;

$("name").value = storage.getItem("chat.name") || "";
$("room").value = decodeURIComponent(location.hash.slice(1)) || "lobby";

const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const client = new StompJs.Client({
  brokerURL: `${scheme}//${location.host}/ws`,
  reconnectDelay: 2000,
  heartbeatIncoming: 10000,
  heartbeatOutgoing: 10000,
});
let subscriptions = [];

function show(state, text = state) {
  $("state").dataset.state = state;
  $("state").textContent = text;
  const ready = state === "connected";
  $("text").disabled = !ready;
  document.querySelector("#say button").disabled = !ready;
}

function complain(text) {
  $("error").textContent = text;
  $("error").hidden = !text;
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

const roomPath = () => encodeURIComponent($("room").value.trim());

function enter() {
  subscriptions.forEach((subscription) => subscription.unsubscribe());
  $("lines").replaceChildren();
  $("empty").hidden = false;
  const room = roomPath();
  location.hash = room;
  // The history first: it comes once, as the answer to this subscription.
  const history = client.subscribe(`/app/room/${room}`, (frame) => JSON.parse(frame.body).forEach(add));
  const news = client.subscribe(`/topic/room/${room}`, (frame) => add(JSON.parse(frame.body)));
  subscriptions = [history, news];
}

client.onConnect = () => {
  show("connected");
  complain("");
  subscriptions = [];
  client.subscribe("/user/queue/errors", (frame) => complain(JSON.parse(frame.body).message));
  enter();
};
client.onStompError = (frame) => complain(frame.headers.message);
client.onWebSocketClose = () => show("disconnected", client.active ? "reconnecting" : "disconnected");

$("room").addEventListener("change", () => client.connected && $("room").reportValidity() && enter());
$("name").addEventListener("change", () => storage.setItem("chat.name", $("name").value.trim()));
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
