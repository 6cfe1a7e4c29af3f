// What ran, what is missing, what stands out.

parts.push(function overview() {
  const main = document.getElementById("main");
  main.append(element("h1", {}, element("code", {}, data.command)),
    element("p", { class: "facts" }, data.summary.join(" · ")));
  if (data.empty) {
    main.append(element("section", { class: "warn" }, element("h2", {}, "Nothing to show"),
      element("p", {}, data.empty)));
  }
  if (data.losses.length) {
    main.append(element("section", { class: "warn", id: "incomplete" }, element("h2", {}, "Incomplete"),
      element("p", { class: "caption" }, "What this recording does not have. Read all below with it in mind."),
      element("ul", { class: "plain" }, data.losses.map((text) => element("li", {}, text)))));
  }
  main.append(element("div", { class: "cards" }, data.cards.map((card) =>
    element("div", { class: "card" }, element("div", { class: "label" }, card.label),
      element("b", {}, card.value), element("div", { class: "note" }, card.note)))));
  if (data.findings.length) findings();
});

const GRADES = { recording: "alarm", major: "alarm", minor: "notice", note: "" };

function findings() {
  const box = section("findings", "Findings", "What stands out, most important first, with what to look at next.");
  box.append(element("ol", { class: "findings" }, data.findings.map((finding) =>
    element("li", { class: finding.grade },
      element("h3", {}, finding.title, element("span", { class: "tag " + GRADES[finding.grade] }, finding.grade)),
      element("p", {}, finding.text),
      finding.evidence.length
        ? element("div", { class: "stats" }, finding.evidence.map((fact) =>
          element("span", {}, fact.name + " ", element("b", {}, measured(fact)))))
        : null))));
}

function measured(fact) {
  if (fact.unit === "ns") return time(fact.value);
  if (fact.unit === "share") return share(fact.value);
  if (fact.unit === "ratio") return digits(fact.value) + "×";
  const number = Number.isInteger(fact.value) ? count(fact.value) : digits(fact.value);
  const unit = fact.value === 1 ? fact.unit.replace(/(ch)es$|s$/, "$1") : fact.unit;
  return unit ? number + " " + unit : number;
}
