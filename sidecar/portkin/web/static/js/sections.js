// Scanners, blocks, alarms, figures, health, and the tiles above them.

import { neverBlock, unblock } from "./actions.js";
import { by, el, Rows, say, sayOrHide, Short } from "./dom.js";
import { above, age, bin, counted, day, evidence, evidenceLong, facts, moment, noteIn, number, percent, veto } from "./format.js";
import { showKin } from "./kin.js";
import { ask } from "./stream.js";

const known = {};
let actions = false;

const td = (label, attributes, ...children) => el("td", { "data-label": label, ...attributes }, ...children);

function chip(port) {
  const show = () => { showKin(port); by("kin").scrollIntoView({ block: "nearest" }); };
  return el("button", { type: "button", class: "chip mono", title: `Show the kin of ${port}`, "data-name": port, onclick: show }, port.replace(/\/tcp$/, ""));
}

const PORTS = 8;

const scannerRows = new Short(new Rows(by("scanners-rows"), (each) => each.src, (each) => el("tr", {},
  td("Source", { class: "head mono src" }, each.src),
  td("Evidence", {}, el("span", {}, el("span", { class: "tag", title: evidenceLong(each.evidence) }, evidence(each.evidence)), el("span", { class: "sub" }, facts(each.evidence) || "nothing but unanswered SYNs"), each.veto && !each.blocked ? el("span", { class: "sub" }, veto(each.veto)) : null)),
  td("Ports probed", {}, el("span", { class: "ports" }, el("b", {}, number(each.probed)), each.ports.slice(0, PORTS).map(chip), each.ports.length > PORTS || each.probed > each.ports.length ? "…" : "")),
  td("Predicted", { class: "num" }, number(each.predicted)),
  td("Came true", { class: "num" }, el("span", {}, number(each.came), each.predicted ? el("span", { class: "sub" }, percent(each.came / each.predicted)) : null)),
  td("Blocked", { class: "num" }, el("span", {}, number(each.blocked - Math.min(each.held_out, each.blocked)), each.held_out ? el("span", { class: "sub" }, `${number(each.held_out)} held out`) : null)),
  td("Latest", { class: "when" }, moment(each.latest)),
  el("td", { class: "act" }, actions ? el("button", { type: "button", class: "small", "data-name": "never", "aria-label": `Never block ${each.src}`, onclick: () => neverBlock(each.src) }, "Never block") : null))), 8, by("scanners-more"));

export function showScanners(section) {
  known.scanners = section;
  scannerRows.show(section.shown, String(actions));
  const all = section.shown.length === section.active;
  say(by("scanners-note"), section.active ? `${counted(section.active, "source")} in the last hour${all ? "" : `, the latest ${section.shown.length} of them here`}` : "");
  sayOrHide(by("scanners-empty"), section.active ? "" : "Nobody has scanned in the last hour, or Zeek does not tell: it reports scanners once it loads portkin/block. With the backend shadow, nothing is dropped by that.");
  showTiles();
}

function reason(block) {
  const why = block.rank ? `predicted after ${block.probed}, place ${block.rank}` : "probed";
  const note = noteIn(block.reason);
  return el("span", {}, why, " ", block.came && block.rank ? el("span", { class: "tag good" }, "came true") : null,
    el("span", { class: "sub" }, [evidence(block.evidence), facts(block.evidence), note].filter(Boolean).join(": ")));
}

const MODE = { shadow: "shadow", nftables: "nftables", suricata: "Suricata", holdout: "held out" };

const blockRows = new Short(new Rows(by("blocks-rows"), (each) => `${each.src} ${each.port} ${each.since}`, (each) => el("tr", {},
  td("Source", { class: "head mono src" }, each.src),
  td("Port", {}, el("span", {}, chip(each.port), each.service ? el("span", { class: "sub" }, each.service) : null)),
  td("Why", { class: "why" }, reason(each)),
  td("By", {}, el("span", { class: "tag" }, MODE[each.mode] || each.mode)),
  td("Ends", { class: "when" }, each.outcome ? el("span", {}, each.outcome, el("span", { class: "sub" }, moment(each.ended))) : moment(each.until)),
  td("Packets", { class: "num" }, number(each.packets)),
  el("td", { class: "act" }, actions && !each.outcome ? el("button", { type: "button", class: "small", "data-name": "unblock", "aria-label": `Unblock ${each.port} for ${each.src}`, onclick: () => unblock(each.src, each.port) }, "Unblock") : null))), 10, by("blocks-more"));

