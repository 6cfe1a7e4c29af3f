// The table of library calls: sorted, filtered, each row opening to all that is known.

const ROWS_SHOWN = 30;
const CALL_COLUMNS = [
  { key: "name", head: "function", text: true },
  { key: "group_name", head: "thread group", text: true },
  { key: "count", head: "calls" },
  { key: "self", head: "self", hint: "Time in the function without timed calls it makes; the bar is its share of the group's thread time" },
  { key: "wait", head: "wait", hint: "Time blocked in it or below" },
  { key: "total", head: "total", hint: "Time with all it calls" },
  { key: "range", head: "±", plain: true, hint: "95% interval of the total" },
  { key: "mean", head: "mean" },
  { key: "p50", head: "p50" },
  { key: "p99", head: "p99" },
  { key: "max", head: "max" },
  { key: "spread", head: "one call takes", plain: true },
  { key: "timed_share", head: "timed", hint: "Share of calls measured; the others are counted, their time is estimated" },
];
const STRIP = { width: 160, height: 26 };

parts.push(function calls() {
  if (!data.calls.length) return;
  const box = section("calls", "Library calls",
    "What each thread group called in other components. Choose a heading to sort, a function for its details. " +
    "The bars show how many calls took how long, on one common logarithmic axis and with logarithmic heights; the line below them reaches " +
    "from the shortest to the longest, the tick is the median. Red: most of the time is a wait. Paler: estimated from the calls that were timed.");
  for (const row of data.calls) {
    const spread = row.spread || [0, 0, 0, 0, 0, 0];
    [row.p50, row.p99, row.max] = [spread[1], spread[3], spread[5]];
    row.group_name = data.groups[row.group] ? data.groups[row.group].name : "";
    row.lifetime = data.groups[row.group] ? data.groups[row.group].lifetime : 1;
  }
  const state = { key: "self", down: true, text: "", group: "", component: "", all: false };
  const body = element("tbody", {});
  const info = element("span", { class: "faint", "aria-live": "polite" });
  const more = element("button", { type: "button", onclick: () => { state.all = true; draw(); } }, "Show all");
  const axis = stripAxis();
  const heads = new Map();
  const draw = () => drawCalls(state, body, info, more, heads, axis);
  box.append(callControls(state, draw, info), element("div", { class: "scroll" },
    element("table", {}, element("thead", {}, callHeads(state, draw, heads, axis)), body)), more);
  draw();
});

function callControls(state, draw, info) {
  const set = (key) => (event) => { state[key] = event.target.value; state.all = false; draw(); };
  const components = [...new Set(data.calls.map((row) => row.component))].sort();
  return element("div", { class: "bar-row" },
    element("input", { type: "search", id: "filter", placeholder: "filter functions (press /)", "aria-label": "Filter functions", oninput: set("text") }),
    groupSelect(set("group")),
    element("select", { "aria-label": "Component", onchange: set("component") },
      element("option", { value: "" }, "all components"), components.map((name) => element("option", { value: name }, name))),
    info);
}

function callHeads(state, draw, heads, axis) {
  return element("tr", {}, CALL_COLUMNS.map((column) => {
    const content = column.key === "spread" ? [column.head, axis.drawing] : column.plain ? column.head : element("button", { type: "button", title: column.hint || "", onclick: () => {
      state.down = state.key === column.key ? !state.down : !column.text;
      state.key = column.key;
      draw();
    } }, column.head);
    const head = element("th", { class: column.text || column.plain ? "" : "number", scope: "col" }, content);
    heads.set(column.key, head);
    return head;
  }));
}

