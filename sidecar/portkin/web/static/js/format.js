// Numbers, times and codes in words.

import { el, say } from "./dom.js";

const EVIDENCE = { DARKNET: "darknet", TRW: "sequential test", FAILED: "failed contacts", OPERATOR: "by hand", NETCONTROL: "NetControl" };
const EVIDENCE_LONG = {
  DARKNET: "it sent to addresses without a host",
  TRW: "its contacts fail more often than those of a client (sequential hypothesis test)",
  FAILED: "many distinct contacts failed within minutes",
  OPERATOR: "somebody ordered it",
  NETCONTROL: "a NetControl rule of Zeek's ordered it",
};
const VETO = {
  unproven: "not blocked: single unanswered SYNs can be forged",
  "never-net": "never blocked: never_nets or the never-block file",
  "never-port": "some ports are never blocked",
  "own-address": "never blocked: an address of this machine or of Zeek's",
  gateway: "never blocked: a gateway",
  "special-address": "never blocked: a special address",
  grace: "unblocked a while ago",
  "source-cap": "max_ports is reached",
  "total-cap": "max_blocks is reached",
  "rate-cap": "max_per_second is reached",
  duration: "no duration that can be used",
};

export const number = (value) => value === null || value === undefined ? "–" : Math.abs(value) >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toLocaleString("en", { maximumFractionDigits: 1 });

export function percent(ratio) {
  if (ratio === null || ratio === undefined) return "–";
  const value = 100 * ratio;
  return `${value.toLocaleString("en", { maximumFractionDigits: value && value < 10 ? 1 : 0 })} %`;
}

/** How far above, as E and W have it: 2 is two times the base on top of it. */
export const above = (value) => value === null || value === undefined ? "–" : value <= 0 ? "no" : `+${percent(value)}`;

export const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

const inWords = (at) => {
  const left = at - Date.now() / 1000;
  return left >= 0 ? `in ${span(left)}` : `${span(-left)} ago`;
};

export const stamp = (at) => new Date(1000 * at).toISOString().replace("T", " ").slice(0, 19) + " UTC";

/** A time that counts by itself; the moment itself is its title. */
export function moment(at) {
  return el("time", { datetime: new Date(1000 * at).toISOString(), title: stamp(at), "data-at": at }, inWords(at));
}

export function age(seconds) {
  return span(seconds);
}

/** Bring all times up to date. */
export function tick() {
  for (const time of document.querySelectorAll("time[data-at]")) say(time, inWords(Number(time.getAttribute("data-at"))));
}

export const day = (at) => new Date(1000 * at).toISOString().slice(0, 10);

/** When a bin was: its hour, or its day. */
export const bin = (at, width) => width >= 86400 ? day(at) : new Date(1000 * at).toISOString().replace("T", " ").slice(0, 16) + " UTC";

export const evidence = (found) => EVIDENCE[found.kind] || found.kind.slice(0, 20) || "unknown";
export const evidenceLong = (found) => EVIDENCE_LONG[found.kind] || "";
export const veto = (code) => VETO[code] || code;

/** What is known against a source, in a line. */
export function facts(found) {
  const parts = [
    found.darknet && counted(found.darknet, "dark address", "dark addresses"),
    found.refused && `${number(found.refused)} refused`,
    found.answered && `${number(found.answered)} answered`,
    found.repeated && `${number(found.repeated)} tried again`,
  ];
  return parts.filter(Boolean).join(", ");
}

/** The note of somebody who blocked by hand. */
export const noteIn = (reason) => (/(?:^|\s)note=(.*)$/s.exec(reason) || ["", ""])[1];
