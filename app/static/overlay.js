"use strict";
// The sources of a frame drawn over its picture, and told of one by one: a click on the picture
// or on a star of a plot chooses one, and it is marked everywhere. Places are pixels, zero-based
// with centres at whole numbers; a pixel of the picture reaches from its number to the next.
(() => {
  const viewer = document.querySelector("[data-viewer]");
  const bar = document.querySelector("[data-overlay]");
  const canvas = viewer?.querySelector("canvas");
  const KEPT = "overlay";                   // in the browser's storage: what was switched on
  const NEAR = 12;                          // screen pixels from a source that still mean it
  const LABELLED = 80;                      // with more in view, magnitudes would cover the picture
  const CLOSE = 30;                         // times the stars' width, that a chosen one is shown
  const KINDS = {
    star: "a star", galaxy: "a galaxy, or stars that are not parted",
    hit: "a hit of a cosmic ray, or a hot pixel", trail: "a trail",
  };
  const COLOURS = { zero: "#ffb454", matched: "#7fd18b", alone: "#6fb7ff", catalogue: "#ff6f91", chosen: "#ffffff" };

  let seen = null;      // how the picture is drawn: { brush, scale, x0, y0, width, height, nx, ny }
  let loaded = null;    // { part, isAll, answer }
  let chosen = null;    // one source
  let missed = null;    // stars of the catalogue that were not found
  let asking = null;    // the question on its way

  const isOn = (name) => Boolean(bar?.querySelector(`[data-show="${name}"]`)?.checked);
  const fitBar = () => { for (const part of bar.querySelectorAll("[data-with-sources]")) part.hidden = !isOn("sources"); };
  const say = (text) => { bar.querySelector("[data-said]").textContent = text; };

  // ---- what the server knows -------------------------------------------------------------------

  async function ask(query, address = bar.dataset.overlay) {
    const answer = await fetch(`${address}${query ? `?${new URLSearchParams(query)}` : ""}`,
      { headers: { "HX-Request": "true" } });
    if (!answer.ok) throw new Error(await answer.text());
    return answer.json();
  }

  async function loadMissed() {
    if (missed || !isOn("sources") || !isOn("missed")) return;
    missed = [];
    try {
      const answer = await ask(null, bar.dataset.missed);
      missed = answer.stars.x.map((x, i) => ({ x, y: answer.stars.y[i], mag: answer.stars.mag[i] }));
      redraw();
    } catch (error) {
      say(error.message);
    }
  }

  const rows = (answer) => answer.sources.number.map((_, i) =>
    Object.fromEntries(Object.entries(answer.sources).map(([name, column]) => [name, column[i]])));

  function view() {
    const { x0, y0, scale, width, height, nx, ny } = seen;
    const part = { x0: Math.max(-1, x0), x1: Math.min(nx, x0 + width / scale), y0: Math.max(-1, y0), y1: Math.min(ny, y0 + height / scale) };
    return part.x1 > part.x0 && part.y1 > part.y0 ? part : { x0: -1, x1: nx, y0: -1, y1: ny };
  }

  const area = (part) => (part.x1 - part.x0) * (part.y1 - part.y0);
  const holds = (outer, inner) => outer.x0 <= inner.x0 && outer.x1 >= inner.x1 && outer.y0 <= inner.y0 && outer.y1 >= inner.y1;

  // Only where the last answer left sources out is it asked again, for the part in view.
  function isKnown(part) {
    if (!loaded) return false;
    return holds(loaded.part, part) && (loaded.isAll || area(part) > area(loaded.part) / 3);
  }

  let later = 0;
  function load() {
    if (!seen || !isOn("sources") || isKnown(view())) return;
    clearTimeout(later);
    later = setTimeout(fetchView, loaded ? 200 : 0);
  }

  async function fetchView() {
    const wanted = view();
    const [wide, tall] = [(wanted.x1 - wanted.x0) / 4, (wanted.y1 - wanted.y0) / 4];
    const part = loaded
      ? { x0: wanted.x0 - wide, x1: wanted.x1 + wide, y0: wanted.y0 - tall, y1: wanted.y1 + tall }
      : { x0: -1e9, x1: 1e9, y0: -1e9, y1: 1e9 };
    const mine = asking = {};
    try {
      const answer = await ask(loaded ? part : null);
      if (asking !== mine) return;  // a later question is on its way
      loaded = { part, isAll: answer.within === answer.sources.number.length, answer, rows: rows(answer) };
      count();
      redraw();
      load();
    } catch (error) {
      say(error.message);
    }
  }

  function count() {
    const { answer, isAll } = loaded;
    const n = (value) => value.toLocaleString("en");
    say(isAll ? `${n(answer.total)} sources` : `the brightest ${n(answer.sources.number.length)} here of ${n(answer.total)} sources; zoom in for more`);
  }

  // ---- on the picture --------------------------------------------------------------------------

  const redraw = () => viewer?.dispatchEvent(new Event("redraw"));
  const toScreen = (x, y) => [(x + 0.5 - seen.x0) * seen.scale, seen.height - (y + 0.5 - seen.y0) * seen.scale];
  const kind = (one) => one.is_zp_star ? "zero" : one.cat_x !== null ? "matched" : "alone";
  const isDoubtful = (one) => one.flags !== 0 || one.is_blended || one.is_truncated;
  const radius = (one, ratio) => Math.max(5 * ratio, 1.2 * (one.fwhm || 3) * seen.scale);

  function draw() {
    const ratio = devicePixelRatio || 1;
    const { brush } = seen;
    brush.save();
    brush.lineWidth = 1.4 * ratio;
    if (isOn("sources") && loaded) {
      const shown = loaded.rows.filter((one) => isVisible(one, 40 * ratio));
      for (const one of shown) circle(one, COLOURS[kind(one)], ratio);
      if (isOn("catalogue")) for (const one of shown) plus(one, ratio);
      if (shown.length <= LABELLED) for (const one of shown) label(one, ratio);
      if (isOn("missed")) for (const one of missed ?? []) diamond(one, ratio);
    }
    if (projection) compass(ratio);
    if (chosen) {
      for (const [colour, width] of [["#000a", 5], [COLOURS.chosen, 2]]) {  // seen on a star and on the sky
        brush.lineWidth = width * ratio;
        circle(chosen, colour, ratio, 1.5);
      }
    }
    brush.restore();
  }

  function isVisible(one, room) {
    const [x, y] = toScreen(one.x, one.y);
    return x > -room && y > -room && x < seen.width + room && y < seen.height + room;
  }

  function circle(one, colour, ratio, larger = 1) {
    const [x, y] = toScreen(one.x, one.y);
    seen.brush.strokeStyle = colour;
    seen.brush.setLineDash(isDoubtful(one) ? [3 * ratio, 3 * ratio] : []);
    seen.brush.beginPath();
    seen.brush.arc(x, y, radius(one, ratio) * larger, 0, 2 * Math.PI);
    seen.brush.stroke();
  }

  function plus(one, ratio) {
    if (one.cat_x === null) return;
    const [x, y] = toScreen(one.cat_x, one.cat_y);
    const arm = 3.5 * ratio;
    seen.brush.strokeStyle = COLOURS.catalogue;
    seen.brush.setLineDash([]);
    seen.brush.beginPath();
    seen.brush.moveTo(x - arm, y);
    seen.brush.lineTo(x + arm, y);
    seen.brush.moveTo(x, y - arm);
    seen.brush.lineTo(x, y + arm);
    seen.brush.stroke();
  }

  function diamond(one, ratio) {
    const [x, y] = toScreen(one.x, one.y);
    const arm = 8 * ratio;
    seen.brush.strokeStyle = COLOURS.catalogue;
    seen.brush.setLineDash([]);
    seen.brush.beginPath();
    seen.brush.moveTo(x - arm, y);
    for (const [dx, dy] of [[0, -arm], [arm, 0], [0, arm]]) seen.brush.lineTo(x + dx, y + dy);
    seen.brush.closePath();
    seen.brush.stroke();
  }

  // North and east, in the lower left corner.
  function compass(ratio) {
    const { brush } = seen;
    const [[a, b], [c, d]] = projection.cd;
    const turn = Math.sign(a * d - b * c);
    const at = [40 * ratio, seen.height - 40 * ratio];
    brush.setLineDash([]);
    brush.font = `600 ${11 * ratio}px system-ui, sans-serif`;
    brush.textAlign = "center";
    brush.textBaseline = "middle";
    for (const [name, dx, dy] of [["N", -b * turn, a * turn], ["E", d * turn, -c * turn]]) {
      const length = Math.hypot(dx, dy);
      const [ux, uy] = [dx / length, -dy / length];
      for (const [colour, width] of [["#000a", 4], ["#fff", 1.5]]) {
        brush.strokeStyle = colour;
        brush.lineWidth = width * ratio;
        brush.beginPath();
        brush.moveTo(...at);
        brush.lineTo(at[0] + 22 * ratio * ux, at[1] + 22 * ratio * uy);
        brush.stroke();
      }
      const there = [at[0] + 31 * ratio * ux, at[1] + 31 * ratio * uy];
      brush.lineWidth = 3 * ratio;
      brush.strokeStyle = "#000a";
      brush.strokeText(name, ...there);
      brush.fillStyle = "#fff";
      brush.fillText(name, ...there);
    }
    brush.textAlign = "start";
    brush.textBaseline = "alphabetic";
  }

  function label(one, ratio) {
    const isOdd = one.kind !== null && one.kind !== "star";
    const words = [one.mag === null ? "" : one.mag.toFixed(2), isOdd ? one.kind : ""].filter(Boolean).join(" ");
    if (!words) return;
    const [x, y] = toScreen(one.x, one.y);
    const { brush } = seen;
    const at = [x + radius(one, ratio) + 4 * ratio, y + 4 * ratio];
    brush.setLineDash([]);
    brush.font = `${11 * ratio}px system-ui, sans-serif`;
    brush.lineWidth = 3 * ratio;
    brush.strokeStyle = "#000c";
    brush.strokeText(words, ...at);
    brush.fillStyle = COLOURS[kind(one)];
    brush.fillText(words, ...at);
    brush.lineWidth = 1.4 * ratio;
  }

  // ---- one source ------------------------------------------------------------------------------

  // Right ascension and declination of a pixel, degrees: tangential, with SIP distortion.
  function skyOf(x, y) {
    const { crval, crpix, cd, a, b } = projection;
    const rad = Math.PI / 180;
    const [u, v] = [x - crpix[0], y - crpix[1]];
    const bent = (terms) => terms.length < 2 ? 0 : terms.reduce((sum, row, p) =>
      sum + row.reduce((inner, value, q) => inner + value * u ** p * v ** q, 0), 0);
    const [fu, fv] = [u + bent(a), v + bent(b)];
    const [xi, eta] = cd.map(([first, second]) => (first * fu + second * fv) * rad);
    const [sin, cos] = [Math.sin(crval[1] * rad), Math.cos(crval[1] * rad)];
    const down = cos - eta * sin;
    const ra = crval[0] + Math.atan2(xi, down) / rad;
    return [(ra + 360) % 360, Math.atan2(sin + eta * cos, Math.hypot(xi, down)) / rad];
  }

  const position = (ra, dec) =>
    `${sexagesimal(ra / 15, 3)} ${dec >= 0 ? "+" : ""}${sexagesimal(dec, 2)} (${fixed(ra, 6)}° ${fixed(dec, 6)}°)`;
  const fixed = (value, digits) => value.toFixed(digits).replace("-", "−");
  function sexagesimal(value, digits) {
    const unit = 10 ** digits;
    const whole = Math.round(Math.abs(value) * 3600 * unit);
    const seconds = (whole / unit) % 60;
    const minutes = Math.floor(whole / unit / 60) % 60;
    const pad = (n, wide) => n.toString().padStart(wide, "0");
    return `${value < 0 ? "−" : ""}${pad(Math.floor(whole / unit / 3600), 2)}:${pad(minutes, 2)}:${seconds.toFixed(digits).padStart(3 + digits, "0")}`;
  }

  function facts(one, answer) {
    const said = [["Source", `${one.number + 1} in brightness, x ${fixed(one.x, 2)}, y ${fixed(one.y, 2)}`]];
    if (one.ra !== null) said.push(["Position", position(one.ra, one.dec)]);
    if (one.mag !== null) said.push(["Magnitude", `${fixed(one.mag, 3)} ± ${fixed(one.mag_error, 3)}`]);
    else said.push(["Flux", `${Number(one.flux.toPrecision(6))}`]);
    if (one.mag_psf !== null) {
      const crowd = one.share_psf < 0.9 ? `; ${Math.round(100 * (1 - one.share_psf))} % of the light there is its neighbours'` : "";
      said.push(["By the profile of stars", `${fixed(one.mag_psf, 3)} ± ${fixed(one.mag_psf_error, 3)}${crowd}`]);
    }
    if (one.kind !== null) said.push(["Looks like", KINDS[one.kind]]);
    said.push(["Signal to noise", fixed(one.snr, 1)], ["FWHM, ellipticity", `${fixed(one.fwhm, 2)} pixels, ${fixed(one.ellipticity, 2)}`]);
    if (one.cat_x !== null) said.push([`In ${answer.catalogue}`, `${fixed(Math.hypot(one.x - one.cat_x, one.y - one.cat_y), 2)} pixels away`]);
    if (one.cat_mag !== null) said.push([`${answer.light[1]} of ${answer.light[0]}`, `${fixed(one.cat_mag, 3)}${one.zp_residual === null ? "" : `; ${fixed(one.zp_residual, 3)} from the zero point's fit${one.is_zp_star ? "" : ", left out of it"}`}`]);
    const doubts = Object.entries(answer.flags).filter(([bit]) => one.flags & bit).map(([, name]) => name);
    if (one.is_blended) doubts.push("blended with a neighbour");
    if (one.is_truncated) doubts.push("cut by the edge");
    said.push(["Doubts", doubts.join(", ") || "none"]);
    return said;
  }

  function choose(one, answer) {
    chosen = one;
    const list = viewer.querySelector("[data-star]");
    list.hidden = !one;
    if (one) {
      list.replaceChildren(...facts(one, answer).map(([name, text]) => {
        const pair = document.createElement("div");
        for (const [tag, words] of [["dt", name], ["dd", text]]) pair.appendChild(document.createElement(tag)).textContent = words;
        return pair;
      }));
    }
    for (const plot of document.querySelectorAll("svg.drawing")) mark(plot, one?.number, "chosen");
    redraw();
  }

  async function chooseByNumber(number) {
    try {
      const answer = await ask({ number });
      const [one] = rows(answer);
      if (!one) return;
      choose(one, answer);
      if (!seen) return;
      viewer.dispatchEvent(new CustomEvent("look", { detail: { x: one.x, y: one.y, across: CLOSE * Math.max(one.fwhm || 3, 3) } }));
      viewer.scrollIntoView({ block: "start", behavior: "smooth" });
    } catch (error) {
      say(error.message);
    }
  }

  function sourceAt(sx, sy) {
    const ratio = devicePixelRatio || 1;
    let [best, least] = [null, Infinity];
    for (const one of loaded.rows) {
      const [x, y] = toScreen(one.x, one.y);
      const away = Math.hypot(x - sx, y - sy);
      if (away < least && away < Math.max(NEAR * ratio, radius(one, ratio))) [best, least] = [one, away];
    }
    return best;
  }

  // ---- stars of the plots ----------------------------------------------------------------------

  const points = new WeakMap();
  function pointsOf(plot) {
    if (!points.has(plot)) {
      points.set(plot, [...plot.querySelectorAll("path[data-stars]")].flatMap((path) => {
        const numbers = path.dataset.stars.split(" ");
        return [...path.getAttribute("d").matchAll(/M([\d.-]+) ([\d.-]+)/g)].map((m, i) => ({ x: +m[1], y: +m[2], number: +numbers[i] }));
      }));
    }
    return points.get(plot);
  }

  function starUnder(plot, event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    let [best, least] = [null, NEAR];
    for (const one of pointsOf(plot)) {
      const away = Math.hypot(one.x - at.x, one.y - at.y);
      if (away < least) [best, least] = [one, away];
    }
    return best;
  }

  function mark(plot, number, css) {
    plot.querySelector(`circle.${css}`)?.remove();
    const one = number === undefined ? null : pointsOf(plot).find((point) => point.number === number);
    if (!one) return;
    const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, value] of Object.entries({ class: css, cx: one.x, cy: one.y, r: 7 })) ring.setAttribute(name, value);
    plot.append(ring);
  }

  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest?.("svg.drawing");
    for (const other of document.querySelectorAll("svg.drawing:has(circle.hovered)")) if (other !== plot) mark(other, undefined, "hovered");
    if (!plot) return;
    const star = starUnder(plot, event);
    plot.toggleAttribute("data-linked", Boolean(star));
    mark(plot, star?.number, "hovered");
  });
  document.addEventListener("click", (event) => {
    const plot = event.target.closest?.("svg.drawing");
    const star = plot && starUnder(plot, event);
    if (!star) return;
    if (viewer) chooseByNumber(star.number);
    else location.href = `${plot.closest("[data-frame]").dataset.frame}#star-${star.number}`;
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (chosen) for (const plot of document.querySelectorAll("svg.drawing")) mark(plot, chosen.number, "chosen");
  });

  if (!bar || !canvas) return;

  const projection = bar.dataset.projection ? JSON.parse(bar.dataset.projection) : null;
  canvas.addEventListener("pointermove", (event) => {
    if (!projection || !seen) return;
    const ratio = canvas.width / canvas.clientWidth;
    const x = seen.x0 + event.offsetX * ratio / seen.scale - 0.5;
    const y = seen.y0 + (seen.height - event.offsetY * ratio) / seen.scale - 0.5;
    const isOnIt = x > -0.5 && y > -0.5 && x < seen.nx - 0.5 && y < seen.ny - 0.5;
    viewer.querySelector("[data-sky]").textContent = isOnIt ? position(...skyOf(x, y)) : "\u00a0";
  });

  viewer.addEventListener("drawn", (event) => {
    const isFirst = !seen;
    const { info } = event.detail;
    seen = { ...event.detail, width: canvas.width, height: canvas.height, nx: info.nx, ny: info.ny };
    draw();
    load();
    loadMissed();
    const asked = isFirst && /^#star-(\d+)$/.exec(location.hash);
    if (asked) chooseByNumber(Number(asked[1]));
  });

  let pressed = null;
  canvas.addEventListener("pointerdown", (event) => { pressed = [event.offsetX, event.offsetY]; });
  canvas.addEventListener("pointerup", (event) => {
    const isClick = pressed && Math.hypot(event.offsetX - pressed[0], event.offsetY - pressed[1]) < 4;
    if (!isClick || !isOn("sources") || !loaded) return;
    const ratio = canvas.width / canvas.clientWidth;
    choose(sourceAt(event.offsetX * ratio, event.offsetY * ratio), loaded.answer);
  });

  const kept = (localStorage.getItem(KEPT) ?? "catalogue").split(" ");
  for (const box of bar.querySelectorAll("[data-show]")) box.checked = kept.includes(box.dataset.show);
  bar.addEventListener("change", (event) => {
    event.stopPropagation();  // the picture itself stays as it is
    const on = [...bar.querySelectorAll("[data-show]:checked")].map((box) => box.dataset.show);
    localStorage.setItem(KEPT, on.join(" "));
    fitBar();
    if (!isOn("sources")) choose(null);
    redraw();  // which asks for what is not there yet
  });
  fitBar();
})();
