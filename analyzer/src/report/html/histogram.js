// Calls by their time: a silhouette in a table's row, a drawing with axes and a table in its details.
// Heights are logarithmic, so that one call in a million can be seen beside the others.

const BARS_A_DECADE = 10;
const LAST_BAR = 130;
const CHART = { width: 640, height: 190, left: 52, right: 16, top: 22, bottom: 24 };

// Bars with calls, shortest first: both ends (ns) and the number.
function bars(row) {
  if (!row.bars) return [];
  const [first, calls] = row.bars;
  const bound = (place) => 10 ** (place / BARS_A_DECADE);
  const bar = (calls, at) => ({ place: first + at, low: bound(first + at), high: bound(first + at + 1), calls });
  return calls.map(bar).filter((bar) => bar.calls > 0);
}

// From when to when a bar's calls took; the first and the last of the axis hold all beyond them.
function barRange(bar) {
  if (bar.place === 0) return "under " + shortTime(bar.high);
  if (bar.place === LAST_BAR) return shortTime(bar.low) + " and more";
  return shortTime(bar.low) + " to " + shortTime(bar.high);
}

// Height of a number of calls, 0 to 1; a single call is half a decade high.
function barHeight(calls, most) {
  return Math.log10(2 * calls) / Math.log10(2 * most);
}

function barsPath(list, most, x, base, height) {
  return list.map((bar) => {
    const left = x(bar.low), top = Math.max(1.5, height * barHeight(bar.calls, most));
    return "M" + left.toFixed(1) + " " + base + "v" + (-top).toFixed(1) + "H" + Math.max(left + 1, x(bar.high)).toFixed(1) + "V" + base + "z";
  }).join("");
}

const barClass = (row) => "bars" + (row.wait > row.self / 2 ? " waits" : "") + (row.estimated ? " estimated" : "");
const about = (row) => (row.estimated ? "about " : "");

function barsSummary(row, list) {
  const all = list.reduce((sum, bar) => sum + bar.calls, 0);
  const most = list.reduce((a, b) => (b.calls > a.calls ? b : a));
  return about(row) + plural(all, "call") + " between " + shortTime(list[0].low) + " and " + shortTime(list[list.length - 1].high) +
    ", the most, " + share(most.calls / all) + ", at " + barRange(most);
}

function histogram(row) {
  const list = bars(row);
  if (!list.length) return null;
  const all = list.reduce((sum, bar) => sum + bar.calls, 0);
  const lines = (bar) => [barRange(bar), about(row) + plural(bar.calls, "call") + ", " + share(bar.calls / all)];
  const note = row.estimated
    ? "Estimated: the numbers are scaled up from " + plural(row.timed, "timed call") + " of " + count(row.count) + "."
    : "Every call was timed.";
  return element("div", { class: "histogram" },
    element("p", {}, "How many calls took how long, both axes logarithmic. " + note),
    histogramDrawing(row, list, lines),
    element("details", {}, element("summary", {}, "The same as a table"), element("table", {},
      element("thead", {}, element("tr", {}, ["one call takes", row.estimated ? "calls (estimated)" : "calls", "share"].map((head, at) =>
        element("th", { scope: "col", class: at ? "number" : "" }, head)))),
      element("tbody", {}, list.map((bar) => element("tr", {},
        element("td", {}, barRange(bar)),
        element("td", { class: "number" }, (row.estimated ? "≈ " : "") + count(bar.calls)),
        element("td", { class: "number" }, share(bar.calls / all))))))));
}

function histogramDrawing(row, list, lines) {
  const { width, height, left, right, top, bottom } = CHART;
  const base = height - bottom, most = Math.max(...list.map((bar) => bar.calls));
  const from = Math.floor(Math.log10(list[0].low) + 1e-6), to = Math.max(from + 1, Math.ceil(Math.log10(list[list.length - 1].high) - 1e-6));
  const x = (ns) => left + (width - left - right) * (Math.log10(ns) - from) / (to - from);
  const y = (calls) => base - (base - top) * barHeight(calls, most);
  const drawing = element("svg:svg", { viewBox: "0 0 " + width + " " + height, width, height, role: "img", "aria-label": "Histogram: " + barsSummary(row, list) });
  for (let power = from; power <= to; power++) {
    drawing.append(element("svg:line", { class: "axis", x1: x(10 ** power), x2: x(10 ** power), y1: top, y2: base }),
      element("svg:text", { x: x(10 ** power), y: height - 8, "text-anchor": power === from ? "start" : power === to ? "end" : "middle" }, shortTime(10 ** power)));
  }
  const step = Math.max(1, Math.ceil(Math.log10(most) / 4));
  for (let power = 0; 10 ** power <= most; power += step) {
    drawing.append(element("svg:line", { class: "axis", x1: left, x2: width - right, y1: y(10 ** power), y2: y(10 ** power) }),
      element("svg:text", { x: left - 6, y: y(10 ** power) + 4, "text-anchor": "end" }, shortCount(10 ** power)));
  }
  drawing.append(element("svg:path", { class: barClass(row), d: barsPath(list, most, x, base, base - top) }));
  let free = left;
  for (const [name, at] of [["p50", 1], ["p99", 3], ["p99.9", 4], ["max", 5]]) {
    const place = x(Math.min(10 ** to, Math.max(10 ** from, row.spread[at])));
    drawing.append(element("svg:line", { class: "mark", x1: place, x2: place, y1: top - 4, y2: base }));
    if (place < free) continue;
    drawing.append(element("svg:text", { x: place, y: top - 8, "text-anchor": "middle" }, name));
    free = place + 36;
  }
  // Full height, so that the lowest bar can be pointed at too.
  drawing.append(...list.map((bar) => element("svg:rect", { class: "hit-box", x: x(bar.low), width: Math.max(1, x(bar.high) - x(bar.low)), y: top, height: base - top, ...tipped(() => lines(bar)) })));
  return drawing;
}

// A power of ten for an axis: 1, 10, 100, 1k, 10k, …
function shortCount(value) {
  const power = Math.round(Math.log10(value)), unit = Math.min(4, Math.floor(power / 3));
  return 10 ** (power - 3 * unit) + ["", "k", "M", "G", "T"][unit];
}
