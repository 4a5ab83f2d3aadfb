"use strict";

// The tokens of an answer, coloured by the step that wrote them, with a slider that goes through the steps.
function replay(answer, textOf) {
  const numSteps = answer.steps.reduce((most, step) => Math.max(most, step), -1) + 1;
  const spans = answer.tokens.map((token, place) => {
    const isRest = place >= answer.written;
    const text = textOf[token] ?? `[${token}]`;
    const step = answer.steps[place];
    const title = step < 0 ? "padding" : `step ${step + 1}`;
    const span = make("span", { className: isRest ? "token rest" : "token", title }, isRest ? "▪" : text);
    if (isRest) span.title += `: ${text}, after the end`;
    span.style.setProperty("--share", Math.max(0, step) / Math.max(1, numSteps - 1));
    return span;
  });
  const slider = make("input", { type: "range", min: 0, max: numSteps, value: numSteps });
  slider.setAttribute("aria-label", "Steps shown");
  const label = make("output");
  const button = make("button", { type: "button" }, "Play");
  const show = () => {
    const shown = Number(slider.value);
    label.textContent = `step ${shown} of ${numSteps}`;
    spans.forEach((span, place) => {
      span.classList.toggle("masked", answer.steps[place] >= shown);
      span.classList.toggle("new", shown < numSteps && answer.steps[place] === shown - 1);
    });
  };
  player(button, slider, show, Math.max(30, Math.min(400, 6000 / numSteps)));
  const scale = make("span", { className: "scale" });
  const legend = make("p", { className: "note" }, "first step", scale, "last step; ▪ stands behind the end");
  return [
    ...block("Order in which tokens were unmasked", "tokens", ...spans),
    make("div", { className: "player" }, button, slider, label),
    legend,
  ];
}
