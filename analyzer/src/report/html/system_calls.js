// System calls: by the API that made them, by thread group and category, and what they were made on.

parts.push(function systemCalls() {
  const calls = data.system_calls;
  if (!calls) return;
  const box = section("system-calls", "System calls",
    "What library functions asked of the kernel themselves. Executing is time in the kernel without waiting; " +
    "waiting is time blocked there; ~ is estimated from the timed calls. A row opens to its single system calls.");
  box.append(apiTable(calls));
  box.append(element("h3", { style: { marginTop: "1rem" } }, "By thread group and category"));
  box.append(tableOf(["group", "category"].concat(NUMBER_HEADS, ["by errno"]), 2,
    calls.groups.flatMap((group) => group.parts.map((part, at) => () => element("tr", {},
      element("td", { class: "name" }, at ? "" : element("code", {}, group.name)),
      element("td", {}, part.name), numberCells(part), element("td", {}, part.errnos))))));
  if (calls.targets.length) {
    box.append(element("h3", { style: { marginTop: "1rem" } }, "Files, peers and futexes"));
    box.append(tableOf(["kind", "what", "calls", "executing", "waiting", "longest", "bytes", "errors"], 2, calls.targets.map((row) => () =>
      element("tr", {}, element("td", {}, row.kind), element("td", { class: "name" }, element("code", {}, row.name || "–")),
        [count(row.count), known(row.exec, row.exact), known(row.wait || null, row.exact), known(row.max, true), row.bytes ? size(row.bytes) : "", row.errors ? count(row.errors) : ""]
          .map(numberCell)))));
    cut(box, calls.targets_cut, "object");
  }
  if (calls.slow.length) {
    box.append(element("h3", { style: { marginTop: "1rem" } }, "Slow system calls"));
    box.append(tableOf(["took", "system call", "result", "on", "at", "thread", "in"], 9, calls.slow.map((row) => () => element("tr", {},
      numberCell(time(row.took)), element("td", {}, row.name), element("td", {}, row.result), element("td", { class: "name" }, row.on),
      numberCell(time(row.at)), element("td", {}, row.thread), element("td", { class: "name" }, row.api)))));
    cut(box, calls.slow_cut, "slow system call");
  }
});

const NUMBER_HEADS = ["system calls", "executing", "waiting", "p50", "p99", "longest", "bytes", "errors"];
const known = (ns, exact) => ns === null || ns === undefined ? "" : (exact ? "" : "~") + time(ns);

function numberCells(row) {
  return [count(row.count), known(row.exec, row.exact), known(row.wait || null, row.exact), known(row.p50, true), known(row.p99, true),
    known(row.max, true), row.bytes ? size(row.bytes) : "", row.errors ? count(row.errors) : ""].map(numberCell);
}

function apiTable(calls) {
  const box = tableOf(["function", "per call"].concat(NUMBER_HEADS, ["by errno"]), 1, calls.apis.map((row) => () => apiRow(row)));
  cut(box, calls.apis_cut, "function");
  return box;
}

function apiRow(row) {
  const perCall = row.calls ? digits(row.count / row.calls) : "";
  const inner = row.parts.map((part) => element("tr", { hidden: true },
    element("td", { class: "name" }, "\u00a0\u00a0" + part.name, element("span", { class: "faint" }, " " + part.category)),
    numberCell(row.calls ? digits(part.count / row.calls) : ""), numberCells(part), element("td", {}, part.errnos)));
  const open = element("button", { type: "button", "aria-expanded": "false", onclick: () => {
    const shown = open.getAttribute("aria-expanded") === "true";
    open.setAttribute("aria-expanded", String(!shown));
    inner.forEach((line) => { line.hidden = shown; });
  } }, row.name);
  const head = element("tr", {}, element("td", { class: "name", title: row.component }, open), numberCell(perCall), numberCells(row), element("td", {}, row.errnos));
  const rows = document.createDocumentFragment();
  rows.append(head, ...inner);
  return rows;
}
