// Locks and other things waited for, with who waited and who held.

parts.push(function waits() {
  const box = section("waits", "Locks and waits",
    "What threads waited for, longest total wait first. Held by: who had the lock when waits began. A lock nobody waited for is not listed.");
  const locks = data.objects.filter((object) => object.lock), others = data.objects.filter((object) => !object.lock);
  box.append(element("h3", {}, "Locks"));
  box.append(locks.length ? waitTable(locks, true) : element("p", { class: "faint" }, data.no_lock));
  box.append(element("h3", { style: { marginTop: "1rem" } }, "Other waits"));
  box.append(others.length ? waitTable(others, false) : element("p", { class: "faint" }, "No other wait was seen."));
  if (data.objects_cut) box.append(element("p", { class: "caption" }, "Left out of this page: " + plural(data.objects_cut, "object") + " waited for less than these."));
});

function waitTable(objects, locks) {
  const most = Math.max(...objects.map((object) => object.wait), 1);
  const heads = ["kind", "what", "waits", "waited", "longest", "waiters"].concat(locks ? ["held by"] : []);
  const body = element("tbody", {});
  const add = (object) => body.append(waitRow(object, most, locks));
  objects.slice(0, 20).forEach(add);
  const box = element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {},
    heads.map((head, at) => element("th", { scope: "col", class: at > 1 && at < 5 ? "number" : "" }, head)))), body));
  if (objects.length > 20) {
    const more = element("button", { type: "button", onclick: () => { more.remove(); objects.slice(20).forEach(add); } }, "Show " + count(objects.length - 20) + " more");
    box.append(more);
  }
  return box;
}

function waitRow(object, most, locks) {
  return element("tr", {},
    element("td", {}, object.kind),
    element("td", { class: "name" }, element("code", {}, object.what || "–"), element("div", { class: "hold-text" }, "in " + object.sites.join(", "))),
    element("td", { class: "number" }, count(object.waits)),
    element("td", { class: "number" }, element("span", { class: "share" }, time(object.wait),
      element("i", {}, element("b", { style: { width: 100 * object.wait / most + "%", background: classColor(kindClass(object.kind)) } })))),
    element("td", { class: "number", title: "ended at " + time(object.at) }, time(object.max)),
    element("td", {}, people(object.waiters, object.waiters_all, object.wait)),
    locks ? element("td", {}, object.holders.length ? people(object.holders, object.holders_all, object.wait) : element("span", { class: "faint" }, "not told by this kind")) : null);
}

// Shares of threads as a bar, the largest named below it.
function people(list, all, whole) {
  const hues = [205, 28, 145, 265, 345, 85, 180, 310];
  const width = (ns) => Math.min(100, 100 * ns / Math.max(1, whole)) + "%";
  const lines = () => list.slice(0, 12).map((row) => row[0] + ": " + time(row[2]) + " (" + plural(row[1], "wait") + ")")
    .concat(all > 12 ? ["and " + count(all - Math.min(12, list.length)) + " more"] : []);
  const bar = element("div", { class: "holders", tabindex: 0, "aria-label": lines().join("; "), ...tipped(lines) },
    list.map((row, at) => element("span", { style: { width: width(row[2]), background: "hsl(" + hues[at % hues.length] + " 55% 58%)" } })));
  const first = list[0];
  return [bar, element("div", { class: "hold-text" }, first ? first[0] + " " + share(first[2] / Math.max(1, whole)) + (all > 1 ? ", +" + count(all - 1) : "") : "")];
}
