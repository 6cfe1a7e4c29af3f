// Tables and numbers that several parts draw.

const numberCell = (text) => element("td", { class: "number" }, text);

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (bytes >= 1023.5 && at < units.length - 1) { bytes /= 1024; at += 1; }
  return (at ? digits(bytes) : count(bytes)) + " " + units[at];
}

function cut(box, number, what) {
  if (number) box.append(element("p", { class: "caption" }, "Left out of this page: " + plural(number, what) + "."));
}

// A table of rows made when they are shown; the first columns are words, those behind numbers.
function tableOf(heads, words, rows) {
  const body = element("tbody", {});
  rows.slice(0, 20).forEach((row) => body.append(row()));
  const box = element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {},
    heads.map((head, at) => element("th", { scope: "col", class: at >= words && head !== "by errno" ? "number" : "" }, head)))), body));
  if (rows.length > 20) {
    const more = element("button", { type: "button", onclick: () => { more.remove(); rows.slice(20).forEach((row) => body.append(row())); } },
      "Show " + count(rows.length - 20) + " more");
    box.append(more);
  }
  return box;
}
