"use strict";
// Parts of a page that show what changes say so with data-live="topics"; they are fetched anew
// when something of those topics happens, at most once in `PAUSE_MS`.
(() => {
  const PAUSE_MS = 1000;
  const FALLBACK_MS = 30000;
  const due = new Set();
  let timer = null;

  const parts = () => [...document.querySelectorAll("[data-live]")];
  if (!parts().length || !window.EventSource) return;

  function concerns(part, change) {
    if (!part.dataset.live.split(" ").includes(change.topic)) return false;
    if (part.dataset.liveJob && String(change.job) !== part.dataset.liveJob) return false;
    const night = part.dataset.liveNight;
    const told = change.nights || (change.night ? [change.night] : null);
    return !(night && told && !told.includes(night));
  }

  function flush() {
    timer = null;
    // Whoever is about to press a button in a part must not have it replaced under the pointer.
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
  for (const topic of ["frames", "job", "block", "scan"]) {
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
    if (source.readyState === EventSource.CLOSED) {
      // Refused, for there are too many open pages: look now and then instead.
      setInterval(() => { for (const part of parts()) htmx.trigger(part, "refresh"); }, FALLBACK_MS);
    }
  });
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
})();
