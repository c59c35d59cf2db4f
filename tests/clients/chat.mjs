// node chat.mjs http://127.0.0.1:PORT FOLDER: two people in two tabs of the chat sample, a third on a phone.
//
// Prints a line {"ask": "stop"} or {"ask": "start"} when the server is to be stopped or started, waits for a line on
// stdin, and prints { outcome } at the end: step -> error or null. Screenshots go to FOLDER.

import { createInterface } from "node:readline";

import { launch } from "./browser.mjs";

const [base, folder] = process.argv.slice(2);
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const ask = async (what) => {
  print({ ask: what });
  await answers.next();
};

const browser = await launch();
const desktop = await browser.newContext({ viewport: { width: 1280, height: 800 } });
const phone = await browser.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });

/** A tab as its user sees it. */
class Tab {
  static async open(context, room = "") {
    const tab = new Tab();
    tab.page = await context.newPage();
    tab.isPhone = context === phone;
    tab.page.setDefaultTimeout(8_000);
    tab.complaints = [];
    tab.page.on("pageerror", (error) => tab.complaints.push(error.message));
    tab.page.on("console", (said) => said.text().startsWith("Pattern attribute") && tab.complaints.push(said.text()));
    await tab.page.goto(`${base}/${room}`);
    return tab;
  }

  reaches(state) {
    return this.page.waitForFunction((text) => document.querySelector("#state").textContent === text, state);
  }

  async name(name) {
    await this.page.getByLabel("Name").fill(name);
  }

  async enter(room) {
    await this.page.getByLabel("Room").fill(room);
    await this.page.getByLabel("Room").press("Enter");
  }

  async say(text) {
    await this.page.getByLabel("Message").fill(text);
    // A click waits for a frame to be drawn, and of two tabs in a window the one behind draws one a second.
    if (this.isPhone) await this.page.getByRole("button", { name: "Send" }).tap();
    else await this.page.getByLabel("Message").press("Enter");
  }

  line(text) {
    return this.page.locator("#lines li", { hasText: text });
  }

  async sees(name, text) {
    await this.line(text).filter({ hasText: name }).waitFor();
  }

  async count() {
    return this.page.locator("#lines li").count();
  }

  async shoot(name) {
    await this.page.bringToFront();
    await this.page.screenshot({ path: `${folder}/${name}.png` });
  }
}

function hold(truth, what) {
  if (!truth) throw new Error(what);
}

let ada, bob, cleo;

