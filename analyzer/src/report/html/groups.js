// Thread groups: one stacked bar a thread, so that inequality shows.

const THREADS_SHOWN = 16;

parts.push(function groups() {
  if (!data.groups.length) return;
  const box = section("groups", "Thread groups",
    "Threads that began in the same function. Each bar is one thread: executing (not blocked in a library call " +
    "that was seen; the pale part without a CPU), then what it waited for. The dark line is the group's mean exec time; " +
    "max/mean says how unequal the threads are that share work: those of one process, or of workers forked by one.");
  const classes = new Set(["exec"]);
  for (const group of data.groups) {
    for (const [kind] of group.waits) classes.add(kindClass(kind));
    for (const member of group.members) for (const [kind] of member.waits) classes.add(kindClass(kind));
  }
  box.append(legend(classes));
  data.groups.slice(0, 12).forEach((group) => box.append(groupPanel(group)));
  if (data.groups.length > 12) {
    const more = element("button", { type: "button", onclick: () => {
      more.remove();
      data.groups.slice(12).forEach((group) => box.append(groupPanel(group)));
    } }, "Show " + plural(data.groups.length - 12, "more group"));
    box.append(more);
  }
});

function groupPanel(group) {
  const stat = (name, value) => value === null ? null : element("span", {}, name + " ", element("b", {}, value));
  const several = group.compared > 1;
  const unequal = several && group.max_over_mean >= 1.25;
  const cpu = group.cpu_unknown >= group.threads ? null
    : (group.cpu_unknown ? "≥" : "") + time(group.user + group.system) + " (" + time(group.system) + " system)";
  const panel = element("div", { class: "group" },
    element("h3", {}, element("code", {}, group.name),
      element("span", { class: "tag" }, plural(group.threads, "thread")),
      unequal ? element("span", { class: "tag notice" }, "unequal") : null),
    element("div", { class: "stats" },
      stat("executing", time(group.exec)),
      group.off > 0 ? stat("of it off-CPU", (group.cpu_unknown ? "≥" : "") + time(group.off)) : null, stat("waiting", time(group.wait) + " (" + share(group.wait / group.lifetime) + ")"),
      stat("CPU", cpu), stat("calls", count(group.calls)),
      several ? stat("max/mean", digits(group.max_over_mean) + "×") : null,
      several ? stat("variation", share(group.variation)) : null,
      several && group.straggler ? stat("longest executing", group.straggler) : null));
  if (group.members.length) panel.append(threadBars(group, panel));
  return panel;
}

function threadBars(group) {
  const scale = Math.max(...group.members.map((member) => member.exec + member.wait), 1);
  const mean = group.exec / Math.max(1, group.threads);
  const grid = element("div", { class: "threads" }, ["thread", "executing and waiting", "executing", "waiting"].map(
    (head, at) => element("div", { class: at > 1 ? "head value" : "head" }, head)));
  const add = (member) => grid.append(...threadRow(member, scale, group.compared === group.threads ? mean : null));
  group.members.slice(0, THREADS_SHOWN).forEach(add);
  const hidden = group.members.length - THREADS_SHOWN;
  const box = element("div", {}, grid);
  if (hidden > 0) {
    const more = element("button", { type: "button", onclick: () => {
      more.remove();
      group.members.slice(THREADS_SHOWN).forEach(add);
    } }, "Show " + plural(hidden, "more thread"));
    box.append(more);
  }
  if (group.members_cut > 0) {
    box.append(element("p", { class: "caption" }, "Left out of this page: " +
      plural(group.members_cut, "thread") + " that worked less than these."));
  }
  return box;
}

function threadRow(member, scale, mean) {
  const width = (ns) => (100 * Math.max(0, ns) / scale) + "%";
  const waits = member.waits.length ? member.waits : [["wait", member.wait]];
  const lines = () => [member.label, "began " + time(member.start) + ", lived " + time(member.lifetime),
    "executing " + time(member.exec) + (member.off ? " (" + time(member.off) + " of it off-CPU)" : "") + ", waiting " + time(member.wait),
    waits.filter((wait) => wait[1] > 0).map((wait) => wait[0] + " " + time(wait[1])).join(", "),
    member.user === null ? "CPU time unknown" : "CPU " + time(member.user) + " user, " + time(member.system) + " system",
    plural(member.calls, "call"),
    member.top.length ? "most time in " + member.top.map((row) => row[0] + " " + time(row[2])).join(", ") : "",
    member.creator ? "created at " + member.creator : ""];
  const bar = element("div", { class: "stack", tabindex: 0, "aria-label": lines().filter(Boolean).join("; "), ...tipped(lines) },
    element("span", { style: { width: width(member.exec - (member.off || 0)), background: classColor("exec") } }),
    element("span", { style: { width: width(member.off || 0), background: classColor("exec"), opacity: .35 } }),
    waits.map(([kind, ns]) => element("span", { style: { width: width(ns), background: classColor(kindClass(kind)) } })),
    mean === null ? null : element("span", { class: "mean", style: { left: width(mean) } }));
  return [element("div", { class: "name", title: member.label }, member.label), bar,
    element("div", { class: "value" }, time(member.exec)), element("div", { class: "value" }, time(member.wait))];
}
