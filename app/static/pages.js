"use strict";
// Small things every page may use. Loaded before the page's body, and listens to the document: a click made while a
// long page still comes in is asked about, and a choice is heard, as later.

function say(text, isProblem) {
  const line = document.createElement("p");
  line.className = isProblem ? "problem" : "message";
  line.textContent = text;
  document.getElementById("messages").replaceChildren(line);
}

function tick() {
  const now = new Date().toISOString().slice(11, 19);
  for (const clock of document.querySelectorAll("[data-clock]")) clock.textContent = now;
}
document.addEventListener("DOMContentLoaded", tick);
setInterval(tick, 1000);

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-back]")) {
    event.preventDefault();
    history.back();
  }
});

// What cannot be taken back is asked about, of the form or of the button that sent it.
document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm || event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// A double click must not queue the work twice.
document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method !== "post") return;
  setTimeout(() => {
    for (const button of event.target.querySelectorAll("button")) button.disabled = true;
  });
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("form[method=post] button")) button.disabled = false;
});

// A frame whose file is gone or cut short has no picture: its place stays empty.
document.addEventListener("error", (event) => {
  if (event.target.matches?.("td.thumb img")) event.target.style.visibility = "hidden";
}, true);

// Another choice shows another look at once.
document.addEventListener("change", (event) => {
  event.target.closest("[data-look]")?.requestSubmit();
});

// Rows of a table that hold the text of a search box.
document.addEventListener("input", (event) => {
  const table = document.querySelector(event.target.dataset?.filterRows || null);
  if (!table) return;
  const wanted = event.target.value.toLowerCase();
  for (const row of table.tBodies[0].rows) {
    row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }
});

// The numbers behind the choices of a filter are those of the other choices.
document.addEventListener("htmx:afterSwap", () => {
  const told = document.querySelector("[data-facets]");
  if (!told) return;
  const facets = JSON.parse(told.dataset.facets);
  for (const option of document.querySelectorAll("[data-counts] option[data-label]")) {
    const counts = facets[option.closest("select").dataset.counts];
    option.textContent = `${option.dataset.label} (${counts[option.value] || 0})`;
  }
});

document.addEventListener("htmx:responseError", (event) => {
  say(event.detail.xhr.responseText || "The server refused this.", true);
});
document.addEventListener("htmx:sendError", () => {
  say("The server cannot be reached. It is tried again with the next change.", true);
});
