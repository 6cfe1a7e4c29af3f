// Which component calls which: a heat map.

parts.push(function flow() {
  if (!data.flow.edges.length) return;
  const box = section("flow", "Flow between components",
    "Row calls column. The darker, the more; time is that spent in the called component itself.");
  const modes = [
    ["self", "time", (edge) => edge[3], time],
    ["wait", "wait", (edge) => edge[5], time],
    ["calls", "calls", (edge) => edge[2], compact],
  ];
  const place = element("div", { class: "scroll" });
  const buttons = modes.map((mode) => element("button", { type: "button", onclick: () => choose(mode) }, mode[1]));
  const choose = (mode) => {
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(modes[at] === mode)));
    place.replaceChildren(heat(mode[2], mode[3]));
  };
  box.append(element("div", { class: "bar-row" }, buttons), place);
  choose(modes[0]);
});

function compact(value) {
  if (value < 10000) return count(value);
  if (value < 999500) return digits(value / 1e3) + " k";
  return value < 999.5e6 ? digits(value / 1e6) + " M" : digits(value / 1e9) + " G";
}

function heat(pick, write) {
  const { names, edges } = data.flow;
  const rank = (end) => {
    const sums = new Map();
    for (const edge of edges) sums.set(edge[end], (sums.get(edge[end]) || 0) + pick(edge) + edge[2] * 1e-6);
    return [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a));
  };
  const rows = rank(0), columns = rank(1);
  const cells = new Map(edges.map((edge) => [edge[0] + " " + edge[1], edge]));
  const most = Math.max(...edges.map(pick), 1);
  const head = element("tr", {}, element("th", { scope: "col" }, "caller ↓  called →"),
    columns.map((at) => element("th", { class: "column", scope: "col", title: names[at] }, element("span", {}, names[at]))));
  const lines = rows.map((row) => element("tr", {}, element("th", { class: "row", scope: "row", title: names[row] }, names[row]),
    columns.map((column) => heatCell(cells.get(row + " " + column), pick, write, most, names))));
  return element("table", { class: "heat" }, element("thead", {}, head), element("tbody", {}, lines));
}

function heatCell(edge, pick, write, most, names) {
  if (!edge) return element("td", {});
  const value = pick(edge);
  // The square root keeps small flows visible beside large ones.
  const strength = Math.sqrt(value / most);
  return element("td", {
    tabindex: 0,
    style: { background: "color-mix(in srgb, var(--exec) " + Math.round(6 + 74 * strength) + "%, var(--card))", color: strength > 0.62 ? "#ffffff" : "var(--ink)" },
    ...tipped(() => [names[edge[0]] + " → " + names[edge[1]], plural(edge[2], "call"),
      "self " + time(edge[3]) + ", with all below " + time(edge[4]), edge[5] > 0 ? "waited " + time(edge[5]) : ""]),
  }, value > 0 ? write(value) : "·");
}
