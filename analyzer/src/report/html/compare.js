// Two recordings side by side: the verdict, what it rests on, and every difference.

const TOLD = { more: "alarm", less: "notice" };
const ROWS_SHOWN = 40;

parts.push(function verdict() {
  const main = document.getElementById("main");
  main.append(element("h1", {}, "Comparison"), ...["a", "b"].map((name) =>
    element("p", { class: "facts" }, name.toUpperCase() + ": ", element("code", {}, data[name].command),
      " · " + plural(data[name].directories.length, "run") + ", in " + data[name].directories.join(", "))));
  const box = section("verdict", "Verdict", "Differences that chance does not explain, with the interval of B ÷ A − 1 and Cliff's δ " +
    "(+1: all of B's are more, 0: as often more as less).");
  box.append(data.told.length
    ? element("ol", { class: "findings" }, data.told.map((told) => element("li", { class: told.verdict === "more" ? "major" : "minor" }, element("p", {}, told.text))))
    : element("p", {}, element("b", {}, "No difference is told.")));
  box.append(element("ul", { class: "plain" }, data.notes.map((note) => element("li", {}, note))));
});

parts.push(function rules() {
  if (!data.rules.length) return;
  const held = data.rules.some((line) => line.holds);
  const box = section("rules", "Rules", "What --fail-if asked. A rule that holds makes the exit code 1.");
  if (held) box.classList.add("warn");
  box.append(element("ul", { class: "plain" }, data.rules.map((line) => element("li", {}, line.holds ? element("b", {}, line.text) : line.text))));
});

parts.push(function program() {
  const box = section("program", "Whole program", "Medians of the runs; p is corrected for all tests made.");
  box.append(element("div", { class: "scroll" }, detailTable(data.program.differences)));
});

parts.push(function calls() {
  listing("calls", "Library calls", "By time. Choose a heading to sort, a function for all its measures and the system calls below it. " +
    "*: told; =: the same in all runs.", data.apis, ["calls", "mean", "p50", "p99", "syscalls", "time"], true);
});

parts.push(function categories() {
  if (!data.categories.length) return;
  listing("categories", "System calls by category", "Of the whole program, each once.", data.categories, ["calls", "bytes", "errors", "mean", "p99", "time"], false);
});

// All measures of one subject.
function detailTable(differences) {
  const head = ["measure", "A", "B", "change", data.confidence + "% interval", "Cliff's δ", "p", "verdict"];
  return element("table", {}, element("thead", {}, element("tr", {}, head.map((text, at) => element("th", { class: at && at < 7 ? "number" : "" }, text)))),
    element("tbody", {}, differences.map((d) => element("tr", {},
      element("td", {}, d.name),
      [d.a, d.b].map((text) => element("td", { class: "number" }, text)), changed(d),
      [d.interval, d.delta, d.p].map((text) => element("td", { class: "number" }, text)), element("td", {}, d.said)))));
}

function changed(d) {
  if (!d) return element("td", { class: "number" }, "");
  const tone = TOLD[d.verdict];
  return element("td", { class: "number" }, tone ? element("b", {}, element("span", { class: "tag " + tone }, d.change)) : d.change);
}

// A sorted table of subjects, each with A, B and the change of some measures.
function listing(id, title, caption, rows, measures, below) {
  const box = section(id, title, caption);
  const find = (row, measure) => row.differences.find((d) => d.measure === measure);
  const known = measures.filter((measure) => rows.some((row) => find(row, measure)));
  const state = { key: "", down: true, text: "", all: false };
  const size = (row) => { const d = find(row, state.key); return d && d.size !== null ? Math.abs(d.size) : -1; };
  const body = element("tbody", {}), info = element("span", { class: "faint", "aria-live": "polite" });
  const more = element("button", { type: "button", onclick: () => { state.all = true; draw(); } }, "Show all");
  const draw = () => {
    let found = rows.filter((row) => row.name.toLowerCase().includes(state.text.toLowerCase()));
    if (state.key) found = [...found].sort((x, y) => (size(y) - size(x)) * (state.down ? 1 : -1));
    const shown = state.all ? found : found.slice(0, ROWS_SHOWN);
    body.replaceChildren(...shown.map((row) => subjectRow(row, known, find, below)));
    info.textContent = plural(found.length, "row");
    more.hidden = shown.length === found.length;
  };
  const heading = (measure) => element("th", { class: "number", colspan: 3 }, element("button", { type: "button",
    title: "Sort by the size of the change", onclick: () => { state.down = state.key === measure ? !state.down : true; state.key = measure; draw(); } }, nameOf(rows, measure, find)));
  if (below) box.append(element("div", { class: "bar-row" }, element("input", { type: "search", id: "filter",
    placeholder: "filter functions (press /)", "aria-label": "Filter functions", oninput: (event) => { state.text = event.target.value; draw(); } }), info));
  box.append(element("div", { class: "scroll" }, element("table", {}, element("thead", {},
    element("tr", {}, element("th", {}, below ? "function" : "category"), known.map(heading)),
    element("tr", {}, element("th", {}), known.map(() => ["A", "B", "change"].map((text) => element("th", { class: "number" }, text))))), body)), more);
  draw();
}

function nameOf(rows, measure, find) {
  return find(rows.find((row) => find(row, measure)), measure).name;
}

function subjectRow(row, known, find, below) {
  const open = element("button", { type: "button", class: "mono", "aria-expanded": "false" }, row.name);
  const columns = 1 + 3 * known.length;
  const made = element("tr", {}, element("td", { class: "name" }, open, element("div", { class: "hold-text" }, row.components)), known.map((measure) => {
    const d = find(row, measure);
    return [element("td", { class: "number faint" }, d ? d.a : ""), element("td", { class: "number" }, d ? d.b : ""), changed(d)];
  }));
  open.addEventListener("click", () => {
    const opened = open.getAttribute("aria-expanded") === "true";
    open.setAttribute("aria-expanded", String(!opened));
    made.classList.toggle("open", !opened);
    if (opened) { made.nextSibling.remove(); return; }
    made.after(element("tr", { class: "detail" }, element("td", { colspan: columns }, detailTable(row.differences),
      below ? row.syscalls.map((part) => [element("h3", {}, part.name), detailTable(part.differences)]) : null)));
  });
  return made;
}
