"use strict";
// Before the first paint, so that nobody in the dome is blinded by a white flash.
(() => {
  const themes = ["dark", "light", "red"];
  const stored = localStorage.getItem("theme");
  const wanted = matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
  const root = document.documentElement;
  root.dataset.theme = themes.includes(stored) ? stored : wanted;
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const next = themes[(themes.indexOf(root.dataset.theme) + 1) % themes.length];
    root.dataset.theme = next;
    localStorage.setItem("theme", next);
  });
})();