let filtered = 0;

function wanted() {
  const text = by("blocks-find").value.trim();
  const ended = by("blocks-ended").checked;
  if (!text && !ended) return null;
  const query = new URLSearchParams({ state: ended ? "all" : "active" });
  if (text) query.set(/^\d+(\/\w*)?$/.test(text) ? "port" : "src", text);
  return query;
}

async function filter() {
  const query = wanted();
  const mine = ++filtered;
  try {
    const found = query ? await ask(`/api/v1/blocks?${query}`) : known.blocks;
    if (mine !== filtered || !found) return;
    sayOrHide(by("blocks-error"), found.error || "");
    blockRows.show(found.shown || [], String(actions));
    sayOrHide(by("blocks-empty"), (found.shown || []).length ? "" : query ? "No such block." : "Nothing is blocked.");
  } catch (error) {
    if (mine === filtered) sayOrHide(by("blocks-error"), error.message);
  }
}

export function showBlocks(section) {
  known.blocks = section;
  const shown = (section.shown || []).length;
  say(by("blocks-note"), section.active ? `${number(section.active)} active${shown < section.active ? `, the latest ${shown} here` : ""}` : "");
  filter();
  showTiles();
}

const alarmRows = new Short(new Rows(by("alarms-rows"), (each) => `${each.raised} ${each.kind} ${each.port}`, (each) => {
  const anomaly = each.kind === "anomaly";
  const what = anomaly ?
    `${number(each.rate)} probes, ${number(each.base)} forecast: ${above(each.above)} (alarm above ${above(each.threshold)})` :
    `${number(each.rate)} forecast, the trend leads ${each.base < 0 ? "below 0" : `to ${number(each.base)}`}: ${above(each.above)} (warning above ${above(each.threshold)})`;
  return el("li", {},
    el("span", { class: anomaly ? "tag bad" : "tag warn" }, anomaly ? "above forecast" : "will rise"),
    el("div", {}, chip(each.port), each.service ? ` ${each.service}` : "", el("span", { class: "sub" }, what), el("span", { class: "sub" }, "bin of ", bin(each.start, known.width || 3600), ", raised ", moment(each.raised))));
}), 5, by("alarms-more"));

export function showAlarms(section) {
  known.alarms = section;
  alarmRows.show(section.shown);
  sayOrHide(by("alarms-empty"), section.shown.length ? "" : section.error || (section.scored ? "No alarm in the last 24 hours." : "Rates are not scored, so nothing raises alarms."));
  showTiles();
}

function bar(ratio, detail) {
  const inside = el("span", {});
  inside.style.width = `${Math.round(100 * Math.min(1, ratio || 0))}%`;
  return el("span", { class: "bar" }, el("i", { "aria-hidden": "true" }, inside), el("span", {}, percent(ratio), " ", detail ? el("span", { class: "sub" }, detail) : null));
}

const figureRows = new Short(new Rows(by("figures-rows"), (each) => `${each.label} ${each.mode}`, (each) => el("tr", { class: each.total ? "total" : null },
  td("Day", { class: "head" }, each.label),
  td("Mode", {}, el("span", { class: "tag" }, MODE[each.mode] || each.mode)),
  td("Probes", { class: "num" }, number(each.probes)),
  td("Blocks", { class: "num" }, number(each.blocks)),
  td("Predicted", { class: "num" }, number(each.predicted)),
  td("Usefulness of predictions", {}, bar(each.predicted_usefulness, each.predicted ? `${number(each.predicted_useful)} of ${number(each.predicted)}` : "")),
  td("New-port recall", {}, bar(each.new_port_recall, each.new ? `${number(each.new_blocked)} of ${number(each.new)}` : "")),
  td("Usefulness, all blocks", {}, bar(each.usefulness, each.blocks ? `${number(each.useful)} of ${number(each.blocks)}` : "")))), 8, by("figures-more"));

export function showFigures(section) {
  known.figures = section;
  const start = Object.entries(section.start).filter(([mode, counts]) => mode !== "holdout" || counts.blocks).map(([mode, counts]) => ({ label: "since the start", total: true, mode, ...counts }));
  const days = (section.days || []).map((counts) => ({ label: day(counts.day), ...counts })).sort((a, b) => b.day - a.day || (a.mode === "holdout") - (b.mode === "holdout"));
  figureRows.show([...start, ...days]);
  by("figures-note").replaceChildren("The sidecar started ", moment(section.since), ". A block, its probe and its hit count on the day on which they happen.");
  showTiles();
}

