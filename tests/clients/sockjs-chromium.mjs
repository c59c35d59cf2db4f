// node sockjs-chromium.mjs PAGE SERVER TRANSPORT...: runs the cases of sockjs.mjs with each transport, in a page of its
// own of PAGE that connects to SERVER (both http://HOST:PORT); prints transport -> outcome as JSON.

import { launch } from "./browser.mjs";

const [page, server, ...transports] = process.argv.slice(2);
const browser = await launch();
const run = async (transport) => {
  const context = await browser.newContext();
  const tab = await context.newPage();
  await tab.goto(page);
  await tab.addScriptTag({ url: "/clients/node_modules/sockjs-client/dist/sockjs.min.js" });
  const outcome = await tab.evaluate(
    async ([base, name]) => (await import("/clients/sockjs.mjs")).runCases(window.SockJS, base, name),
    [server, transport],
  );
  await context.close();
  return [transport, outcome];
};
try {
  // Contexts share the six connections that a browser has to a host, so it is one at a time.
  const outcomes = [];
  for (const transport of transports) outcomes.push(await run(transport));
  console.log(JSON.stringify(Object.fromEntries(outcomes)));
} finally {
  await browser.close();
}
