"use strict";
// Plots of numbers against time, a point a frame or a night, in a colour for each band; and of zero
// points against airmass. Everything the plots show stands in the tables of the page too.
(() => {
  const place = document.querySelector("[data-trends]");
  if (!place || !window.uPlot) return;
  const { COLOURS, OTHERS, css } = window.coelostatBands;
  const NIGHT_S = 86400;
  const STEPS_S = [60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, NIGHT_S, 2 * NIGHT_S, 5 * NIGHT_S, 10 * NIGHT_S, 30 * NIGHT_S, 90 * NIGHT_S];
  const shown = new Set();
  const plots = [];
  const told = document.querySelector("[data-told]");
  let data = null;

  const ORDER = Object.keys(COLOURS); // from blue to red

  // A band, and its camera where there are several.
  function nameOf(k) {
    const camera = data.hasCameras ? data.columns.camera[k] : "";
    return [camera, data.columns.band[k]].filter(Boolean).join(" ") || "no band";
  }

  function groupsOf() {
    const found = [...new Set(data.columns.band.map((_, k) => nameOf(k)))];
    const rank = (group) => (ORDER.indexOf(group.split(" ").pop()) + 100) % 100;
    const camera = (group) => group.split(" ").slice(0, -1).join(" ");
    return found.sort((a, b) => camera(a).localeCompare(camera(b)) || rank(a) - rank(b) || a.localeCompare(b));
  }

  function times(columns) {
    if (columns.night) return columns.night.map((night) => Date.parse(`${night}T12:00:00Z`) / 1000);
    return columns.time.map((time) => (time ? Date.parse(time) / 1000 : null));
  }

  function colourOf(group, number) {
    return COLOURS[group.split(" ").pop()] || OTHERS[number % OTHERS.length];
  }

  // One series a group; the frames that carry a mark have a ring as well.
  function tables(xs, value, groups) {
    const rows = xs.map((x, k) => k).filter((k) => xs[k] !== null && xs[k] !== undefined);
    rows.sort((a, b) => xs[a] - xs[b]);
    const at = (k, group) => (nameOf(k) === group && shown.has(group) ? value[k] : null);
    const marks = data.columns.marks;
    const ring = rows.map((k) => (marks && marks[k].length && shown.has(nameOf(k)) ? value[k] : null));
    return { rows, columns: [rows.map((k) => xs[k]), ...groups.map((group) => rows.map((k) => at(k, group))), ring] };
  }

  function lines(rows, group) {
    const clear = data.columns.clear_zero_point_mag;
    return rows.map((k) => (nameOf(k) === group && shown.has(group) ? clear[k] : null));
  }

  function options(figure, groups, spec, rows) {
    const colour = { stroke: css("--soft"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 } };
    const digits = data.values[spec.value].digits;
    return {
      width: figure.clientWidth,
      height: figure.clientHeight,
      legend: { show: false },
      cursor: { sync: spec.isTime ? { key: "trends" } : undefined, drag: { x: true, y: false }, points: { show: false } },
      tzDate: (second) => uPlot.tzDate(new Date(second * 1000), "Etc/UTC"),
      scales: { x: { time: spec.isTime, range: spec.isTime ? hours : wide }, y: { range: wide } },
      axes: [
        { ...colour, size: 32, space: data.columns.night ? 90 : 50, incrs: spec.isTime ? STEPS_S : undefined, values: spec.isTime ? moments : undefined },
        { ...colour, size: 62, values: (_, ticks) => ticks.map((v) => v.toFixed(Math.max(0, Math.min(digits, 3)))) },
      ],
      series: [{}, ...groups.map((group, n) => point(colourOf(group, n))), ring(), ...(spec.isZero ? groups.map((group, n) => line(colourOf(group, n))) : [])],
      hooks: { setCursor: [(plot) => tell(plot, rows, spec)], ready: [(plot) => follow(plot, rows)] },
    };
  }

  function moments(_, ticks) {
    const [from, to] = data.columns.night ? [0, 10] : [11, 16];
    return ticks.map((second) => new Date(second * 1000).toISOString().slice(from, to));
  }

  function hours(_, low, high) {
    if (low === null || high === null) return [0, 1];
    const room = Math.max((high - low) * 0.05, data.columns.night ? NIGHT_S : 300);
    return [low - room, high + room];
  }

  // A little room on both sides, so that no point sits on the edge, and one point has a scale.
  function wide(_, low, high) {
    if (low === null || high === null) return [0, 1];
    const room = (high - low) * 0.06 || Math.abs(high) * 0.001 || 0.5;
    return [low - room, high + room];
  }

  const point = (colour) => ({ stroke: colour, paths: () => null, points: { show: true, size: 6, fill: colour, stroke: colour, width: 0 } });
  const ring = () => ({ stroke: css("--bad"), paths: () => null, points: { show: true, size: 11, fill: "transparent", stroke: css("--bad"), width: 1.5 } });
  const line = (colour) => ({ stroke: colour, width: 1, dash: [4, 3], spanGaps: true, points: { show: false } });

  function row(plot, rows) {
    return plot.cursor.idx === null || plot.cursor.idx === undefined ? null : rows[plot.cursor.idx];
  }

  function tell(plot, rows, spec) {
    const k = row(plot, rows);
    if (!told || k === null || plot.cursor.left < 0) return;
    const value = data.columns[spec.value][k];
    if (value === null) return;
    const when = data.columns.night ? data.columns.night[k] : `${data.columns.file_name[k]}, ${(data.columns.time[k] || "").slice(11, 19)} UTC`;
    const marks = data.columns.marks && data.columns.marks[k].length ? `; ${data.columns.marks[k].join(", ").replaceAll("_", " ")}` : "";
    const of = data.values[spec.value];
    told.textContent = `${when}, ${nameOf(k)}: ${of.label} ${value.toFixed(of.digits)} ${of.unit}${marks}`;
  }

  function follow(plot, rows) {
    let at = null;
    plot.over.addEventListener("mousedown", (event) => { at = [event.clientX, event.clientY]; });
    plot.over.addEventListener("click", (event) => {
      const k = row(plot, rows);
      const isStill = at && Math.hypot(event.clientX - at[0], event.clientY - at[1]) < 4; // no zooming
      if (k === null || !isStill) return;
      location.assign(data.columns.id ? `/frames/${data.columns.id[k]}/` : `/night/${data.columns.night[k]}/trends/`);
    });
  }

  function draw() {
    for (const plot of plots.splice(0)) plot.destroy();
    const groups = groupsOf();
    for (const figure of place.querySelectorAll("[data-value]")) {
      const spec = { value: figure.dataset.value, isTime: figure.dataset.against !== "airmass", isZero: false };
      spec.isZero = spec.value === "zero_point_mag" && Boolean(data.columns.clear_zero_point_mag);
      const xs = spec.isTime ? times(data.columns) : data.columns.airmass;
      const { rows, columns } = tables(xs, data.columns[spec.value], groups);
      if (spec.isZero) columns.push(...groups.map((group) => lines(rows, group)));
      const has = columns.slice(1).some((column) => column.some((value) => value !== null));
      figure.closest("figure").hidden = !has && !spec.isTime;
      plots.push(new uPlot(options(figure, groups, spec, rows), columns, figure));
    }
  }

  function choose() {
    const box = document.querySelector("[data-bands]");
    const groups = groupsOf();
    groups.forEach((group, n) => {
      shown.add(group);
      const label = document.createElement("label");
      label.className = "check";
      label.innerHTML = '<input type="checkbox" checked> <svg viewBox="0 0 10 10" aria-hidden="true"><circle cx="5" cy="5" r="4"></circle></svg> ';
      label.querySelector("circle").setAttribute("fill", colourOf(group, n));
      label.append(group);
      label.firstChild.addEventListener("change", (event) => {
        if (event.target.checked) shown.add(group); else shown.delete(group);
        draw();
      });
      box.append(label);
    });
  }

  async function start() {
    const answer = await fetch(place.dataset.trends, { headers: { Accept: "application/json" } });
    if (!answer.ok) return say("The numbers of the plots cannot be fetched; the tables below have them.", true);
    data = await answer.json();
    data.hasCameras = new Set(data.columns.camera).size > 1;
    choose();
    draw();
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    let width = place.clientWidth;
    new ResizeObserver(() => {
      if (place.clientWidth === width) return;
      width = place.clientWidth;
      for (const plot of plots) plot.setSize({ width: plot.root.parentElement.clientWidth, height: plot.root.parentElement.clientHeight });
    }).observe(place);
  }
  start();
})();
