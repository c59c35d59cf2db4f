// stompjs 2.3.3, the client of 2013 that is still in many pages, as a client of cases.mjs.
//
// It knows no escapes, cuts what it gets at every NUL, sends text alone, and says 1.1 and 1.0 unless it is overridden.

export function makeClient(Stomp, url) {
  let turn = Promise.resolve();

  function open(version, heartbeat, onConnect, onEnd) {
    const inner = Stomp.client(url, [`v${version.replace(".", "")}.stomp`]);
    const connection = { beats: { sent: 0, received: 0 }, isOpen: false, onBeat() {} };
    const receipts = new Map();
    const ways = { ">>> PING": "sent", "<<< PONG": "received" };
    inner.debug = (text) => {
      if (text in ways) {
        connection.beats[ways[text]]++;
        connection.onBeat();
      }
    };
    [inner.heartbeat.outgoing, inner.heartbeat.incoming] = heartbeat;
    inner.onreceipt = (frame) => receipts.get(frame.headers["receipt-id"])?.(frame.headers["receipt-id"]);
    let fail;
    connection.failed = new Promise((resolve) => (fail = resolve));
    Object.assign(connection, {
      receipt: (id) => new Promise((resolve) => receipts.set(id, resolve)),
      send: (destination, body, headers) => inner.send(destination, headers, body),
      begin: (id) => inner.begin(id),
      subscribe(destination, handler, headers) {
        const subscription = inner.subscribe(destination, (frame) => handler(toMessage(frame)), headers);
        const { id } = subscription;
        // Its own takes no headers.
        return { id, unsubscribe: (more = {}) => inner._transmit("UNSUBSCRIBE", { id, ...more }) };
      },
      async disconnect(receipt = `bye-${Math.random()}`) {
        // Its own closes the WebSocket at once, without waiting for the receipt.
        const answered = connection.receipt(receipt);
        inner._transmit("DISCONNECT", { receipt });
        await answered;
        await new Promise((resolve) => {
          inner._cleanUp();
          inner.ws.onclose = resolve;
          inner.ws.close();
        });
        return receipt;
      },
    });
    inner.connect(
      {},
      (frame) => {
        connection.isOpen = true;
        connection.version = frame.headers.version;
        connection.protocol = inner.ws.protocol;
        onConnect(connection);
      },
      (error) => {
        if (error.command === "ERROR") return fail(error);
        connection.isOpen = false;
        onEnd(error);
      },
    );
    return inner;
  }

  const toMessage = (frame) => ({
    headers: frame.headers,
    body: frame.body,
    bytes: () => Uint8Array.from(frame.body, (character) => character.charCodeAt(0)),
  });

  return {
    url,
    escapesValues: false,
    sendsBytes: false,
    splitsAtNull: true,
    connect({ version = "1.1", heartbeat = [0, 0] } = {}) {
      // The versions it offers are one setting for all of its connections, read when the WebSocket opens.
      const connecting = turn.then(
        () =>
          new Promise((resolve, reject) => {
            Stomp.VERSIONS.supportedVersions = () => version;
            open(version, heartbeat, resolve, (error) => reject(new Error(error)));
          }),
      );
      turn = connecting.catch(() => {});
      return connecting;
    },
    stayConnected(onConnect) {
      let left = false;
      let inner = null;
      const again = () => {
        if (!left) inner = open("1.1", [0, 0], onConnect, () => setTimeout(again, 50));
      };
      again();
      return () =>
        new Promise((resolve) => {
          left = true;
          inner.disconnect(resolve);
        });
    },
  };
}
