// node sockjs-node.mjs URL...: connects sockjs-client with each base URL to an endpoint that echoes, by whatever
// transport gets through, and sends and receives messages; prints [{ transport, echoes, close }] as JSON.

import SockJS from "sockjs-client";

const MESSAGES = 50; // within the default cache of a session

const talk = (url) =>
  new Promise((resolve, reject) => {
    const socket = new SockJS(url, null, { timeout: 8_000 });
    const echoes = [];
    let transport = null;
    socket.onopen = () => {
      transport = socket.transport;
      for (let number = 0; number < MESSAGES; number++) socket.send(`${number} größe \u{1F600}`);
    };
    socket.onmessage = ({ data }) => {
      echoes.push(data);
      if (echoes.length === MESSAGES) socket.close();
    };
    socket.onclose = ({ code, reason }) => resolve({ transport, echoes, close: [code, reason] });
    setTimeout(() => reject(new Error(`no end of ${url}: ${transport}, ${echoes.length} messages`)), 40_000).unref();
  });

console.log(JSON.stringify(await Promise.all(process.argv.slice(2).map(talk))));
process.exit(0);
