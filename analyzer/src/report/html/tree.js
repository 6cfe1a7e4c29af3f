// The call tree as an icicle: width is time, a call stands below the call it was made in.

const ROW_HEIGHT = 22;
const LEAST_WIDTH = 2;

parts.push(function tree() {
  if (!data.tree.length) return;
  const box = section("tree", "Call tree",
    "Which library call was made inside which: width is time, calls stand below their caller. Choose a block to " +
    "enlarge it, the bar above it to go back. Colours tell components apart.");
  const nodes = treeNodes();
  measure(nodes.root, true);
  const whole = nodes.root.size;
  measure(nodes.root, false);
  // Where nearly all is waiting, waits would leave no room for the work.
  const state = { zoom: nodes.root, text: "", waits: nodes.root.size > 0.2 * whole };
  const stage = element("div", { class: "flame" });
  const found = element("span", { class: "faint", "aria-live": "polite" });
  const detail = element("div", { class: "detail-box" });
  const view = { state, stage, found, detail, colors: componentColors(nodes.all) };
  measure(nodes.root, state.waits);
  const draw = redrawn(stage, (width) => drawTree(view, width));
  const waits = element("button", { type: "button", "aria-pressed": String(state.waits), onclick: () => {
    state.waits = !state.waits;
    waits.setAttribute("aria-pressed", String(state.waits));
    measure(nodes.root, state.waits);
    draw();
  } }, "with waits");
  view.choose = (node) => { state.zoom = node; draw(); };
  box.append(element("div", { class: "bar-row" },
    element("input", { type: "search", placeholder: "search the tree", "aria-label": "Search the tree", oninput: (event) => { state.text = event.target.value.toLowerCase(); draw(); } }),
    waits,
    element("button", { type: "button", onclick: () => view.choose(nodes.root) }, "Whole tree"), found), colorLegend(view.colors), stage, detail);
  draw();
});

// From the flat list to a tree: all, then groups, then paths.
function treeNodes() {
  const root = { name: "all thread groups", children: [], self: 0, wait: 0, parent: null };
  const groups = new Map();
  const all = [];
  for (const row of data.tree) {
    if (!groups.has(row.group)) {
      const name = data.groups[row.group] ? data.groups[row.group].name : "(unknown)";
      const made = { name, children: [], self: 0, wait: 0, parent: root, group: true };
      groups.set(row.group, made);
      root.children.push(made);
    }
    const parent = row.parent === null ? groups.get(row.group) : all[row.parent];
    const node = { ...row, row, children: [], parent };
    parent.children.push(node);
    all.push(node);
  }
  return { root, all };
}

// Gives every node its width: its own time and that of all below, with or without waits.
function measure(root, waits) {
  const order = [root];
  for (let at = 0; at < order.length; at++) order.push(...order[at].children);
  for (const node of order.reverse()) {
    const below = node.children.reduce((sum, child) => sum + (child.wait || 0), 0);
    const own = Math.max(0, (node.wait || 0) - below);
    const self = Math.max(0, waits ? node.self : node.self - own);
    node.size = self + node.children.reduce((sum, child) => sum + child.size, 0);
    node.children.sort((a, b) => b.size - a.size);
  }
}

function componentColors(nodes) {
  const sums = new Map();
  for (const node of nodes) sums.set(node.component, (sums.get(node.component) || 0) + Math.max(0, node.self));
  const names = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a));
  const hues = [28, 205, 145, 265, 345, 85, 180, 310, 55, 235];
  return new Map(names.map((name, at) => [name, "hsl(" + hues[at % hues.length] + " " + (at < hues.length ? 62 : 30) + "% 70%)"]));
}

function colorLegend(colors) {
  return element("div", { class: "legend" }, [...colors].slice(0, 10).map(([name, color]) =>
    element("span", {}, element("i", { style: { background: color } }), name)));
}

function drawTree(view, width) {
  const { state, stage } = view;
  const focused = document.activeElement && stage.contains(document.activeElement);
  const blocks = [];
  const above = [];
  for (let node = state.zoom.parent; node; node = node.parent) above.unshift(node);
  above.forEach((node, level) => blocks.push(block(view, node, 0, width, level)));
  let deepest = above.length;
  const hits = { size: 0 };
  const open = [[state.zoom, 0, width, above.length, false]];
  while (open.length) {
    const [node, left, room, level, counted] = open.pop();
    const hit = Boolean(state.text) && node.name.toLowerCase().includes(state.text);
    if (hit && !counted) hits.size += node.size;
    if (room >= LEAST_WIDTH) {
      blocks.push(block(view, node, left, room, level, hit));
      deepest = Math.max(deepest, level);
    }
    let at = left;
    for (const child of node.children) {
      const wide = node.size > 0 ? room * child.size / node.size : 0;
      // Hits are summed over narrow blocks too; without a search these need no visit.
      if (wide >= LEAST_WIDTH || state.text) open.push([child, at, wide, level + 1, counted || hit]);
      at += wide;
    }
  }
  stage.style.height = (deepest + 1) * ROW_HEIGHT + "px";
  stage.replaceChildren(...blocks);
  if (focused) stage.children[above.length].focus();
  view.found.textContent = state.text ? share(hits.size / Math.max(1, state.zoom.size)) + " of the time shown matches" : "";
  view.detail.replaceChildren(treeFacts(state.zoom));
}

function block(view, node, left, width, level, hit) {
  const { state } = view;
  const zoomed = level < depth(state.zoom);
  const made = element("button", { type: "button", class: "node" + (hit ? " hit" : "") + (zoomed ? " above" : state.text && !hit ? " dim" : ""),
    style: { left: left + "px", width: Math.max(1, width - 1) + "px", top: level * ROW_HEIGHT + "px", background: node.row ? view.colors.get(node.component) : "var(--line)", color: node.row ? "" : "var(--ink)" },
    "aria-label": node.name + ", " + time(node.size),
    onclick: () => { hideTip(); view.choose(node); },
    ...tipped(() => [node.name, time(node.size) + (state.zoom.size ? ", " + share(node.size / state.zoom.size) + " of what is shown" : ""),
      node.row ? "self " + time(node.self) + (node.wait > 0 ? ", waited " + time(node.wait) : "") : "",
      node.row ? (node.scaled ? "about " : "") + plural(node.count, "call") + " from " + node.caller + " into " + node.component : ""]) });
  if (width > 26) made.textContent = node.name;
  return made;
}

function depth(node) {
  let level = 0;
  for (let at = node.parent; at; at = at.parent) level++;
  return level;
}

function treeFacts(node) {
  const path = [];
  for (let at = node; at && at.parent; at = at.parent) path.unshift(at.name);
  return facts([
    ["shown", path.length ? path.join(" › ") : node.name],
    ["time", time(node.size)],
    ["in itself", node.row ? time(node.self) : ""],
    ["waited", node.row && node.wait > 0 ? time(node.wait) : ""],
    ["calls", node.row ? (node.scaled ? "about " : "") + count(node.count) : ""],
    ["note", node.collapsed ? "Deeper calls are folded into this one." : ""],
  ]);
}
