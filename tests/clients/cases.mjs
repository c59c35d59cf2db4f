// What every client has to manage, in node and in a browser. A case fails by throwing; what it returns is for the report.
//
// A client (stompjs.mjs, legacy.mjs) has
//   connect({ version, heartbeat: [outgoing, incoming] }) -> a connection, once it is connected
//   stayConnected(onConnect) -> a function that ends it; onConnect(connection) after every connect
// and a connection has version, protocol, beats { sent, received }, isOpen, subscribe, send, sendBytes, receipt, begin,
// failed (a promise of the ERROR frame) and disconnect. Messages have headers, body and bytes().

const TIMEOUT_MS = 40_000;
const BEATS = 10;
const MESSAGES = 1_000;

let names = 0;
const unique = () => `n${Date.now().toString(36)}${Math.random().toString(36).slice(2)}${names++}`;

function assertEqual(actual, expected, what) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what}: ${String(a).slice(0, 500)} instead of ${String(e).slice(0, 500)}`);
}

/** Waits for what is pushed into it. */
function inbox() {
  const items = [];
  let wanted = null;
  return {
    items,
    push(item) {
      items.push(item);
      if (wanted && items.length >= wanted.count) wanted.resolve(items);
    },
    reach: (count) => new Promise((resolve) => (items.length >= count ? resolve(items) : (wanted = { count, resolve }))),
  };
}

/** Subscribes and returns the inbox, once the server has taken the subscription. */
async function subscribed(connection, destination, headers = {}) {
  const box = inbox();
  const receipt = unique();
  const taken = connection.receipt(receipt);
  box.subscription = connection.subscribe(destination, (message) => box.push(message), { ...headers, receipt });
  await taken;
  return box;
}

async function connectsAs(client, version) {
  const connection = await client.connect({ version });
  assertEqual(connection.version, version, "version of CONNECTED");
  if (!client.textOnly) assertEqual(connection.protocol, `v${version.replace(".", "")}.stomp`, "sub-protocol");
  const destination = `/topic/${unique()}`;
  const box = await subscribed(connection, destination);
  connection.send(destination, "hello", { "content-type": "text/plain" });
  const [message] = await box.reach(1);
  assertEqual(message.body, "hello", "body");
  assertEqual(message.headers.destination, destination, "destination");
  assertEqual(message.headers["content-type"], "text/plain", "content type");
  if (!message.headers["message-id"]) throw new Error("no message-id");
  await connection.disconnect();
}

async function inOrder(client, destination, to) {
  const connection = await client.connect();
  const box = await subscribed(connection, destination);
  for (let number = 0; number < MESSAGES; number++) connection.send(to, `${number}`, { "content-type": "text/plain" });
  const last = connection.subscribe(destination, () => {}); // frames of a session keep their order: all are handled then
  const bodies = (await box.reach(MESSAGES)).map((message) => message.body);
  last.unsubscribe();
  connection.send(to, "end", { "content-type": "text/plain" });
  await box.reach(MESSAGES + 1);
  assertEqual(bodies, Array.from({ length: MESSAGES }, (_, number) => `${number}`), "bodies");
  assertEqual(box.items.length, MESSAGES + 1, "messages");
  assertEqual(box.items[MESSAGES].body, "end", "last message");
  assertEqual(new Set(box.items.map((message) => message.headers["message-id"])).size, MESSAGES + 1, "message ids");
  await connection.disconnect();
}

export const cases = {
  version_1_0: (client) => connectsAs(client, "1.0"),
  version_1_1: (client) => connectsAs(client, "1.1"),
  version_1_2: (client) => connectsAs(client, "1.2"),

  async heart_beats_both_ways_for_ten_seconds(client) {
    const started = Date.now();
    const connection = await client.connect({ heartbeat: [1_000, 1_000] });
    let watch;
    await new Promise((resolve, reject) => {
      const { beats } = connection;
      connection.onBeat = () => beats.sent >= BEATS && beats.received >= BEATS && resolve();
      const ended = () => reject(new Error(`closed after ${beats.sent} heart-beats sent and ${beats.received} received`));
      watch = setInterval(() => connection.isOpen || ended(), 500);
    }).finally(() => clearInterval(watch));
    const box = await subscribed(connection, "/app/heartbeats");
    const arrived = Number((await box.reach(1))[0].body);
    if (arrived < BEATS) throw new Error(`${arrived} heart-beats arrived at the server`);
    assertEqual(connection.isOpen, true, "open");
    const seconds = (Date.now() - started) / 1_000;
    if (seconds < BEATS - 1) throw new Error(`${BEATS} heart-beats a second apart within ${seconds} s`);
    await connection.disconnect();
    return { ...connection.beats, arrived, seconds };
  },

  async thousand_messages_in_order(client) {
    const destination = `/topic/${unique()}`;
    await inOrder(client, destination, destination);
  },

  async thousand_messages_through_a_controller_in_order(client) {
    const name = unique();
    await inOrder(client, `/topic/echo/${name}`, `/app/echo/${name}`);
  },

  async receipts_for_every_frame(client) {
    const connection = await client.connect();
    const destination = `/topic/${unique()}`;
    const box = await subscribed(connection, destination); // waits for the receipt of SUBSCRIBE
    const [sent, left, refused] = [unique(), unique(), unique()];
    const sendReceipt = connection.receipt(sent);
    connection.send(destination, "with receipt", { receipt: sent });
    assertEqual(await sendReceipt, sent, "receipt of SEND");
    const [message] = await box.reach(1);
    assertEqual("receipt" in message.headers, false, "the sender's receipt at a subscriber");
    const leftReceipt = connection.receipt(left);
    box.subscription.unsubscribe({ receipt: left });
    assertEqual(await leftReceipt, left, "receipt of UNSUBSCRIBE");
    const again = connection.receipt(refused);
    connection.send(destination, "nobody is there", { receipt: refused });
    await again;
    assertEqual(box.items.length, 1, "messages after UNSUBSCRIBE");
    const farewell = unique();
    assertEqual(await connection.disconnect(farewell), farewell, "receipt of DISCONNECT");
  },

  async bodies_of_all_bytes(client) {
    const connection = await client.connect();
    const name = unique();
    const all = Array.from({ length: client.textOnly ? 128 : 256 }, (_, code) => code);
    const codes = all.filter((code) => code || !client.splitsAtNull);
    const fromController = await subscribed(connection, `/topic/bytes/${name}`);
    connection.send(`/app/bytes/${name}`, JSON.stringify(codes), { "content-type": "application/json" });
    const [made] = await fromController.reach(1);
    assertEqual([...made.bytes()], codes, "bytes from the server");
    if (client.sendsBytes) {
      const fromClient = await subscribed(connection, `/topic/${name}`);
      connection.sendBytes(`/topic/${name}`, Uint8Array.from(codes), { "content-type": "application/octet-stream" });
      const [sent] = await fromClient.reach(1);
      assertEqual([...sent.bytes()], codes, "bytes from a client");
      assertEqual(sent.headers["content-length"], "256", "content length");
    }
    await connection.disconnect();
    return { values: codes.length };
  },

  async unicode(client) {
    const connection = await client.connect();
    const destination = `/topic/${unique()}-größe-漢字-😀`;
    const text = "Grüße, Ελληνικά, 漢字, \u{1F600}\u{10FFFF}, e\u0301, \u2028 und \uFEFF";
    const box = await subscribed(connection, destination);
    connection.send(destination, text, { "content-type": "text/plain;charset=UTF-8", "x-größe-😀": "漢字 \u{1F600}" });
    const [message] = await box.reach(1);
    assertEqual(message.body, text, "body");
    assertEqual(message.headers.destination, destination, "destination");
    assertEqual(message.headers["x-größe-😀"], "漢字 \u{1F600}", "header");
    await connection.disconnect();
  },

  async escaped_headers(client) {
    const connection = await client.connect({ version: client.escapesValues ? "1.2" : "1.1" });
    const destination = `/topic/${unique()}`;
    const box = await subscribed(connection, destination);
    const escaped = "co\\clon back\\\\slash line\\nfeed re\\rturn";
    // Neither client touches names: they are written as they go over the wire.
    const headers = { "na\\cme\\nof \\\\ two": "x" };
    headers.value = client.escapesValues ? "co:lon back\\slash line\nfeed re\rturn" : escaped;
    connection.send(destination, "escapes", headers);
    const [message] = await box.reach(1);
    assertEqual(message.headers.value, headers.value, "value");
    assertEqual(message.headers["na\\cme\\nof \\\\ two"], "x", "name");
    await connection.disconnect();
  },

  async body_of_60_kilobytes(client) {
    const connection = await client.connect();
    const destination = `/topic/${unique()}`;
    const box = await subscribed(connection, destination);
    const text = "0123456789abcdef".repeat((60 * 1024) / 16);
    connection.send(destination, text, { "content-type": "text/plain" });
    connection.send(destination, "é".repeat(30 * 1024), { "content-type": "text/plain" });
    const [first, second] = await box.reach(2);
    assertEqual(first.body === text, true, "60 KB of text arrived as they were");
    assertEqual(second.body === "é".repeat(30 * 1024), true, "30 K letters of two bytes arrived as they were");
    await connection.disconnect();
  },

  async reconnect_and_subscribe_anew(client) {
    const destination = `/topic/${unique()}`;
    const box = inbox();
    const connections = [];
    const leave = client.stayConnected((connection) => {
      connections.push(connection);
      connection.subscribe(destination, (message) => box.push(message.body));
      connection.send(destination, `hello ${connections.length}`);
    });
    for (let count = 1; count <= 3; count++) {
      const bodies = await box.reach(count);
      assertEqual(bodies, Array.from({ length: count }, (_, index) => `hello ${index + 1}`), "bodies");
      if (count < 3) connections.at(-1).send("/app/drop-me", "");
    }
    assertEqual(connections.length, 3, "connects");
    await leave();
  },

  async error_frame_says_why(client) {
    const connection = await client.connect();
    connection.begin("tx-1");
    const error = await connection.failed;
    assertEqual(error.headers.message, "BEGIN is not supported by the simple broker", "message of ERROR");
  },

  raw_websocket_echoes: (client) =>
    new Promise((resolve, reject) => {
      if (client.textOnly) return resolve(); // has no WebSocket
      const socket = new WebSocket(client.url.replace(/\/ws$/, "/raw"));
      const bytes = Uint8Array.from({ length: 256 }, (_, code) => code);
      const answers = [];
      socket.binaryType = "arraybuffer";
      socket.onopen = () => ["", "Grüße \u{1F600}", bytes, "x".repeat(60_000)].forEach((data) => socket.send(data));
      socket.onmessage = (event) => answers.push(event.data) === 4 && socket.close(1000);
      socket.onerror = () => reject(new Error("the WebSocket failed"));
      socket.onclose = (event) => {
        try {
          assertEqual([event.code, event.wasClean ?? true], [1000, true], "close");
          assertEqual(answers.slice(0, 2), ["", "Grüße \u{1F600}"], "text");
          assertEqual([...new Uint8Array(answers[2])], [...bytes], "bytes");
          assertEqual(answers[3], "x".repeat(60_000), "long text");
          resolve();
        } catch (error) {
          reject(error);
        }
      };
    }),
};

/** Runs all cases at once; name -> { error, facts }, error being null when it went well. */
export async function runCases(client) {
  const run = async ([name, body]) => {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`did not end within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
    });
    try {
      return [name, { error: null, facts: (await Promise.race([body(client), late])) ?? {} }];
    } catch (error) {
      return [name, { error: `${error.stack ?? error}`, facts: {} }];
    } finally {
      clearTimeout(timer);
    }
  };
  return Object.fromEntries(await Promise.all(Object.entries(cases).map(run)));
}
