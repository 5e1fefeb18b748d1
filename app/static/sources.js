"use strict";
// The sources of all frames at a place: magnitudes against time, and where in the circle they lie.
// Everything the plots show of the star that is meant stands in the table of the page too.
(() => {
  const place = document.querySelector("[data-sources]");
  if (!place || !window.uPlot) return;
  const { COLOURS, OTHERS, css } = window.coelostatBands;
  const told = document.querySelector("[data-told]");
  const middle = { ra: Number(place.dataset.ra), dec: Number(place.dataset.dec), radius: Number(place.dataset.radius) };
  const hidden = new Set();
  const plots = [];
  let points = []; // of all sources, those of the one star marked
  let bands = [];

  const colourOf = (band) => COLOURS[band] || OTHERS[bands.indexOf(band) % OTHERS.length];
  const UNIX_OF_MJD = 40587;

  function read(answer) {
    const frames = new Map(answer.frames.map((frame) => [frame.id, frame]));
    const meant = JSON.parse(place.dataset.meant); // of each frame, the number of the star the page is about
    points = answer.results.map((row) => {
      const frame = frames.get(row.frame);
      const isMeant = meant[row.frame] === row.number;
      let east = row.ra_deg - middle.ra;
      east = (((east + 180) % 360) + 360) % 360 - 180;
      return {
        ...row, frame, isMeant, band: frame.band || "no band",
        time: row.mjd === null ? null : (row.mjd - UNIX_OF_MJD) * 86400,
        east: east * Math.cos((middle.dec * Math.PI) / 180) * 3600, north: (row.dec_deg - middle.dec) * 3600,
      };
    });
    bands = [...new Set(points.map((point) => point.band))].sort();
  }

  // uPlot wants ascending x and a column for each series: a point is in the column of its band.
  function columnsOf(shown, x, y) {
    const rows = shown.filter((point) => point[x] !== null && point[y] !== null && !hidden.has(point.band));
    rows.sort((a, b) => a[x] - b[x]);
    const of = (keep) => rows.map((point) => (keep(point) ? point[y] : null));
    const faint = of((point) => !point.isMeant);
    const columns = [rows.map((point) => point[x]), faint, ...bands.map((band) => of((p) => p.isMeant && p.band === band))];
    return { rows, columns };
  }

  const dot = (colour, size) => ({ stroke: colour, paths: () => null, points: { show: true, size, fill: colour, stroke: colour, width: 0 } });

  function wide(low, high, least) {
    if (low === null || high === null) return [0, 1];
    const room = Math.max((high - low) * 0.06, least);
    return [low - room, high + room];
  }

  function base(figure, rows) {
    const colour = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 } };
    return {
      width: figure.clientWidth, height: figure.clientHeight, legend: { show: false }, colour,
      cursor: { drag: { x: true, y: true, uni: 20 }, points: { show: false }, dataIdx: (plot, series, at) => nearest(plot, rows, at) },
      tzDate: (second) => uPlot.tzDate(new Date(second * 1000), "Etc/UTC"),
      series: [{}, dot(css("--soft") + "80", 4), ...bands.map((band) => dot(colourOf(band), 7))],
    };
  }

  // The point under the hand, not the one of the next moment.
  function nearest(plot, rows, fallback) {
    const { left, top } = plot.cursor;
    if (left === undefined || left < 0 || !rows.length) return fallback;
    let best = null;
    let away = 30;
    rows.forEach((point, k) => {
      const distance = Math.hypot(plot.valToPos(point[plot.xName], "x") - left, plot.valToPos(point[plot.yName], "y") - top);
      if (distance < away) { away = distance; best = k; }
    });
    plot.chosen = best === null ? null : rows[best];
    return best === null ? fallback : best;
  }

  function errorBars(plot, rows) {
    const { ctx } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
    ctx.clip();
    ctx.lineWidth = devicePixelRatio;
    for (const point of rows) {
      if (!point.isMeant || !point.mag_error) continue;
      const x = plot.valToPos(point.time, "x", true);
      ctx.strokeStyle = colourOf(point.band);
      ctx.beginPath();
      ctx.moveTo(x, plot.valToPos(point.mag - point.mag_error, "y", true));
      ctx.lineTo(x, plot.valToPos(point.mag + point.mag_error, "y", true));
      ctx.stroke();
    }
    ctx.restore();
  }

  function ring(plot) {
    const { ctx } = plot;
    const at = (east, north) => [plot.valToPos(east, "x", true), plot.valToPos(north, "y", true)];
    const [x, y] = at(0, 0);
    const [edge] = at(middle.radius, 0);
    ctx.save();
    ctx.strokeStyle = css("--soft");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
    ctx.beginPath();
    ctx.arc(x, y, Math.abs(edge - x), 0, 2 * Math.PI);
    ctx.stroke();
    ctx.restore();
  }

  function follow(plot) {
    let at = null;
    plot.over.addEventListener("mousedown", (event) => { at = [event.clientX, event.clientY]; });
    plot.over.addEventListener("click", (event) => {
      const isStill = at && Math.hypot(event.clientX - at[0], event.clientY - at[1]) < 4; // no zooming
      if (plot.chosen && isStill) location.assign(`/frames/${plot.chosen.frame.id}/#source-${plot.chosen.number}`);
    });
  }

  function tell(plot) {
    const point = plot.chosen;
    if (!told || !point || plot.cursor.left < 0) return;
    const when = point.time === null ? "" : `${new Date(Math.round(point.time * 1000)).toISOString().slice(0, 19).replace("T", " ")} UTC, `;
    const mag = point.mag === null ? "no magnitude" : `${point.mag.toFixed(3)} ± ${(point.mag_error || 0).toFixed(3)} mag`;
    const kind = point.kind && point.kind !== "star" ? `, looks like a ${point.kind}` : "";
    told.textContent = `${point.frame.file_name}, ${when}${point.band}: ${mag}${kind}, ${point.sep_arcsec.toFixed(2)}″ from the middle`;
  }

  function drawMagnitudes(figure) {
    const { rows, columns } = columnsOf(points, "time", "mag");
    const { colour, ...options } = base(figure, rows);
    plots.push(new uPlot({
      ...options,
      scales: { x: { range: (_, low, high) => wide(low, high, 60) }, y: { dir: -1, range: (_, low, high) => wide(low, high, 0.05) } },
      axes: [{ ...colour, values: [[86400, "{YYYY}-{MM}-{DD}"], [60, "{HH}:{mm}"]].map((v) => [v[0], v[1], null, null, null, null, null, null, 1]), size: 34 }, { ...colour, size: 52 }],
      hooks: { draw: [(plot) => errorBars(plot, rows)], setCursor: [tell], init: [(plot) => { plot.xName = "time"; plot.yName = "mag"; }], ready: [follow] },
    }, columns, figure));
    return columns[0].length > 0;
  }

  function drawPlaces(figure) {
    const { rows, columns } = columnsOf(points, "east", "north");
    const { colour, ...options } = base(figure, rows);
    const reach = (middle.radius || 0.5) * 1.08;
    const width = figure.clientWidth - 50;
    const tall = figure.clientHeight - 40;
    const [x, y] = width < tall ? [reach, (reach * tall) / width] : [(reach * width) / tall, reach];
    plots.push(new uPlot({
      ...options,
      scales: { x: { time: false, dir: -1, range: [-x, x] }, y: { range: [-y, y] } },
      axes: [{ ...colour, size: 40 }, { ...colour, size: 50 }],
      hooks: { draw: [ring], setCursor: [tell], init: [(plot) => { plot.xName = "east"; plot.yName = "north"; }], ready: [follow] },
    }, columns, figure));
  }

  function draw() {
    for (const plot of plots.splice(0)) plot.destroy();
    const magnitudes = place.querySelector('[data-plot="mag"]');
    magnitudes.replaceChildren();
    if (!drawMagnitudes(magnitudes) && !hidden.size) {
      plots.pop().destroy();
      magnitudes.textContent = "None of these frames has a zero point, or tells when it was taken.";
    }
    drawPlaces(place.querySelector('[data-plot="place"]'));
  }

  function choose() {
    const box = document.querySelector("[data-bands]");
    for (const band of bands) {
      const label = document.createElement("label");
      label.className = "check";
      label.innerHTML = '<input type="checkbox" checked> <svg viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="4"></circle></svg> ';
      label.querySelector("circle").setAttribute("fill", colourOf(band));
      label.append(band);
      label.firstChild.addEventListener("change", (event) => {
        if (event.target.checked) hidden.delete(band); else hidden.add(band);
        draw();
      });
      box.append(label);
    }
  }

  async function start() {
    const answer = await fetch(place.dataset.sources, { headers: { Accept: "application/json" } }).catch(() => null);
    if (!answer || !answer.ok) {
      told.textContent = "The numbers of the plots cannot be fetched; the table below has them.";
      return;
    }
    read(await answer.json());
    choose();
    draw();
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    let width = place.clientWidth;
    new ResizeObserver(() => {
      if (place.clientWidth === width) return;
      width = place.clientWidth;
      draw();
    }).observe(place);
  }
  start();
})();