const LEVEL = { ok: "good", skipped: "", warning: "warn", problem: "bad" };
const findingRows = new Rows(by("health-rows"), (each) => each.code, (each) => el("li", {},
  el("span", { class: `tag ${LEVEL[each.level] || ""}` }, each.level),
  el("div", {}, el("b", {}, each.code.split(".")[0].replaceAll("-", " ")), el("span", { class: "sub" }, each.what), each.remedy ? el("span", { class: "sub" }, `→ ${each.remedy}`) : null)));

export function showStatus(status) {
  known.status = status;
  if (actions !== status.actions) {
    actions = status.actions;
    if (known.scanners) showScanners(known.scanners);
    if (known.blocks) showBlocks(known.blocks);
  }
  const { zeek, table, blocking, health } = status;
  const facts_ = [
    ["Zeek", zeek.connected ? [zeek.answers ? `${zeek.node}, Zeek ${zeek.version}` : "connected, does not answer the hello", el("span", { class: "sub" }, "connected ", moment(zeek.since))] : ["away", el("span", { class: "sub" }, zeek.reason)]],
    ["Table", [el("span", { class: "mono" }, table.id), el("span", { class: "sub" }, `${table.k} nearest by ${table.method}, built `, moment(table.built), table.min_chance === null ? "" : `, cut-off ${percent(table.min_chance)}`, table.by_source ? ", with a model of sources" : "")]],
    ["Rates", [status.rates ? "scored by models" : "no models"]],
    ["Backend", [MODE[blocking.backend] || blocking.backend, el("span", { class: "sub" }, blocking.backend === "shadow" ? "records blocks, drops nothing" : "")]],
  ];
  by("health-facts").replaceChildren(...facts_.flatMap(([term, what]) => [el("dt", {}, term), el("dd", {}, ...what)]));
  findingRows.show((health.findings || []).filter((each) => each.level !== "ok" || !each.code.startsWith("installation.")));
  say(by("health-note"), health.summary || "");
  say(by("about"), `portkin ${status.portkin}${status.actions ? "" : ", read-only"}`);
  showTiles();
}

function tile(value, what, more, level = "") {
  return el("div", { class: `tile ${level}` }, el("span", { class: "what" }, what), el("b", {}, value), el("span", {}, more));
}

function showTiles() {
  const { scanners, blocks, figures, alarms, status } = known;
  if (!(scanners && blocks && figures && alarms && status)) return;
  const mode = status.blocking.backend;
  const own = figures.start[mode] || {};
  const held = figures.start.holdout || {};
  const problem = status.health.verdict === "problem";
  by("tiles").replaceChildren(
    tile(problem ? "Problem" : status.health.verdict === "warning" ? "Warning" : "Good", "Health", status.health.summary || "", problem ? "bad" : status.health.verdict === "warning" ? "warn" : ""),
    tile(number(scanners.active), "Scanners now", "sources in the last hour"),
    tile(number(blocks.active ?? 0), "Active blocks", mode === "shadow" ? "in shadow: nothing is dropped" : `by ${MODE[mode] || mode}`),
    tile(percent(own.predicted_usefulness), "Predictions tried", own.predicted ? `${number(own.predicted_useful)} of ${number(own.predicted)} since the start` : "of none since the start"),
    tile(percent(own.new_port_recall), "New-port recall", held.predicted ? `holdout: ${percent(held.predicted_usefulness)} of ${number(held.predicted)} tried` : own.new ? `${number(own.new_blocked)} of ${number(own.new)} probes` : "of no probe yet"),
    tile(number(alarms.shown.length), "Alarms", alarms.scored ? "in the last 24 hours" : "rates are not scored", alarms.shown.length ? "warn" : ""),
  );
}

export function setWidth(width) {
  known.width = width;
}

export { age };

export function startSections() {
  let timer = 0;
  const soon = () => { clearTimeout(timer); timer = setTimeout(filter, 250); };
  by("blocks-find").addEventListener("input", soon);
  by("blocks-ended").addEventListener("change", filter);
  by("blocks-form").addEventListener("submit", (event) => { event.preventDefault(); filter(); });
}
