// What each transport of sockjs-client has to manage. SockJS is handed in: node imports it, a page has it from a script
// tag. A case fails by throwing.

const MESSAGES = 500;
const TIMEOUT_MS = 10_000;

function assertEqual(actual, expected, what) {
  const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== e) throw new Error(`${what}: ${String(a).slice(0, 300)} instead of ${String(e).slice(0, 300)}`);
}

/** A socket of one transport, once it is open: what it got, and a promise of its end. */
function connect(SockJS, url, transports) {
  const socket = new SockJS(url, null, { transports, timeout: 8_000 });
  const got = [];
  let wanted = null;
  socket.onmessage = ({ data }) => {
    got.push(data);
    if (wanted && got.length >= wanted.count) wanted.resolve();
  };
  const closed = new Promise((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean });
  });
  const reach = (count) =>
    new Promise((resolve, reject) => {
      wanted = { count, resolve };
      if (got.length >= count) resolve();
      closed.then(({ code, reason }) => reject(new Error(`closed with ${code} ${reason} after ${got.length}`)));
    });
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve({ socket, got, reach, closed, transport: socket.transport });
    closed.then(({ code, reason }) => reject(new Error(`closed with ${code} ${reason} before it was open`)));
  });
}

const numbered = (who) => Array.from({ length: MESSAGES }, (_, number) => `from ${who} ${number}`);

export const cases = {
  async messages_each_way_once_and_in_order(SockJS, base, transport) {
    const { socket, got, reach, transport: opened } = await connect(SockJS, `${base}/talk`, transport);
    assertEqual(opened, transport, "transport");
    // Both ways at once: what the page sends is cut into bursts, so that requests overlap with responses.
    socket.send(`burst ${MESSAGES}`);
    for (const [index, text] of numbered("page").entries()) {
      socket.send(text);
      if (index % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 0));
    }
    await reach(MESSAGES);
    socket.send("report");
    await reach(MESSAGES + 1);
    assertEqual(got.slice(0, MESSAGES), numbered("server"), "what the page got");
    const [atServer, came] = JSON.parse(got[MESSAGES]);
    assertEqual(came, numbered("page"), "what the server got");
    socket.close();
    return { atServer };
  },

  async all_of_unicode_in_one_message(SockJS, base, transport) {
    const { socket, got, reach } = await connect(SockJS, `${base}/talk`, transport);
    // Every 16-bit unit, lone surrogates, pairs and controls included: what a JavaScript string can hold.
    const units = Array.from({ length: 0x10000 }, (_, unit) => String.fromCharCode(unit));
    const text = `=${units.join("")}`;
    const lone = "=\uD800 \uDFFF \uDC00\uD800 \u{1F600}\u{10FFFF}";
    // Half a character has no place in UTF-8: it becomes U+FFFD, as on a WebSocket without SockJS.
    const [expected, replaced] = [text.toWellFormed(), lone.toWellFormed()];
    socket.send(text);
    socket.send(lone);
    await reach(2);
    assertEqual(got[0].length, expected.length, "length");
    const wrong = expected.split("").findIndex((unit, index) => got[0][index] !== unit);
    assertEqual(wrong, -1, "first unit that is different");
    assertEqual(got[1] === replaced, true, "whole characters only");
    socket.close();
  },

  async closed_by_the_server(SockJS, base, transport) {
    const { closed } = await connect(SockJS, `${base}/close`, transport);
    assertEqual(await closed, { code: 3000, reason: "Go away!", wasClean: true }, "close at once");
  },

  async closed_by_the_server_later(SockJS, base, transport) {
    const { socket, closed } = await connect(SockJS, `${base}/talk`, transport);
    socket.send("close");
    assertEqual(await closed, { code: 4321, reason: 'so "long" \u2028', wasClean: true }, "close on request");
  },

  async closed_by_the_page(SockJS, base, transport) {
    const { socket, closed } = await connect(SockJS, `${base}/talk`, transport);
    socket.close(3456, "good-bye");
    assertEqual(await closed, { code: 3456, reason: "good-bye", wasClean: true }, "close");
  },
};

/** Runs all cases with one transport; name -> { error, facts }. */
export async function runCases(SockJS, base, transport) {
  const run = async ([name, body]) => {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`did not end within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
    });
    try {
      return [name, { error: null, facts: (await Promise.race([body(SockJS, base, transport), late])) ?? {} }];
    } catch (error) {
      return [name, { error: `${error.stack ?? error}`, facts: {} }];
    } finally {
      clearTimeout(timer);
    }
  };
  const outcome = [];
  for (const entry of Object.entries(cases)) outcome.push(await run(entry)); // a browser has six connections to a host
  return Object.fromEntries(outcome);
}
