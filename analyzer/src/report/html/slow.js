// Slow calls over time: each point is one call far beyond its like.

const SLOW_ROWS = 25;

parts.push(function slow() {
  const box = section("slow", "Slow calls",
    "Single calls that took far longer than their like. Choose a point or a row to see its path, arguments and what it waited for.");
  if (!data.slow.length) {
    box.append(element("p", {}, "None: no call took far longer than others of its site."));
    return;
  }
  const state = { lanes: false, idle: false, group: "", chosen: null, all: false };
  const chart = element("div", {});
  const detail = element("div", {});
  const table = element("div", { class: "scroll" });
  const view = { state, chart, detail, table };
  const shown = () => data.slow.filter((call) => (state.idle || !call.idle) && (state.group === "" || call.group === Number(state.group)));
  const chartAgain = redrawn(chart, (width) => drawChart(view, shown(), width));
  view.draw = () => { chartAgain(); drawSlowRows(view, shown()); drawSlowDetail(view); };
  const toggle = (key, on, off) => {
    const button = element("button", { type: "button", "aria-pressed": String(state[key]), onclick: () => {
      state[key] = !state[key];
      button.setAttribute("aria-pressed", String(state[key]));
      button.textContent = state[key] ? on : off;
      view.draw();
    } }, off);
    return button;
  };
  if (!data.slow.some((call) => !call.idle)) state.idle = true;
  const idle = data.slow.filter((call) => call.idle).length;
  box.append(element("div", { class: "bar-row" }, toggle("lanes", "by thread", "by thread"),
    idle && idle < data.slow.length ? toggle("idle", "with idle waits", "with idle waits") : null,
    groupSelect((event) => { state.group = event.target.value; view.draw(); }),
    element("span", { class: "faint" }, idle ? count(idle) + " of " + count(data.slow.length) + " are waits that are often meant (sleep, poll, join, condition)" : "")),
    legend(new Set(data.slow.map((call) => kindClass(call.kind)))), chart, detail, table);
  if (data.slow_cut) box.append(element("p", { class: "caption" }, "Left out of this page: " + plural(data.slow_cut, "slow call") + " shorter than these."));
  view.draw();
});

function drawChart(view, calls, width) {
  const { state, chart } = view;
  if (!calls.length) {
    chart.replaceChildren(element("p", { class: "faint" }, "No slow call in this selection."));
    return;
  }
  const threads = [...new Set(calls.map((call) => call.thread))].slice(0, 40);
  const left = state.lanes ? Math.min(190, width * 0.3) : 64;
  const height = state.lanes ? 40 + threads.length * 20 : 300;
  const bottom = height - 26;
  const end = Math.max(data.wall, ...calls.map((call) => call.start + call.duration), 1);
  const x = (ns) => left + (width - left - 14) * ns / end;
  const low = Math.min(...calls.map((call) => call.duration)), high = Math.max(...calls.map((call) => call.duration));
  const [from, to] = [Math.floor(Math.log10(Math.max(1, low))), Math.ceil(Math.log10(Math.max(10, high)) + 1e-9)];
  const level = (ns) => bottom - (bottom - 10) * (Math.log10(Math.max(1, ns)) - from) / Math.max(1, to - from);
  const y = (call) => state.lanes ? 20 + threads.indexOf(call.thread) * 20 : level(call.duration);
  const svg = element("svg:svg", { width, height, role: "group", "aria-label": "Slow calls over time" });
  const line = (x1, y1, x2, y2) => svg.append(element("svg:line", { class: "axis", x1, y1, x2, y2 }));
  const label = (text, at, top, anchor) => svg.append(element("svg:text", { x: at, y: top, "text-anchor": anchor }, text));
  const step = roundStep(end / (width < 520 ? 3 : 7));
  for (let at = 0; at <= end; at += step) {
    line(x(at), 8, x(at), bottom);
    label(at ? shortTime(at) : "0", x(at), height - 8, x(at) > width - 40 ? "end" : "middle");
  }
  if (state.lanes) {
    threads.forEach((thread, at) => {
      line(left, 20 + at * 20, width - 14, 20 + at * 20);
      const room = Math.floor(left / 7);
      label(thread.length > room ? thread.slice(0, room - 1) + "…" : thread, left - 8, 24 + at * 20, "end");
    });
  } else {
    for (let power = from; power <= to; power++) {
      line(left, level(10 ** power), width - 14, level(10 ** power));
      label(shortTime(10 ** power), left - 8, level(10 ** power) + 4, "end");
    }
  }
  const drawn = calls.filter((call) => !state.lanes || threads.includes(call.thread));
  drawn.forEach((call) => svg.append(slowPoint(view, call, x, y(call))));
  chart.replaceChildren(svg);
}

