// Orders, where the settings allow them: asked for with the token, which this page keeps until it is closed.

import { by, say, sayOrHide } from "./dom.js";
import { ask } from "./stream.js";

let token = "";
let order = null;

/** Ask for confirmation, then send the order. */
export function request(path, body, { title, text, verb }) {
  order = { path, body };
  say(by("order-h"), title);
  say(by("order-text"), text);
  say(by("order-yes"), verb);
  sayOrHide(by("order-error"), "");
  by("order-token").value = token;
  by("order").showModal();
  (token ? by("order-yes") : by("order-token")).focus();
}

export const unblock = (src, port) => request("/api/v1/blocks/remove", { src, port }, {
  title: `Unblock ${port} for ${src}?`,
  text: "The block ends at once. The same source and port are not blocked again for a while (enforce.limits.grace).",
  verb: "Unblock",
});

export const neverBlock = (src) => request("/api/v1/never-block", { src }, {
  title: `Never block ${src}?`,
  text: "All its blocks end, and no new one begins until its line is taken out of the never-block file.",
  verb: "Never block",
});

export function startActions() {
  by("order-no").addEventListener("click", () => by("order").close());
  by("order-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    token = by("order-token").value.trim();
    try {
      await ask(order.path, { method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` }, body: JSON.stringify(order.body) });
      by("order").close();
    } catch (error) {
      token = "";
      sayOrHide(by("order-error"), error.message);
    }
  });
}
