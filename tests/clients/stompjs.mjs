// @stomp/stompjs as a client of cases.mjs. The package is handed in: node imports it, a page has it from a script tag.
// webSocketFactory: makes what takes the place of a WebSocket, if anything; it carries text alone.

export function makeClient({ Client, Versions }, url, webSocketFactory) {
  function configured({ version = "1.2", heartbeat = [0, 0], ...options }) {
    const connection = { beats: { sent: 0, received: 0 }, onBeat() {} };
    const receipts = new Map();
    const beat = (way) => {
      connection.beats[way]++;
      connection.onBeat();
    };
    const inner = new Client({
      brokerURL: url,
      webSocketFactory,
      stompVersions: new Versions([version]),
      heartbeatOutgoing: heartbeat[0],
      heartbeatIncoming: heartbeat[1],
      reconnectDelay: 0,
      debug: (text) => text === ">>> PING" && beat("sent"),
      onHeartbeatReceived: () => beat("received"),
      onUnhandledReceipt: (frame) => receipts.get(frame.headers["receipt-id"])?.(frame.headers["receipt-id"]),
      ...options,
    });
    connection.failed = new Promise((resolve) => (inner.onStompError = resolve));
    const toMessage = (handler) => (frame) =>
      handler({ headers: frame.headers, body: frame.body, bytes: () => frame.binaryBody });
    Object.defineProperties(connection, {
      version: { get: () => inner.connectedVersion },
      isOpen: { get: () => inner.connected },
    });
    return Object.assign(connection, {
      inner,
      subscribe: (destination, handler, headers) => inner.subscribe(destination, toMessage(handler), headers),
      send: (destination, body, headers) => inner.publish({ destination, body, headers }),
      sendBytes: (destination, binaryBody, headers) => inner.publish({ destination, binaryBody, headers }),
      receipt: (id) => new Promise((resolve) => receipts.set(id, resolve)),
      begin: (id) => inner.begin(id),
      async disconnect(receipt) {
        if (receipt) inner.disconnectHeaders = { receipt };
        const answered = new Promise((resolve) => (inner.onDisconnect = resolve));
        await inner.deactivate();
        return (await answered).headers["receipt-id"];
      },
    });
  }

  return {
    url,
    escapesValues: true,
    sendsBytes: !webSocketFactory,
    textOnly: Boolean(webSocketFactory),
    splitsAtNull: false,
    connect: (options = {}) =>
      new Promise((resolve, reject) => {
        const connection = configured(options);
        connection.inner.onConnect = () => {
          connection.protocol = connection.inner.webSocket.protocol;
          resolve(connection);
        };
        connection.inner.onWebSocketClose = (event) => reject(new Error(`closed with ${event.code} before CONNECTED`));
        connection.inner.activate();
      }),
    stayConnected(onConnect) {
      const connection = configured({ reconnectDelay: 50 });
      connection.inner.onConnect = () => onConnect(connection);
      connection.inner.activate();
      return () => connection.inner.deactivate();
    },
  };
}
