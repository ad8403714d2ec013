import "@fontsource-variable/atkinson-hyperlegible-next/wght.css";
import "@fontsource-variable/atkinson-hyperlegible-next/wght-italic.css";
import "@fontsource-variable/atkinson-hyperlegible-mono/wght.css";
import "./styles/base.css";
import "./styles/page.css";
import "./styles/thread.css";
import "./styles/dialogs.css";

import { render } from "preact";
import * as conversations from "./conversations";
import { isKept } from "./db";
import * as model from "./model";
import { notify, orSay } from "./notices";
import { startOffline } from "./offline";
import { applyTheme } from "./theme";
import { App } from "./ui/App";

applyTheme();

async function start(): Promise<void> {
  await conversations.open();
  if (!(await isKept())) {
    notify("This browser keeps nothing for this page (a private window?): conversations will be gone with the tab.", { tone: "bad" });
  }
  render(<App />, document.getElementById("app") as HTMLElement);
  orSay(startOffline());
  await model.start();
}

orSay(start());
