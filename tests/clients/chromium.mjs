// node chromium.mjs http://127.0.0.1:PORT: runs the cases with each client in a page of its own, prints
// { stompjs: outcome, legacy: outcome } as JSON.

import { launch } from "./browser.mjs";

const LIBRARIES = {
  stompjs: "/clients/node_modules/@stomp/stompjs/bundles/stomp.umd.min.js",
  legacy: "/clients/node_modules/stompjs/lib/stomp.js",
};

const base = process.argv[2];
const browser = await launch();
const run = async ([which, script]) => {
  const page = await browser.newPage();
  await page.goto(base);
  await page.addScriptTag({ url: script });
  const outcome = await page.evaluate(
    async ([name, url]) => {
      const { runCases } = await import("/clients/cases.mjs");
      const { makeClient } = await import(`/clients/${name}.mjs`);
      return runCases(makeClient(name === "legacy" ? window.Stomp : window.StompJs, url));
    },
    [which, `${base.replace(/^http/, "ws")}/ws`],
  );
  return [which, outcome];
};
try {
  console.log(JSON.stringify(Object.fromEntries(await Promise.all(Object.entries(LIBRARIES).map(run)))));
} finally {
  await browser.close();
}