const steps = {
  async both_tabs_connect() {
    ada = await Tab.open(desktop);
    bob = await Tab.open(desktop);
    await Promise.all([ada.reaches("connected"), bob.reaches("connected")]);
    hold((await ada.page.getByLabel("Room").inputValue()) === "lobby", "the room is not the lobby");
    await ada.page.getByText("Nothing was said here yet").waitFor();
    await ada.shoot("chat-desktop-empty");
  },

  async each_sees_the_line_of_the_other() {
    await ada.name("Ada");
    await bob.name("Bob");
    await ada.say("Hello, is anybody here?");
    await bob.sees("Ada", "Hello, is anybody here?");
    await bob.say("Yes: me, <b>Bob</b> \u{1F44B}");
    await ada.sees("Bob", "Yes: me, <b>Bob</b> \u{1F44B}");
    await ada.say("A longer line, to see how it breaks: ".repeat(6));
    await Promise.all([ada, bob].map((tab) => tab.sees("Ada", "A longer line")));
    hold((await ada.count()) === 3 && (await bob.count()) === 3, "a line is there twice, or is missing");
    hold((await ada.page.getByText("Nothing was said here yet").count()) === 1, "no hint about the empty room");
    hold(await ada.page.getByText("Nothing was said here yet").isHidden(), "the hint about the empty room stays");
  },

  async own_lines_are_marked() {
    hold((await ada.page.locator("#lines li.mine").count()) === 2, "Ada's own lines");
    hold((await bob.page.locator("#lines li.mine").count()) === 1, "Bob's own line");
    await ada.shoot("chat-desktop");
  },

  async newcomer_gets_the_history() {
    cleo = await Tab.open(phone, "#lobby");
    await cleo.reaches("connected");
    await cleo.sees("Ada", "Hello, is anybody here?");
    await cleo.sees("Bob", "Yes: me");
    hold((await cleo.count()) === 3, "lines of the history");
    await cleo.name("Cleo");
    await cleo.say("From the phone");
    await Promise.all([ada.sees("Cleo", "From the phone"), cleo.sees("Cleo", "From the phone")]);
    await cleo.shoot("chat-phone");
    const wide = await cleo.page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    hold(!wide, "the phone has to scroll sideways");
  },

  async another_room_is_separate() {
    await bob.enter("garden");
    await bob.page.getByText("Nothing was said here yet").waitFor();
    await bob.say("Only the roses hear me");
    await bob.sees("Bob", "Only the roses hear me");
    hold((await bob.count()) === 1, "lines of the lobby in the garden");
    await ada.say("And Bob?");
    await cleo.sees("Ada", "And Bob?");
    hold((await ada.line("roses").count()) === 0, "a line of the garden in the lobby");
    hold((await bob.line("And Bob?").count()) === 0, "a line of the lobby in the garden");
    await bob.enter("lobby");
    await bob.sees("Ada", "And Bob?");
  },

  async error_is_shown_to_its_sender_alone() {
    const alert = (tab) => tab.page.getByRole("alert");
    await ada.say("   ");
    await alert(ada).getByText("A line needs a name and a text.").waitFor();
    await cleo.name("Cleo");
    await cleo.page.evaluate(() => client.publish({ destination: "/app/room/lobby", body: '{"name": 5, "text": "x"}' }));
    await alert(cleo).getByText("name").waitFor();
    await Promise.all([ada.shoot("chat-desktop-error"), cleo.shoot("chat-phone-error")]);
    hold((await alert(bob).count()) === 0, "the error is shown to Bob");
    await ada.say("Now with a text");
    await bob.sees("Ada", "Now with a text");
    hold((await alert(ada).count()) === 0, "the error stays after a good line");
  },

  async state_tells_of_a_restart_and_recovers() {
    await ask("stop");
    await Promise.all([ada.reaches("reconnecting"), cleo.reaches("reconnecting")]);
    hold(await ada.page.getByLabel("Message").isDisabled(), "one can write while nobody is connected");
    await Promise.all([ada.shoot("chat-desktop-reconnecting"), cleo.shoot("chat-phone-reconnecting")]);
    await ask("start");
    await Promise.all([ada, bob, cleo].map((tab) => tab.reaches("connected")));
    await cleo.say("Back again");
    await Promise.all([ada, bob].map((tab) => tab.sees("Cleo", "Back again")));
    hold((await ada.line("Back again").count()) === 1, "a line is there twice after the restart");
  },

  async name_and_room_are_kept_when_the_page_is_loaded_anew() {
    await ada.enter("work*shop & tools");
    await ada.say("A hammer?");
    await ada.page.reload();
    await ada.reaches("connected");
    await ada.sees("Ada", "A hammer?");
    hold((await ada.page.getByLabel("Name").inputValue()) === "Ada", "the name");
    hold((await ada.page.getByLabel("Room").inputValue()) === "work*shop & tools", "the room");
    await ada.page.goBack();
    await ada.sees("Cleo", "Back again");
    hold((await ada.page.getByLabel("Room").inputValue()) === "lobby", "the room before");
  },

  async room_with_a_star_hears_nothing_of_the_others() {
    await bob.enter("*");
    await cleo.say("Is the star listening?");
    await ada.sees("Cleo", "Is the star listening?");
    await bob.say("No");
    await bob.sees("Bob", "No");
    hold((await bob.count()) === 1, "a line of another room");
  },

  async automatic_is_websocket_where_it_gets_through() {
    const option = ada.page.locator("#transport option").first();
    hold((await option.textContent()) === "automatic: websocket", await option.textContent());
  },

  async each_transport_carries_the_chat() {
    await bob.enter("lobby");
    for (const transport of ["plain", "websocket", "xhr-streaming", "eventsource", "htmlfile", "xhr-polling"]) {
      for (const tab of [ada, cleo]) {
        await tab.page.getByLabel("Connection").selectOption(transport);
        await tab.reaches("connected");
        const carrier = await tab.page.evaluate(() => client.webSocket.transport ?? "plain");
        hold(carrier === transport, `${carrier} instead of ${transport}`);
      }
      await ada.say(`Sent by ${transport}.`);
      await Promise.all([ada, bob, cleo].map((tab) => tab.sees("Ada", `Sent by ${transport}.`)));
      await cleo.say(`Answered over ${transport}.`);
      await Promise.all([ada, bob, cleo].map((tab) => tab.sees("Cleo", `Answered over ${transport}.`)));
      hold((await ada.line(`Sent by ${transport}.`).count()) === 1, "a line is there twice");
      await ada.say("   ");
      await ada.page.getByRole("alert").getByText("A line needs a name and a text.").waitFor();
      await Promise.all([ada.shoot(`chat-desktop-${transport}`), cleo.shoot(`chat-phone-${transport}`)]);
    }
  },

  async forced_transport_is_kept_and_reconnects() {
    await ask("stop");
    await Promise.all([ada, cleo].map((tab) => tab.reaches("reconnecting")));
    await ask("start");
    await Promise.all([ada, bob, cleo].map((tab) => tab.reaches("connected")));
    await ada.page.reload();
    await ada.reaches("connected");
    hold((await ada.page.evaluate(() => client.webSocket.transport)) === "xhr-polling", "the transport after a reload");
    await ada.say("Polling again");
    await Promise.all([bob, cleo].map((tab) => tab.sees("Ada", "Polling again")));
  },

  async pages_complain_about_nothing() {
    const complaints = [ada, bob, cleo].flatMap((tab) => tab.complaints);
    hold(complaints.length === 0, complaints.join("\n"));
  },
};

const outcome = {};
try {
  for (const [name, step] of Object.entries(steps)) {
    try {
      await step();
      outcome[name] = null;
    } catch (error) {
      outcome[name] = `${error.stack ?? error}`;
    }
  }
} finally {
  await browser.close();
}
print({ outcome });
process.exit(0);
