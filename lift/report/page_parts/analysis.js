"use strict";

// Light and dark are two pictures, as a picture knows nothing of the page's colours.
function figureOf({ title, caption, light, dark }) {
  const source = make("source", { srcset: dark, media: "(prefers-color-scheme: dark)" });
  const image = make("img", { src: light, alt: `${title}. ${caption}` });
  const note = make("figcaption", { className: "note" }, caption);
  return make("figure", {}, make("picture", {}, source, image), note);
}

function tokenTable(tokens, header) {
  const rows = tokens.map(({ text, count, mean, before, after }) => [
    make("mark", {}, text),
    count.toLocaleString("en"),
    mean.toFixed(2),
    make("bdi", { className: "context" }, before.join(" "), " ", make("mark", {}, text), " ", after.join(" ")),
  ]);
  return table(["token", "masked", header, "where it was masked first"], rows);
}

function tokensOf(data) {
  const header = data.gain ? "gain, nats" : "gold log-prob, nats";
  const [most, least] = data.gain ? ["gained", "lost or gained least"] : ["most learnable", "least learnable"];
  return [
    make("h2", {}, `The tokens that are ${most}`.replace("are gained", "gained most")),
    tokenTable(data.tokens.most, header),
    make("h2", {}, `The tokens that are ${least}`.replace("are lost", "lost")),
    tokenTable(data.tokens.least, header),
    make("p", { className: "note" }, "Means over all ratios, of tokens that were masked at least 20 times where there are such."),
  ];
}

function choice(label, names) {
  const select = make("select", {}, ...names.map((name, value) => make("option", { value }, name)));
  return [make("label", {}, label, select), select];
}

// Texts whose tokens are coloured by the probability that the model gave them where they were masked.
function examplesOf(data) {
  const [ratioLabel, ratio] = choice("Mask ratio", data.ratios.map((number) => number.toFixed(2)));
  const [runLabel, run] = choice("Model", data.runs.map((one, number) => `${letter(number)}: ${one.name}`));
  const list = make("div");
  const show = () => {
    const examples = data.runs[Number(run.value)].examples;
    list.replaceChildren(
      ...data.examples.flatMap((example, number) => {
        const found = examples[number]?.[ratio.value] ?? {};
        const spans = example.tokens.map((text, place) => {
          const p = found[place];
          if (p === undefined) return make("span", { className: "token plain" }, text);
          const span = make("span", { className: "token", title: `probability ${p}` }, text);
          span.style.setProperty("--share", p);
          return span;
        });
        return block(example.name, "tokens", ...spans.flatMap((span) => [span, " "]));
      }),
    );
  };
  const form = make("form", {}, ...(data.runs.length > 1 ? [runLabel] : []), ratioLabel);
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  ratio.value = String(Math.floor(data.ratios.length / 2));
  run.value = String(data.runs.length - 1);
  show();
  const scale = make("span", { className: "scale" });
  const legend = make("p", { className: "note" }, "gold probability 0", scale, "1; without colour: not masked");
  return [make("h2", {}, "Examples"), form, legend, list];
}

function varianceOf({ variance }, whose) {
  const note = make("p", { className: "note" }, variance.note);
  return make("details", {}, make("summary", {}, `Variance of the gradient${whose}`), table(variance.header, variance.rows), note);
}

function numbersOf(data) {
  const isCompared = data.runs.length > 1;
  const header = ["frequency", "ratio", "tokens", "confidence", "correct", "gold prob", "gold log-prob"];
  const name = (number) => (isCompared ? `Numbers of ${letter(number)}, ${data.runs[number].name}` : "Numbers");
  const keptHeader = ["time t", "mode", "kept", "gold prob of kept", "of what is put back"];
  const bands = data.runs.map((run, number) =>
    make("details", {}, make("summary", {}, name(number)), table(header, run.bands), table(keptHeader, run.kept)));
  bands.push(...data.runs.flatMap((run, number) => (run.variance ? [varianceOf(run, isCompared ? ` of ${letter(number)}` : "")] : [])));
  if (data.gain) {
    const gained = table(["frequency", "ratio", "tokens", "gain, nats"], data.gain);
    bands.unshift(make("details", {}, make("summary", {}, "Numbers of the gain"), gained));
  }
  const names = [...new Set(data.runs.flatMap((run) => Object.keys(run.facts)))];
  const facts = names.map((fact) => [fact, ...data.runs.map((run) => run.facts[fact] ?? "")]);
  const factHeader = ["", ...data.runs.map((_, number) => (isCompared ? letter(number) : ""))];
  const how = make("details", {}, make("summary", {}, "How this was made"), table(factHeader, facts, "facts"));
  return [make("h2", {}, "Behind the figures"), ...bands, how];
}

async function start() {
  const data = await readData();
  const parts = { figures: data.figures.map(figureOf), tokens: tokensOf(data), examples: examplesOf(data), numbers: numbersOf(data) };
  for (const [id, elements] of Object.entries(parts)) document.getElementById(id).append(...elements);
  document.getElementById("count").textContent = data.runs
    .map((run, number) => (data.runs.length > 1 ? `${letter(number)} is ${run.name}: ` : "") + `${run.facts.num_examples} examples of ${run.facts.num_tokens} tokens`)
    .join("; ");
}

start().catch((error) => {
  document.getElementById("count").textContent = `This browser cannot show the page: ${error.message}.`;
  throw error;
});
