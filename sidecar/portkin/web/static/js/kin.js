// The kin graph of a port: nearest ports around it, nearer and thicker where more likely.

import { by, el, say, sayOrHide, svg } from "./dom.js";
import { percent } from "./format.js";
import { ask } from "./stream.js";

let latest = null;

const label = (port) => port.replace(/\/tcp$/, "");

function place(index, count, closeness, size) {
  const angle = 2 * Math.PI * index / count - Math.PI / 2;
  const room = size.width / 2 - 40;
  const radius = Math.min(room, size.height / 2 - 34) * (0.55 + 0.45 * (1 - closeness));
  const stretch = Math.min(1.25, room / (size.height / 2 - 34));
  return { x: size.width / 2 + radius * Math.cos(angle) * Math.max(1, stretch), y: size.height / 2 + radius * Math.sin(angle) };
}

function draw() {
  const box = by("kin-graph");
  if (!latest) return;
  const width = Math.max(260, Math.round(box.clientWidth));
  const size = { width, height: Math.min(400, Math.max(320, Math.round(width * 0.85))) };
  const near = latest.nearest;
  const root = { x: size.width / 2, y: size.height / 2 };
  // What table has no chances is drawn by its distances.
  const score = (each) => each.chance ?? Math.exp(-each.distance);
  const best = Math.max(1e-9, ...near.map(score));
  const at = new Map([[latest.port, root]]);
  near.forEach((each, index) => at.set(each.port, place(index, near.length, Math.sqrt(score(each) / best), size)));

  const between = latest.links.filter((link) => link.to !== latest.port && at.has(link.to)).map((link) => {
    const [a, b] = [at.get(link.from), at.get(link.to)];
    const bend = { x: (a.x + b.x + root.x) / 3, y: (a.y + b.y + root.y) / 3 };
    return svg("path", { class: "between", d: `M${a.x} ${a.y}Q${bend.x} ${bend.y} ${b.x} ${b.y}`, "stroke-width": 1 });
  });
  const links = near.map((each) => {
    const to = at.get(each.port);
    return svg("line", { class: each.predicted ? "link" : "link below", x1: root.x, y1: root.y, x2: to.x, y2: to.y, "stroke-width": 1 + 6 * score(each) / best });
  });
  const nodes = near.map((each) => {
    const { x, y } = at.get(each.port);
    const chance = each.chance === null ? "" : percent(each.chance);
    const name = `${each.port}${each.service ? ` ${each.service}` : ""}${chance ? `, ${chance}` : ""}: show its kin`;
    const show = (event) => { event.preventDefault(); showKin(each.port); };
    return svg("a", { href: "#kin", "aria-label": name, class: each.predicted ? "predicted" : "", onclick: show },
      svg("title", {}, name),
      svg("circle", { cx: x, cy: y, r: 19 }),
      svg("text", { x, y: y + 4 }, label(each.port)),
      svg("text", { class: "sub", x, y: y < root.y - 12 ? y - 25 : y + 33 }, chance || each.service || ""));
  });
  const centre = svg("g", { class: "root" }, svg("circle", { cx: root.x, cy: root.y, r: 25 }), svg("text", { x: root.x, y: root.y + 4 }, label(latest.port)));
  box.replaceChildren(svg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "group", "aria-label": `The kin of ${latest.port}` }, between, links, nodes, centre));
}

function explain() {
  const { port, service, known, nearest, chances } = latest;
  const named = `${port}${service ? ` (${service})` : ""}`;
  const predicted = nearest.filter((each) => each.predicted).length;
  say(by("kin-note"), !known ? `${named} is in no table: nothing is predicted after it.` :
    !nearest.length ? `${named} has no near ports in the table.` :
      chances ? `After a probe of ${named}: ${predicted ? `the ${predicted} filled reach the cut-off and are predicted` : "none reaches the cut-off, nothing is predicted"}. The percentage is the chance that the source probes it within hours.` :
        `The nearest ports of ${named}; this table has no chances.`);
  by("kin-list").replaceChildren(...nearest.map((each) =>
    el("li", {}, `${each.port}${each.service ? ` ${each.service}` : ""}, ${each.chance === null ? `distance ${each.distance.toFixed(2)}` : percent(each.chance)}${each.predicted ? ", predicted" : ""}`)));
}

/** Ask for the kin of a port, and draw them. */
export async function showKin(port) {
  by("kin-port").value = port;
  try {
    latest = await ask(`/api/v1/kin?port=${encodeURIComponent(port)}&k=${by("kin-k").value}`);
    by("kin-port").value = latest.port;
    sayOrHide(by("kin-error"), "");
    draw();
    explain();
  } catch (error) {
    sayOrHide(by("kin-error"), error.message);
  }
}

export function startKin() {
  by("kin-form").addEventListener("submit", (event) => { event.preventDefault(); showKin(by("kin-port").value.trim()); });
  by("kin-k").addEventListener("change", () => showKin(by("kin-port").value.trim()));
  new ResizeObserver(draw).observe(by("kin-graph"));
  showKin("80/tcp");
}
