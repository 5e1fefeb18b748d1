"use strict";
// Colours of bands in plots against time, from blue to red, and those of bands nobody named.
window.coelostatBands = {
  COLOURS: {
    U: "#9a7fd1", u: "#9a7fd1", B: "#5b8def", g: "#35a2a0", V: "#58a84d", r: "#dd8a3c", R: "#d9703a",
    Ha: "#cc4455", i: "#c9584c", I: "#b5486b", z: "#a8709f",
  },
  OTHERS: ["#8a8f98", "#b08d57", "#6d94a8", "#99a557", "#a77b8f", "#7c86c4"],
  css: (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim(),
};