function drawCalls(state, body, info, more, heads, axis) {
  const wanted = state.text.toLowerCase();
  const rows = data.calls.filter((row) =>
    (state.group === "" || row.group === Number(state.group)) &&
    (state.component === "" || row.component === state.component) &&
    (!wanted || row.name.toLowerCase().includes(wanted) || row.signature.toLowerCase().includes(wanted)));
  const direction = state.down ? -1 : 1;
  rows.sort((a, b) => {
    const [left, right] = [a[state.key], b[state.key]];
    const order = typeof left === "string" ? left.localeCompare(right) : left - right;
    return order * direction || b.count - a.count;
  });
  for (const [key, head] of heads) {
    if (key === state.key) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  const shown = state.all ? rows : rows.slice(0, ROWS_SHOWN);
  body.replaceChildren(...shown.map((row) => callRow(row, axis)));
  info.textContent = rows.length === data.calls.length ? plural(rows.length, "row") : count(rows.length) + " of " + plural(data.calls.length, "row");
  more.hidden = shown.length === rows.length;
  more.textContent = "Show all " + count(rows.length);
}

function callRow(row, axis) {
  const untimed = row.timed === 0;
  const number = (value) => element("td", { class: "number" }, untimed || !value ? "" : time(value));
  const part = row.self / row.lifetime;
  const open = element("button", { type: "button", class: "mono", "aria-expanded": "false" }, row.name);
  const made = element("tr", {},
    element("td", { class: "name" }, open, element("div", { class: "hold-text" }, row.component)),
    element("td", {}, row.group_name),
    element("td", { class: "number" }, count(row.count)),
    element("td", { class: "number" }, untimed ? "" : element("span", { class: "share", title: share(part) + " of the group's thread time" },
      time(row.self), element("i", {}, element("b", { style: { width: Math.min(100, 100 * part) + "%" } })))),
    number(row.wait),
    element("td", { class: "number" }, untimed ? "" : time(row.total)),
    element("td", { class: "faint" }, untimed ? "" : range(row)),
    number(row.mean), number(row.p50), number(row.p99), number(row.max),
    element("td", {}, row.spread && !untimed ? strip(row, axis) : element("span", { class: "faint" }, "counted only")),
    element("td", { class: "number" }, untimed ? "none" : share(row.timed_share)));
  open.addEventListener("click", () => {
    const opened = open.getAttribute("aria-expanded") === "true";
    open.setAttribute("aria-expanded", String(!opened));
    made.classList.toggle("open", !opened);
    if (opened) made.nextSibling.remove();
    else made.after(callDetail(row));
  });
  return made;
}

// The 95% interval as a share of the total: both ends where they differ much.
function range(row) {
  const down = Math.max(0, row.total - row.low), up = Math.max(0, row.high - row.total);
  const half = Math.max(down, up) / row.total;
  if (!(half > 0) || (row.exact && half < 0.005)) return "";
  const percent = (part) => part < 0.005 ? "<1%" : part > 9.995 ? ">999%" : Math.round(100 * part) + "%";
  if (up <= 2 * down || up < 0.015 * row.total) return "±" + percent(half);
  return (up <= 5 * down ? "-" + percent(down / row.total) + " " : "") + "+" + percent(up / row.total);
}

function callDetail(row) {
  const spread = row.spread || [];
  return element("tr", { class: "detail" }, element("td", { colspan: CALL_COLUMNS.length }, facts([
    ["signature", row.signature === row.name ? "" : element("code", {}, row.signature)],
    ["defined in", row.component],
    ["called from", row.callers.map((caller) => caller[0] + " (" + plural(caller[1], "call") + (row.timed ? ", " + time(caller[2]) : "") + ")").join(", ")],
    ["calls", count(row.count) + " counted, " + count(row.timed) + " timed" + (row.timed_share < 0.9995 && row.timed ? "; times of the others are estimated from these" : "")],
    ["total", row.timed ? time(row.total) + ", 95% interval " + time(row.low) + " to " + time(row.high) : "never timed: it returns twice or never, or unwinds"],
    ["untimed calls may hide", row.unseen > 0 ? "up to " + time(row.unseen) : ""],
    ["one call", spread.length && row.timed ? "min " + time(spread[0]) + ", p50 " + time(spread[1]) + ", p90 " + time(spread[2]) + ", p99 " + time(spread[3]) + ", p99.9 " + time(spread[4]) + ", max " + time(spread[5]) : ""],
    ["share of thread time", row.timed ? share(row.self / row.lifetime) + " in itself" : ""],
    ["not returned", row.abandoned ? plural(row.abandoned, "call") : ""],
  ]), row.spread && row.timed ? histogram(row) : null));
}

// The common axis of all strips.
function stripAxis() {
  const spreads = data.calls.filter((row) => row.spread && row.timed).map((row) => row.spread);
  const low = Math.max(1, Math.min(...spreads.map((s) => Math.max(1, s[0])), 1e9));
  const high = Math.max(low * 10, ...spreads.map((s) => s[5]));
  const [from, to] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  const x = (ns) => 4 + (STRIP.width - 8) * (Math.log10(Math.max(ns, 10 ** from)) - from) / (to - from);
  const drawing = element("svg:svg", { width: STRIP.width, height: 16, role: "img", "aria-label": "axis from " + shortTime(10 ** from) + " to " + shortTime(10 ** to) });
  const names = { 0: "1ns", 3: "1µs", 6: "1ms", 9: "1s" };
  for (let power = from; power <= to; power++) {
    drawing.append(element("svg:line", { class: "axis", x1: x(10 ** power), x2: x(10 ** power), y1: names[power] ? 10 : 13, y2: 16 }));
    if (names[power]) drawing.append(element("svg:text", { x: x(10 ** power), y: 9, "text-anchor": power === from ? "start" : power === to ? "end" : "middle", style: { fontSize: "10px" } }, names[power]));
  }
  return { x, drawing, from, to };
}

function strip(row, axis) {
  const [min, p50, p90, p99, p999, max] = row.spread;
  const base = STRIP.height - 3, list = bars(row);
  const drawing = element("svg:svg", { width: STRIP.width, height: STRIP.height, role: "img",
    "aria-label": "median " + time(p50) + ", 99th percentile " + time(p99) + ", longest " + time(max) + (list.length ? "; " + barsSummary(row, list) : ""),
    ...tipped(() => [row.name, "min " + time(min) + ", p50 " + time(p50) + ", p90 " + time(p90), "p99 " + time(p99) + ", p99.9 " + time(p999) + ", max " + time(max),
      list.length ? barsSummary(row, list) : ""]) });
  for (const power of [0, 3, 6, 9]) {
    if (power > axis.from && power < axis.to) drawing.append(element("svg:line", { class: "axis", x1: axis.x(10 ** power), x2: axis.x(10 ** power), y1: 0, y2: STRIP.height }));
  }
  drawing.append(element("svg:line", { class: "reach", x1: axis.x(min), x2: Math.max(axis.x(max), axis.x(min) + 1), y1: base + 0.5, y2: base + 0.5 }));
  if (list.length) drawing.append(element("svg:path", { class: barClass(row), d: barsPath(list, Math.max(...list.map((bar) => bar.calls)), axis.x, base, base - 1) }));
  drawing.append(element("svg:line", { class: "mark", x1: axis.x(p50), x2: axis.x(p50), y1: base - 2, y2: STRIP.height }));
  return drawing;
}
