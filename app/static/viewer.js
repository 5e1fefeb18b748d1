"use strict";
// A frame on a canvas: tiles from the server at the zoom that fits, and the values under the
// pointer. Frame coordinates are zero-based with row 0 at the bottom, as FITS viewers have it.
(() => {
  const box = document.querySelector("[data-viewer]");
  if (!box) return;
  const canvas = box.querySelector("canvas");
  const brush = canvas.getContext("2d");
  const read = box.querySelector("[data-pixel]");
  const field = (name) => box.querySelector(`[data-${name}]`);
  const base = box.dataset.viewer;
  const KEPT_TILES = 400;

  let info = null;
  let scale = 1;        // screen pixels a frame pixel
  let x0 = 0, y0 = 0;   // frame coordinates of the canvas' lower left corner
  let tiles = new Map();
  let isDirty = false;

  const look = () => new URLSearchParams({
    stretch: field("stretch").value,
    cmap: field("cmap").value + (field("reverse").checked ? "_r" : ""),
    low: field("low").value,
    high: field("high").value,
  });
  const plane = () => field("plane")?.value || "SCI";

  async function describe(isFirst) {
    const wanted = new URLSearchParams({ plane: plane(), stretch: field("stretch").value });
    const answer = await fetch(`${base}picture.json?${wanted}`, { headers: { "HX-Request": "true" } });
    if (!answer.ok) {
      read.textContent = await answer.text();
      return;
    }
    info = await answer.json();
    field("low").value = Number(info.limits.low).toPrecision(6);
    field("high").value = Number(info.limits.high).toPrecision(6);
    legend();
    if (isFirst) fit(); else restart();
  }

  function legend() {
    const list = field("legend");
    list.hidden = info.plane !== "DQ";
    for (const label of box.querySelectorAll("[data-limits]")) label.hidden = !list.hidden; // flags have no range
    list.replaceChildren(...Object.entries(info.flags).map(([name, colour]) => {
      const item = document.createElement("li");
      const square = document.createElement("i");
      square.style.backgroundColor = colour;
      item.append(square, name.toLowerCase().replaceAll("_", " "));
      return item;
    }));
  }

  function restart() {
    tiles = new Map();
    paint();
  }

  function fit() {
    resize();
    scale = Math.min(canvas.width / info.nx, canvas.height / info.ny);
    centre(info.nx / 2, info.ny / 2);
  }

  function centre(x, y) {
    x0 = x - canvas.width / scale / 2;
    y0 = y - canvas.height / scale / 2;
    paint();
  }

  function zoom(factor, sx = canvas.width / 2, sy = canvas.height / 2) {
    const [x, y] = toFrame(sx, sy);
    const least = Math.min(canvas.width / info.nx, canvas.height / info.ny, 1) / 2;
    scale = Math.min(40, Math.max(least, scale * factor));
    x0 = x - sx / scale;
    y0 = y - (canvas.height - sy) / scale;
    paint();
  }

  const toFrame = (sx, sy) => [x0 + sx / scale, y0 + (canvas.height - sy) / scale];

  function resize() {
    const ratio = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    const height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
  }

  function paint() {
    if (isDirty) return;
    isDirty = true;
    requestAnimationFrame(() => { isDirty = false; draw(); });
  }

  function draw() {
    if (!info) return;
    brush.fillStyle = "#000";
    brush.fillRect(0, 0, canvas.width, canvas.height);
    brush.imageSmoothingEnabled = scale < 1;
    const level = Math.min(info.levels - 1, Math.max(0, Math.floor(-Math.log2(scale))));
    drawLevel(info.levels - 1, false);  // coarse and there at once, until the fine tiles arrive
    if (level < info.levels - 1) drawLevel(level, true);
    // For who draws over the picture.
    box.dispatchEvent(new CustomEvent("drawn", { detail: { brush, scale, x0, y0, info } }));
  }

  function drawLevel(level, isFine) {
    const size = info.tile * 2 ** level;
    const last = (n) => Math.ceil(n / size) - 1;
    const [right, top] = toFrame(canvas.width, 0);
    const columns = [Math.max(0, Math.floor(x0 / size)), Math.min(last(info.nx), Math.floor(right / size))];
    const rows = [Math.max(0, Math.floor(y0 / size)), Math.min(last(info.ny), Math.floor(top / size))];
    for (let row = rows[0]; row <= rows[1]; row++) {
      for (let column = columns[0]; column <= columns[1]; column++) drawTile(level, column, row, isFine);
    }
  }

  function drawTile(level, column, row) {
    const picture = tile(level, column, row);
    if (!picture.complete || !picture.naturalWidth) return;
    const step = 2 ** level;
    const left = (column * info.tile * step - x0) * scale;
    const bottom = canvas.height - (row * info.tile * step - y0) * scale;
    const width = picture.naturalWidth * step * scale;
    const height = picture.naturalHeight * step * scale;
    brush.drawImage(picture, left, bottom - height, width, height);
  }

  function tile(level, column, row) {
    const address = `${base}tiles/${plane()}/${level}/${column}/${row}.png?${look()}`;
    let picture = tiles.get(address);
    if (!picture) {
      picture = new Image();
      picture.addEventListener("load", paint);
      picture.src = address;
      tiles.set(address, picture);
      if (tiles.size > KEPT_TILES) tiles.delete(tiles.keys().next().value);
    }
    return picture;
  }

  // Values under the pointer: one question at a time, the last place asked for wins.
  let asking = false;
  let next = null;
  async function ask(x, y) {
    next = [x, y];
    if (asking || !info) return;
    asking = true;
    while (next) {
      const [px, py] = next;
      next = null;
      if (px < 0 || py < 0 || px >= info.nx || py >= info.ny) { read.textContent = "\u00a0"; continue; }
      const answer = await fetch(`${base}pixel.json?x=${px}&y=${py}`, { headers: { "HX-Request": "true" } });
      if (answer.ok) tell(await answer.json());
      else read.textContent = await answer.text();
    }
    asking = false;
  }

  function tell(pixel) {
    const number = (value) => value === null ? "no value" : Number(value.toPrecision(7)).toString();
    const unit = pixel.unit === "1" ? "" : ` ${pixel.unit === "electron" ? "e⁻" : pixel.unit.toUpperCase()}`;
    const said = [`x ${pixel.x}, y ${pixel.y}`, `${number(pixel.sci)}${unit}`];
    if (pixel.var !== null) said.push(`± ${number(Math.sqrt(pixel.var))}`);
    if (pixel.dq !== null) said.push(pixel.flags.length ? `flags: ${pixel.flags.join(", ").toLowerCase().replaceAll("_", " ")}` : "no flags");
    read.textContent = said.join("  ·  ");
  }

  const place = (event) => {
    const ratio = canvas.width / canvas.clientWidth;
    return [event.offsetX * ratio, event.offsetY * ratio];
  };
  const held = new Map();  // pointers that are down
  let spread = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
    spread = distance();
    box.classList.add("dragging");
  });
  const release = (event) => {
    held.delete(event.pointerId);
    spread = distance();
    if (!held.size) box.classList.remove("dragging");
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  function distance() {
    const [a, b] = [...held.values()];
    return b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0;
  }
  canvas.addEventListener("pointermove", (event) => {
    if (!info) return;
    const now = place(event);
    const before = held.get(event.pointerId);
    if (before) {
      held.set(event.pointerId, now);
      if (held.size === 1) {
        x0 -= (now[0] - before[0]) / scale;
        y0 += (now[1] - before[1]) / scale;
        paint();
      } else if (spread) {
        const wide = distance();
        const [a, b] = [...held.values()];
        zoom(wide / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
        spread = wide;
      }
    }
    const [x, y] = toFrame(...now);
    ask(Math.floor(x), Math.floor(y));
  });
  canvas.addEventListener("wheel", (event) => {
    if (!info) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), ...place(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (!info) return;
    const step = 60 / scale;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (moves[event.key]) {
      x0 += moves[event.key][0];
      y0 += moves[event.key][1];
      paint();
    } else if (event.key === "+" || event.key === "=") zoom(1.5);
    else if (event.key === "-") zoom(1 / 1.5);
    else if (event.key === "0") fit();
    else return;
    event.preventDefault();
  });
  box.addEventListener("click", (event) => {
    const what = event.target.dataset.zoom;
    if (!what || !info) return;
    if (what === "fit") fit();
    else if (what === "one") zoom(1 / scale);
    else zoom(what === "in" ? 1.6 : 1 / 1.6);
  });
  box.addEventListener("change", (event) => {
    const data = event.target.dataset;
    if ("stretch" in data || "plane" in data) describe(false);
    else restart();
  });
  box.addEventListener("redraw", paint);
  box.addEventListener("look", (event) => {  // at a pixel, with so many of them across
    scale = Math.max(scale, Math.min(canvas.width, canvas.height) / event.detail.across);
    centre(event.detail.x + 0.5, event.detail.y + 0.5);
  });
  new ResizeObserver(() => { resize(); paint(); }).observe(canvas);
  describe(true);
})();
