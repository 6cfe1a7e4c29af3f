// How much was seen, and what it cost: the last part, its worst news stands at the top already.

parts.push(function recording() {
  const box = section("recording", "Recording", "How much of the program was seen, and what seeing it cost.");
  box.append(element("ul", { class: "plain" },
    data.coverage.concat(data.overhead ? [data.overhead] : []).map((text) => element("li", {}, text)),
    data.messages.map(([at, text]) => element("li", {}, "At " + time(at) + ": " + text))));
});
