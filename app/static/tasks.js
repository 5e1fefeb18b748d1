"use strict";
// Tasks: a file dropped on the form and its way to the server, the end of a growing log, picks.
(() => {
  const form = document.querySelector("[data-upload]");
  if (form) upload(form);

  function upload(form) {
    const drop = form.querySelector("[data-drop]");
    const input = form.querySelector("input[type=file]");
    const bar = form.querySelector("[data-sending]");
    const size = form.querySelector("[data-drop-size]");

    function show() {
      const file = input.files[0];
      drop.classList.toggle("has-file", Boolean(file));
      if (!file) return;
      form.querySelector("[data-drop-name]").textContent = file.name;
      size.textContent = file.size < 1e6 ? `${Math.ceil(file.size / 1e3)} kB` : `${(file.size / 1e6).toFixed(1)} MB`;
    }
    input.addEventListener("change", show);
    show();

    for (const name of ["dragenter", "dragover"]) {
      addEventListener(name, (event) => {
        if (!event.dataTransfer?.types.includes("Files")) return;
        event.preventDefault();
        drop.classList.add("over");
      });
    }
    addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) drop.classList.remove("over");
    });
    addEventListener("drop", (event) => {
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      drop.classList.remove("over");
      if (event.dataTransfer.files.length > 1) say("A task is one image: the first of them is taken.", false);
      const one = new DataTransfer();
      one.items.add(event.dataTransfer.files[0]);
      input.files = one.files;
      show();
    });

    // With a script the file goes by itself: its progress is seen, and its size has no other limit
    // than that of all uploads.
    form.addEventListener("submit", (event) => {
      if (!input.files.length || event.submitter?.hasAttribute("formaction")) return;
      event.preventDefault();
      send(new FormData(form));
    });

    function send(body) {
      const request = new XMLHttpRequest();
      const buttons = form.querySelectorAll("button");
      request.open("POST", form.action);
      request.setRequestHeader("X-CSRFToken", form.elements.csrf_token.value);
      request.setRequestHeader("HX-Request", "true");
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) bar.value = event.loaded / event.total;
      });
      const end = (text) => {
        bar.hidden = true;
        for (const button of buttons) button.disabled = false;
        say(text, true);
        scrollTo({ top: 0 });
      };
      request.addEventListener("load", () => {
        const place = request.getResponseHeader("HX-Redirect");
        if (place) location.assign(place);
        else end(request.responseText || "The server refused this.");
      });
      request.addEventListener("error", () => end("The connection broke. Is the server still there? Send it again."));
      bar.hidden = false;
      bar.value = 0;
      for (const button of buttons) button.disabled = true;
      request.send(body);
    }
  }

  // A log grows at its end, and that is where one looks.
  function toEnd() {
    for (const log of document.querySelectorAll("[data-log]")) log.scrollTop = log.scrollHeight;
  }
  toEnd();
  document.addEventListener("htmx:afterSwap", toEnd);

  // When a step is over the page is fetched anew, unless somebody has just typed something into it.
  let isTyped = false;
  document.addEventListener("input", (event) => {
    if (event.target.closest("form[method=post]")) isTyped = true;
  });
  document.addEventListener("task-over", () => {
    if (!isTyped) return location.reload();
    say("The step is over. ", false);
    const link = document.createElement("a");
    link.href = location.pathname;
    link.textContent = "Show what came of it";
    document.querySelector("#messages p").append(link, "; what you typed is not kept.");
  });

  // Chosen rows stay chosen: the list is not fetched anew meanwhile.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "tasks" && event.target.querySelector("[name=ids]:checked")) event.preventDefault();
  });
  const boxes = () => document.querySelectorAll("[data-pick] [name=ids]");
  function offer() {
    for (const all of document.querySelectorAll("[data-pick-all]")) all.hidden = false;
  }
  offer();
  document.addEventListener("htmx:afterSwap", offer);
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-all]")) for (const box of boxes()) box.checked = event.target.checked;
  });
  document.addEventListener("submit", (event) => {
    if (event.target.matches("[data-pick]") && ![...boxes()].some((box) => box.checked)) {
      event.preventDefault();
      say("Choose some tasks first.", true);
    }
  });
})();
