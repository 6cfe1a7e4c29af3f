// What every part of the page uses: the data, elements, numbers, colours, the tip.
// Text from the traced program reaches the page only as text nodes, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const parts = [];

function element(tag, attributes, ...children) {
  const made = tag.startsWith("svg:")
    ? document.createElementNS(document.getElementById("svg").namespaceURI, tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "style") Object.assign(made.style, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

// One section of the page: its place in the navigation, a heading, one sentence of explanation.
function section(id, title, caption) {
  const made = element("section", { id, "aria-label": title },
    element("h2", {}, title), element("p", { class: "caption" }, caption));
  document.getElementById("main").append(made);
  document.getElementById("nav").append(element("a", { href: "#" + id }, title));
  return made;
}

function digits(value) {
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(3));
  const exponent = Math.floor(Math.log10(Math.abs(rounded)));
  return rounded.toFixed(Math.max(0, 2 - exponent));
}

function time(ns) {
  const size = Math.abs(ns);
  if (size < 0.05) return "0 s";
  if (size < 999.5) return digits(ns) + " ns";
  if (size < 999.5e3) return digits(ns / 1e3) + " µs";
  if (size < 999.5e6) return digits(ns / 1e6) + " ms";
  if (size < 99.95e9) return digits(ns / 1e9) + " s";
  if (size < 3597e9) return digits(ns / 60e9) + " min";
  return digits(ns / 3600e9) + " h";
}

// For axes: without zeros that say nothing.
function shortTime(ns) {
  return time(ns).replace(/\.0+ /, " ").replace(/(\.\d*?)0+ /, "$1 ");
}

const count = (value) => value.toLocaleString("en-US");

function share(part) {
  const percent = part * 100;
  if (!(percent > 0)) return "0%";
  if (percent < 0.1) return "<0.1%";
  if (percent < 9.95 || (percent > 99 && percent < 99.95)) return percent.toFixed(1) + "%";
  return percent.toFixed(0) + "%";
}

function plural(number, word) {
  return count(number) + " " + word + (number === 1 ? "" : "s");
}

const KIND_COLORS = [
  ["exec", "--exec", "executing"],
  ["lock", "--lock", "waiting for a lock"],
  ["cond", "--cond", "condition"],
  ["join", "--join", "join, process"],
  ["poll", "--poll", "poll"],
  ["net", "--net", "network"],
  ["file", "--file", "file, disk"],
  ["sleep", "--sleep", "sleep"],
  ["other", "--other", "other wait"],
];
const KIND_CLASS = {
  mutex: "lock", "rwlock (read)": "lock", "rwlock (write)": "lock", "spin lock": "lock", semaphore: "lock",
  once: "lock", barrier: "lock", futex: "lock", condition: "cond", join: "join", process: "join", poll: "poll",
  network: "net", file: "file", "disk sync": "file", stream: "file", sleep: "sleep",
};
const kindClass = (kind) => (kind ? KIND_CLASS[kind] || "other" : "exec");
const classColor = (name) => "var(" + KIND_COLORS.find((row) => row[0] === name)[1] + ")";

function legend(classes) {
  return element("div", { class: "legend" }, KIND_COLORS.filter((row) => classes.has(row[0])).map((row) =>
    element("span", {}, element("i", { style: { background: "var(" + row[1] + ")" } }), row[2])));
}

const tip = document.getElementById("tip");
function showTip(event, lines) {
  tip.replaceChildren(...lines.filter(Boolean).map((line) => element("div", {}, line)));
  tip.hidden = false;
  const box = event.currentTarget.getBoundingClientRect();
  const x = event.clientX || box.left + Math.min(box.width / 2, 200);
  const y = event.clientY || box.bottom;
  const width = tip.offsetWidth, height = tip.offsetHeight;
  tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 6)) + "px";
  tip.style.top = (y + 18 + height > innerHeight ? Math.max(4, y - height - 12) : y + 18) + "px";
}
const hideTip = () => { tip.hidden = true; };

// Handlers that show `lines()` while the pointer or the keyboard is on an element.
function tipped(lines) {
  return {
    onmousemove: (event) => showTip(event, lines()),
    onmouseleave: hideTip,
    onfocus: (event) => showTip(event, lines()),
    onblur: hideTip,
  };
}

// Draws again when the width of `box` has changed.
function redrawn(box, draw) {
  let width = 0;
  const check = () => {
    const now = box.clientWidth;
    if (now > 0 && now !== width) {
      width = now;
      draw(now);
    }
  };
  new ResizeObserver(check).observe(box);
  check();
  return () => draw(box.clientWidth);
}

function facts(rows) {
  return element("dl", {}, rows.filter((row) => row[1] !== "" && row[1] !== null && row[1] !== undefined)
    .map(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}

function groupSelect(onchange) {
  return element("select", { "aria-label": "Thread group", onchange },
    element("option", { value: "" }, "all thread groups"),
    data.groups.map((group, at) => element("option", { value: at }, group.name)));
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.ceil(Math.log10(low) - 1e-9); power <= Math.log10(high) + 1e-9; power++) ticks.push(10 ** power);
  return ticks;
}
