"use strict";
// Parts of a page that show what changes say so with data-live="topics" (or "topic:state"); they
// are fetched anew when something of those topics happens, at most once in `PAUSE_MS`.
(() => {
  const PAUSE_MS = 1000;
  const FALLBACK_MS = 30000;
  const due = new Set();
  let timer = null;

  const parts = () => [...document.querySelectorAll("[data-live]")];
  if (!parts().length || !window.EventSource) return;

  function concerns(part, change) {
    const topics = part.dataset.live.split(" ");
    const isAny = change.state === undefined && topics.some((one) => one.startsWith(`${change.topic}:`));
    if (!isAny && !topics.includes(change.topic) && !topics.includes(`${change.topic}:${change.state}`)) return false;
    // Not told which job it was: it may be this one.
    if (part.dataset.liveJob && change.job !== undefined && String(change.job) !== part.dataset.liveJob) return false;
    if (part.dataset.liveTask && change.task !== undefined && String(change.task) !== part.dataset.liveTask) return false;
    const night = part.dataset.liveNight;
    const told = change.nights || (change.night ? [change.night] : null);
    return !(night && told && !told.includes(night));
  }

  function flush() {
    timer = null;
    for (const id of due) {
      const part = document.getElementById(id);
      if (part) htmx.trigger(part, "refresh");
    }
    due.clear();
  }

  function mark(change) {
    for (const part of parts()) if (concerns(part, change)) due.add(part.id);
    if (due.size && !timer) timer = setTimeout(flush, PAUSE_MS);
  }

  const source = new EventSource("/events/");
  for (const topic of ["frames", "job", "block", "scan", "task"]) {
    source.addEventListener(topic, (event) => mark(JSON.parse(event.data)));
  }
  let wasBroken = false;
  source.addEventListener("open", () => {
    if (wasBroken) for (const part of parts()) due.add(part.id);
    if (due.size && !timer) timer = setTimeout(flush, PAUSE_MS);
    wasBroken = false;
  });
  source.addEventListener("error", () => {
    wasBroken = true;
    if (source.readyState === EventSource.CLOSED) lookNowAndThen();
  });
  // Too many open pages: this one looks by itself, as long as somebody looks at it.
  source.addEventListener("rest", () => {
    source.close();
    lookNowAndThen();
  });
  function lookNowAndThen() {
    setInterval(() => {
      if (document.hidden) return;
      for (const part of parts()) htmx.trigger(part, "refresh");
    }, FALLBACK_MS);
  }
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
