// The footprint of each function: what one call of it asks of the kernel.

const CATEGORY_COLORS = {
  file: "--file", directory: "--file", "disk sync": "--file", network: "--net", memory: "--cond", lock: "--lock", sleep: "--sleep",
  poll: "--poll", process: "--join", signal: "--other", time: "--other", ipc: "--other", other: "--other",
};

parts.push(function footprint() {
  document.getElementById("main").append(element("h1", {}, (data.run.command.length ? data.run.command.join(" ") : data.run.directory)));
  const box = section("footprint", "Footprint of each function",
    "What a function and all it called asked of the kernel, for each of its calls. The bar splits the time of one call: outside of system " +
    "calls, then by category; the pale part of a category is waiting. ~ is estimated from the timed calls. Functions that call each other contain each other.");
  if (!data.footprints.length) box.append(element("p", { class: "faint" }, "No function with a system call."));
  data.footprints.slice(0, 50).forEach((f) => box.append(footprintPanel(f)));
  if (data.footprints.length > 50) {
    const more = element("button", { type: "button", onclick: () => { more.remove(); data.footprints.slice(50).forEach((f) => box.append(footprintPanel(f))); } },
      "Show " + count(data.footprints.length - 50) + " more");
    box.append(more);
  }
});

const each = (f, value) => f.calls ? value / f.calls : 0;

function footprintPanel(f) {
  const about = f.estimated ? "~" : "";
  const stat = (name, value) => element("span", {}, name + " ", element("b", {}, value));
  const panel = element("div", { class: "group" },
    element("h3", {}, element("code", {}, f.api_name), element("span", { class: "tag" }, f.component_name)),
    element("div", { class: "stats" }, stat("calls", count(f.calls)),
      f.total_ns === null ? null : stat("a call takes", about + time(each(f, f.total_ns))),
      f.spread ? stat("p50", time(f.spread.p50_ns)) : null, f.spread ? stat("p99", time(f.spread.p99_ns)) : null,
      f.spread ? stat("variation", share(f.spread.variation)) : null,
      stat("system calls a call", digits(each(f, f.all.count))), f.all.bytes ? stat("bytes a call", size(each(f, f.all.bytes))) : null,
      stat("failed", share(f.all.error_share))), splitBar(f));
  const heads = ["system call", "category", "per call", "executing", "waiting", "bytes", "failed", "variation", "p50", "p99", "longest"];
  const known = (ns, mark) => ns === null || ns === undefined ? "" : mark + time(ns);
  if (f.syscalls.length) panel.append(tableOf(heads, 2, f.syscalls.map((row) => () => {
    const mark = row.time && row.time.exact ? "" : "~";
    const spread = row.distribution || {};
    return element("tr", {}, element("td", { class: "name" }, row.syscall), element("td", {}, row.category),
      [digits(each(f, row.count)), row.exec_ns === null ? "" : known(each(f, row.exec_ns), mark), row.wait_ns ? known(each(f, row.wait_ns), mark) : "",
        row.bytes ? size(each(f, row.bytes)) : "", row.errors ? share(row.error_share) : "", row.variation === null ? "" : share(row.variation),
        known(spread.p50_ns, ""), known(spread.p99_ns, ""), known(spread.max_ns, "")].map(numberCell));
  })));
  return panel;
}

function splitBar(f) {
  const pieces = (f.user_ns === null ? [] : [["outside of system calls", f.user_ns, "--exec", 1]]).concat(f.categories.flatMap((row) => [
    [row.category, row.exec_ns || 0, CATEGORY_COLORS[row.category], 1], [row.category + " waiting", row.wait_ns || 0, CATEGORY_COLORS[row.category], .4]]));
  const whole = pieces.reduce((sum, piece) => sum + piece[1], 0);
  if (!(whole > 0)) return null;
  const lines = () => pieces.filter((piece) => piece[1] > 0).map((piece) => piece[0] + ": " + time(each(f, piece[1])) + " a call (" + share(piece[1] / whole) + ")");
  return element("div", { class: "stack", tabindex: 0, "aria-label": lines().join("; "), ...tipped(lines) },
    pieces.map((piece) => element("span", { style: { width: 100 * piece[1] / whole + "%", background: "var(" + piece[2] + ")", opacity: piece[3] } })));
}
