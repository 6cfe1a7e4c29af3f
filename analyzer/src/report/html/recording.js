// The processes of a run that has several.
parts.push(function processes() {
  if (data.processes.length < 2) return;
  const box = section("processes", "Processes", "Each program that ran, in order of start: a fork begins a process, an exec begins another program in it.");
  const heads = ["pid", "program", "began", "lived", "CPU", "threads", "calls", "end"];
  const number = (value) => element("td", { class: "number" }, value);
  box.append(element("div", { class: "scroll" }, element("table", {},
    element("thead", {}, element("tr", {}, heads.map((head, at) => element("th", { scope: "col", class: at === 1 || at === 7 ? "" : "number" }, head)))),
    element("tbody", {}, data.processes.map((row) => element("tr", {}, number(String(row.pid)),
      element("td", { class: "name" }, row.name, element("div", { class: "hold-text" }, row.command)),
      number(time(row.start)), number(time(row.lived)), number(time(row.cpu)), number(count(row.threads)), number(count(row.calls)),
      element("td", {}, row.end)))))));
});

// How much was seen, and what it cost: the last part, its worst news stands at the top already.

parts.push(function recording() {
  const box = section("recording", "Recording", "How much of the program was seen, and what seeing it cost.");
  box.append(element("ul", { class: "plain" },
    data.coverage.concat(data.overhead ? [data.overhead] : []).map((text) => element("li", {}, text)),
    data.messages.map(([at, text]) => element("li", {}, "At " + time(at) + ": " + text))));
});
