"use strict";

const VERDICTS = { right: "✓ right", wrong: "✗ wrong", none: "– no answer", unjudged: "· not judged" };
const ROWS_AT_A_TIME = 200;

const short = (text) => (text.length > 160 ? `${text.slice(0, 160)}…` : text);

function badge(answer, run, isCompared) {
  const kind = answer ? answer.verdict : "unjudged";
  const word = answer ? VERDICTS[kind] : "· not in this run";
  return make("span", { className: `verdict ${kind}` }, isCompared ? `${letter(run)} ${word}` : word);
}

function scores(data) {
  const isCompared = data.runs.length > 1;
  const header = ["task", "n", "metric", "score", "95 % interval", "", "forwards/token", "time"];
  const rows = data.scores.map((score, number) => {
    let bar = "";
    if (score.range) {
      const [low, value, high] = score.range.map((share) => 100 * share);
      const [interval, point] = [make("i"), make("b")];
      Object.assign(interval.style, { left: `${low}%`, width: `${high - low}%` });
      point.style.left = `${value}%`;
      bar = make("div", { className: "bar" }, interval, point);
    }
    const before = data.scores[number - 1];
    const isFirst = !before || before.run !== score.run || before.task !== score.task; // of its task: says it once
    const once = (text) => (isFirst ? text : "");
    const figures = [score.metric, score.score, score.interval, bar];
    const cells = [once(score.task), once(score.n), ...figures, once(score.per_token), once(score.time)];
    return isCompared ? [once(letter(score.run)), ...cells] : cells;
  });
  const notes = data.runs.map((run, number) =>
    make("p", { className: "note" }, (isCompared ? `${letter(number)} is ${run.name}: ` : "") + run.note));
  const names = [...new Set(data.runs.flatMap((run) => Object.keys(run.facts)))];
  const facts = names.map((name) => [name, ...data.runs.map((run) => run.facts[name] ?? "")]);
  const factHeader = ["", ...data.runs.map((run, number) => (isCompared ? letter(number) : ""))];
  return [
    table(isCompared ? ["run", ...header] : header, rows),
    ...notes,
    ...data.remarks.map((remark) => make("p", { className: "note" }, remark)),
    make("details", {}, make("summary", {}, "How this was run"), table(factHeader, facts, "facts")),
  ];
}

function answerOf(data, problem, run) {
  const answer = problem.answers[run];
  const isCompared = data.runs.length > 1;
  const heading = isCompared ? [make("h2", {}, `${letter(run)} · ${data.runs[run].name}`)] : [];
  if (!answer) return make("section", {}, ...heading, make("p", {}, "This run has no answer to this problem."));
  const parts = [...heading, make("p", {}, badge(answer, run, false), answer.reason ? `: ${answer.reason}` : "")];
  if (answer.prompt) parts.push(...block("Prompt of this run", "", answer.prompt));
  const key = make("div", {}, ...block("Key", "", problem.target));
  const found = make("div", {}, ...block("Answer as it was read", "", answer.answer ?? ""));
  parts.push(make("div", { className: "pair" }, ...(answer.answer === null ? [key] : [found, key])));
  if (answer.choices) parts.push(table(["log-likelihood", "continuation"], answer.choices, "facts"));
  else parts.push(...block("Output", "", answer.text));
  if (answer.steps) parts.push(...replay(answer, data.texts[run]));
  parts.push(make("p", { className: "note" }, answer.facts));
  return make("section", {}, ...parts);
}

function problemOf(data, problem) {
  const isCompared = data.runs.length > 1;
  const badges = problem.answers.map((answer, run) => badge(answer, run, isCompared));
  const place = make("span", { className: "place" }, `${problem.task} ${problem.name}`);
  const answers = problem.answers.map((answer) => (answer ? answer.answer ?? answer.text : "")).join(" | ");
  const gist = make("span", {}, make("bdi", {}, `${short(answers)}  (key ${short(problem.target)})`));
  const details = make("details", { className: "problem" }, make("summary", {}, ...badges, place, gist));
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    details.append(
      ...block("Prompt", "", problem.prompt),
      make("div", { className: "runs" }, ...data.runs.map((_, run) => answerOf(data, problem, run))),
    );
  });
  return details;
}

// The controls above the list, and a function that says whether a problem passes them.
function filters(data) {
  const choice = (label, options) => {
    const select = make("select", {}, ...options.map(([value, text]) => make("option", { value }, text)));
    return [make("label", {}, label, select), select];
  };
  const tasks = [...new Set(data.problems.map((problem) => problem.task))];
  const [taskLabel, task] = choice("Task", [["", "all"], ...tasks.map((name) => [name, name])]);
  const verdicts = data.runs.map((_, run) => {
    const kinds = Object.keys(VERDICTS).filter((kind) => data.problems.some((p) => p.answers[run]?.verdict === kind));
    const label = data.runs.length > 1 ? `Verdict of ${letter(run)}` : "Verdict";
    return choice(label, [["", "all"], ...kinds.map((kind) => [kind, VERDICTS[kind]])]);
  });
  const differ = make("input", { type: "checkbox" });
  const search = make("input", { type: "search", placeholder: "in prompts, keys and outputs" });
  const controls = [taskLabel, ...verdicts.map(([label]) => label)];
  if (data.runs.length > 1) controls.push(make("label", { className: "tick" }, differ, "only where verdicts differ"));
  controls.push(make("label", { className: "grows" }, "Text", search));
  const textOf = (problem) => [problem.prompt, problem.target, ...problem.answers.map((a) => a?.text ?? "")].join("\n");
  const passes = (problem) =>
    (!task.value || problem.task === task.value) &&
    verdicts.every(([, select], run) => !select.value || problem.answers[run]?.verdict === select.value) &&
    (!differ.checked || new Set(problem.answers.map((answer) => answer?.verdict)).size > 1) &&
    (!search.value || textOf(problem).toLowerCase().includes(search.value.toLowerCase()));
  return [controls, passes];
}

async function start() {
  const data = await readData();
  document.getElementById("scores").append(...scores(data));
  const [controls, passes] = filters(data);
  const form = document.getElementById("filters");
  form.append(...controls);
  const [count, list, more] = ["count", "problems", "more"].map((id) => document.getElementById(id));
  let found = [];
  const showMore = () => {
    const start = list.childElementCount;
    list.append(...found.slice(start, start + ROWS_AT_A_TIME).map((problem) => problemOf(data, problem)));
    more.hidden = list.childElementCount >= found.length;
  };
  const filter = () => {
    found = data.problems.filter(passes);
    count.textContent = `${found.length} of ${data.problems.length} answers`;
    list.replaceChildren();
    showMore();
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", showMore);
  filter();
}

start().catch((error) => {
  document.getElementById("count").textContent = `This browser cannot show the page: ${error.message}.`;
  throw error;
});