// 1, 2 or 5 times a power of ten, not below `least`.
function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= least);
}

function slowPoint(view, call, x, y) {
  const { state } = view;
  const chosen = state.chosen === call;
  const common = { class: "point" + (chosen ? " chosen" : ""), tabindex: call.rank < 40 ? 0 : null, role: "button",
    "aria-label": call.name + " " + time(call.duration) + " at " + time(call.start),
    style: { fill: classColor(kindClass(call.kind)), fillOpacity: 0.85 },
    onclick: () => { state.chosen = call; hideTip(); view.draw(); },
    onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); state.chosen = call; view.draw(); } },
    ...tipped(() => [time(call.duration) + " in " + call.name, call.usual, "at " + time(call.start) + " in " + call.thread,
      call.path.join(" › "), call.waited ? "waited " + call.waited : "did not wait: worked", call.args]) };
  if (!state.lanes) return element("svg:circle", { cx: x(call.start), cy: y, r: chosen ? 7 : 5, ...common });
  const width = Math.max(5, x(call.start + call.duration) - x(call.start));
  return element("svg:rect", { x: x(call.start), y: y - 7, width, height: 14, rx: 2, ...common });
}

function drawSlowRows(view, calls) {
  const { state } = view;
  const shown = state.all ? calls : calls.slice(0, SLOW_ROWS);
  const rows = shown.map((call) => element("tr", { class: state.chosen === call ? "open" : "" },
    element("td", { class: "number" }, time(call.duration)),
    element("td", { class: "name" }, element("button", { type: "button", class: "mono", onclick: () => { state.chosen = call; view.draw(); } }, call.name)),
    element("td", { class: "number" }, call.median > 0 ? count(Math.max(1, Number((call.duration / call.median).toPrecision(3)))) + "×" : ""),
    element("td", { class: "number" }, time(call.start)),
    element("td", {}, call.thread),
    element("td", {}, call.waited || "worked")));
  const heads = ["took", "function", "of median", "at", "thread", "waited"].map((head, at) =>
    element("th", { class: [0, 2, 3].includes(at) ? "number" : "", scope: "col" }, head));
  const more = shown.length < calls.length
    ? element("button", { type: "button", onclick: () => { state.all = true; view.draw(); } }, "Show all " + count(calls.length)) : null;
  view.table.replaceChildren(element("table", {}, element("thead", {}, element("tr", {}, heads)), element("tbody", {}, rows)), ...(more ? [more] : []));
}

function drawSlowDetail(view) {
  const call = view.state.chosen;
  view.detail.replaceChildren(...(call ? [element("div", { class: "detail-box", "aria-live": "polite" },
    element("h3", {}, time(call.duration) + " in ", element("code", {}, call.name)), facts([
      ["usual", call.usual], ["when", time(call.start) + " after the start"], ["thread", call.thread],
      ["path", element("code", {}, call.path.join(" › "))], ["called at", call.from && element("code", {}, call.from)],
      ["waited", call.waited || "did not wait"], ["arguments", element("code", {}, call.args)],
      ["in calls below", call.below > 0 ? time(call.below) : ""],
    ]))] : []));
}
