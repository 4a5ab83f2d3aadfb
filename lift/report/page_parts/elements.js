"use strict";

// Every text goes into the page as a text node: what a model wrote is never read as HTML.
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// A block of text that scrolls, with its heading; by keyboard too.
function block(heading, className, ...children) {
  const box = make("div", { className: `text ${className}`, tabIndex: 0, dir: "auto" }, ...children);
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", heading);
  return [make("h3", {}, heading), box];
}

// A table whose columns of numbers stand to the right.
function table(header, rows, className = "") {
  const isNumber = (content) => content === "" || /^[-+]?[\d.,:]+(e[-+]\d+| ?%| s)?$/.test(content);
  const kinds = header.map((_, column) => (rows.every((row) => isNumber(row[column])) ? "number" : ""));
  const line = (tag, row) => make("tr", {}, ...row.map((text, n) => make(tag, { className: kinds[n] }, text)));
  const [head, body] = [make("thead", {}, line("th", header)), make("tbody", {}, ...rows.map((row) => line("td", row)))];
  return make("div", { className: "wide" }, make("table", { className }, head, body));
}

// What the page shows: packed, so that no text of a model can end the script it stands in.
async function readData() {
  const packed = atob(document.getElementById("data").textContent);
  const bytes = Uint8Array.from(packed, (character) => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

// The name of a run among several.
const letter = (run) => String.fromCharCode(65 + run);
