// Server-sent events: one connection while the page is visible, and what is shown when there is none.

const AGAIN = 5000;

/** Calls `take(name, value)` for each section and `state(word, detail)` for the connection: live, lost, full. */
export function follow(names, take, state) {
  let source = null;
  let timer = 0;

  function open() {
    clearTimeout(timer);
    if (source || document.hidden) return;
    source = new EventSource("/api/v1/events");
    source.onopen = () => state("live");
    for (const name of names) source.addEventListener(name, (event) => take(name, JSON.parse(event.data)));
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return state("lost");
      // The browser does not try again by itself after an answer that is no stream.
      close();
      timer = setTimeout(open, AGAIN);
      fetch("/api/v1/events", { method: "HEAD" }).then((answer) => state(answer.status === 503 ? "full" : "lost"), () => state("lost"));
    };
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  // Nobody looks at a hidden page: the sidecar then reads nothing for it.
  document.addEventListener("visibilitychange", () => document.hidden ? close() : open());
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
}

/** The JSON at a path; throws an Error with what the server says. */
export async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the sidecar does not answer");
  }
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(value.error || `status ${answer.status}`);
  return value;
}
