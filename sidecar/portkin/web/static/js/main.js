// The page: what comes over the stream goes to the part that shows it.

import { startActions } from "./actions.js";
import { by, el, say } from "./dom.js";
import { stamp, tick } from "./format.js";
import { startKin } from "./kin.js";
import { draw, showRates, startRates } from "./rates.js";
import { setWidth, showAlarms, showBlocks, showFigures, showScanners, showStatus, startSections } from "./sections.js";
import { follow } from "./stream.js";

let status = null;
let link = "lost";
let heard = 0;

const sentence = (text) => text ? `${text[0].toUpperCase()}${text.slice(1).replace(/[.]$/, "")}${text.endsWith("?") ? "" : "."} ` : "";

function banner() {
  const box = by("banner");
  const lines = link === "full" ? ["As many pages are open as may be", "Close one, or raise page.viewers in the settings. This one tries again by itself."] :
    link === "lost" && heard ? ["The sidecar does not answer", `What is shown is of ${stamp(heard)}. portkin serve, or systemctl status portkin; this page tries again by itself.`] :
      status && !status.zeek.connected ? ["Zeek is away: nothing new is predicted or blocked", `${sentence(status.zeek.reason)}What Zeek detects it logs, if it runs. The sidecar tries again by itself; portkin doctor says more.`] :
        status && !status.ready ? ["Not ready", status.not_ready.join("; ")] : null;
  box.hidden = !lines;
  box.classList.toggle("warn", Boolean(lines) && link === "live" && status.zeek.connected);
  if (lines) box.replaceChildren(el("strong", {}, lines[0]), el("p", {}, lines[1]));
  document.body.classList.toggle("stale", link !== "live" && heard > 0);
  const pill = by("live");
  const ready = status && status.ready;
  say(pill, link !== "live" ? "not connected" : !status ? "connecting" : ready ? "live" : status.zeek.connected ? "not ready" : "Zeek is away");
  pill.className = `pill ${link !== "live" || (status && !status.zeek.connected) ? "bad" : ready ? "good" : "warn"}`;
}

const parts = {
  status: (value) => { status = value; showStatus(value); },
  scanners: showScanners,
  blocks: showBlocks,
  figures: showFigures,
  rates: (value) => { setWidth(value.width); showRates(value); },
  alarms: showAlarms,
};

function take(name, value) {
  heard = Date.now() / 1000;
  parts[name](value);
  banner();
}

const system = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  const dark = (localStorage.getItem("theme") ?? (system.matches ? "dark" : "light")) === "dark";
  document.documentElement.setAttribute("data-theme", dark ? "dark" : "light");
  by("theme").setAttribute("aria-pressed", String(dark));
  say(by("theme"), dark ? "Light" : "Dark");
  draw();
}

system.addEventListener("change", theme);
by("theme").addEventListener("click", () => {
  localStorage.setItem("theme", document.documentElement.getAttribute("data-theme") === "dark" ? "light" : "dark");
  theme();
});

theme();
startActions();
startSections();
startKin();
startRates();
follow(Object.keys(parts), take, (word) => { link = word; banner(); });
setInterval(() => { if (!document.hidden) tick(); }, 1000);
