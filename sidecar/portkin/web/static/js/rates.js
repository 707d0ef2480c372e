// Probing rates: the latest bin in words, and the bins of one port as a chart.

import { by, el, Rows, say, sayOrHide, Short } from "./dom.js";
import { above, age, bin, counted, number } from "./format.js";
import { ask } from "./stream.js";

let chosen = null;
let series = null;
let chart = null;
let width = 3600;
let uPlot;

const cell = (label, text, more = "num") => el("td", { "data-label": label, class: more }, text);

const rows = new Short(new Rows(by("rates-rows"), (rate) => rate.port, (rate) => el("tr", { class: rate.port === chosen ? "chosen" : null },
  el("td", { class: "head" },
    el("button", { type: "button", class: "chip mono", "data-name": "chart", "aria-pressed": String(rate.port === chosen), title: "Show its chart", onclick: () => choose(rate.port) }, rate.port),
    rate.service ? el("span", { class: "sub" }, rate.service) : null),
  cell("Observed", number(rate.observed)),
  cell("Forecast", number(rate.forecast)),
  cell("Above forecast", above(rate.above_forecast)),
  cell("Next", number(rate.next)),
  cell("Next above trend", above(rate.above_trend)))), 8, by("rates-more"));

let shown = [];

export function showRates(section) {
  const some = section.shown.length > 0;
  shown = section.shown;
  by("rates-some").hidden = !some;
  sayOrHide(by("rates-empty"), some ? "" : section.error ? section.error : !section.scored ?
    "Rates are not scored: no models are set. Train some of this network's own (portkin rates train), name their folder in rates.model of the settings, and load portkin/rates in Zeek." :
    "No bin has been scored yet: the first one is when Zeek has reported as many hours as the models read (portkin rates warm fills them in).");
  say(by("rates-note"), some ? `Probes per ${age(section.width).replace(/ 0 (min|h)$/, "").replace(/^1 h$/, "hour").replace(/^1 d$/, "day")} of ${counted(section.ports, "port")}, the bin of ${bin(section.start, section.width)}; the most unusual first.` : "");
  if (!some) return;
  const moved = !series || series.latest !== section.start;
  width = section.width;
  if (!chosen || !shown.some((rate) => rate.port === chosen)) choose(shown[0].port);
  else if (moved) choose(chosen);
  rows.show(shown, chosen);
}

async function choose(port) {
  chosen = port;
  rows.show(shown, chosen);
  try {
    const found = await ask(`/api/v1/rates/series?port=${encodeURIComponent(port)}`);
    if (port !== chosen) return;
    series = { ...found, latest: shown[0]?.start };
    await draw();
  } catch (error) {
    say(by("chart-title"), error.message);
  }
}

async function library() {
  if (uPlot === undefined) {
    uPlot = await import("/static/vendor/uPlot.esm.js").then((module) => module.default, () => null);
  }
  return uPlot;
}

/** Hours below the ticks, and the day where it begins. */
function clock(_, ticks, __, ___, step) {
  let before = "";
  return ticks.map((at) => {
    const when = new Date(1000 * at);
    const date = when.toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
    const hours = step >= 86400 ? "" : when.toISOString().slice(11, 16);
    const text = [hours, date === before ? "" : date].filter(Boolean).join("\n");
    before = date;
    return text;
  });
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Redraw: other data, another width, another theme. */
export async function draw() {
  if (!series || !series.bins.length) return;
  const box = by("chart");
  const Plot = await library();
  const last = series.bins.at(-1);
  say(by("chart-title"), `${series.port}: probes observed and forecast, ${counted(series.bins.length, "bin")}; the next is forecast at ${number(last.next)}.`);
  if (!Plot) {
    box.replaceChildren(el("p", { class: "empty" }, "Charts need uPlot, which this installation lacks: install a wheel that was built where npm is, or install npm and portkin again. The same data is at /api/v1/rates/series."));
    return;
  }
  const ahead = last.next === null ? [] : [last.start + series.width];
  const x = [...series.bins.map((each) => each.start), ...ahead];
  const data = [x, [...series.bins.map((each) => each.observed), ...ahead.map(() => null)], [...series.bins.map((each) => each.forecast), ...ahead.map(() => last.next)]];
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  if (chart) chart.destroy();
  box.replaceChildren();
  chart = new Plot({
    width: Math.max(240, box.clientWidth),
    height: 230,
    tzDate: (seconds) => Plot.tzDate(new Date(1000 * seconds), "Etc/UTC"),
    axes: [{ ...axis, values: clock }, { ...axis, size: 54 }],
    scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.08)] } },
    series: [
      { label: "Bin", value: (_, at) => at === null ? "–" : bin(at, series.width) },
      { label: "Observed", stroke: colour("--accent"), width: 2, fill: colour("--accent-soft"), points: { show: x.length < 3 } },
      { label: "Forecast", stroke: colour("--second"), width: 2, dash: [6, 4], points: { show: x.length < 3 } },
    ],
  }, data, box);
}

export function startRates() {
  let before = 0;
  new ResizeObserver(() => {
    const now = by("chart").clientWidth;
    if (now && now !== before) { before = now; draw(); }
  }).observe(by("chart"));
}
