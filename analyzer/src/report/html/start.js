// Theme, keys, then every part in order; a part that fails says so and leaves the others alone.

const THEME_KEY = "perfvisor-theme";

function remembered() {
  // Pages opened from a file may not be allowed to remember.
  try { return localStorage.getItem(THEME_KEY); } catch (_) { return null; }
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  document.getElementById("theme").textContent = name === "dark" ? "Light" : "Dark";
}

const wantsDark = matchMedia("(prefers-color-scheme: dark)");
setTheme(remembered() || (wantsDark.matches ? "dark" : "light"));
wantsDark.addEventListener("change", (event) => { if (!remembered()) setTheme(event.matches ? "dark" : "light"); });

function otherTheme() {
  const name = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(name);
  try { localStorage.setItem(THEME_KEY, name); } catch (_) { /* The choice holds for this view only. */ }
}
document.getElementById("theme").addEventListener("click", otherTheme);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key === "t") otherTheme();
  if (event.key === "/") {
    const filter = document.getElementById("filter");
    if (filter) { event.preventDefault(); filter.focus(); filter.scrollIntoView({ block: "center" }); }
  }
});

document.getElementById("main").replaceChildren();
for (const part of parts) {
  try { part(); } catch (error) {
    document.getElementById("main").append(element("section", { class: "warn" }, element("h2", {}, "A part could not be drawn"), element("p", {}, part.name + ": " + error)));
  }
}
document.getElementById("main").append(element("footer", {}, data.footer));
