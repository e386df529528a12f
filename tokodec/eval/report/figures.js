"use strict";

// What the page knows, and what is chosen on it. Whoever shows something of it says so with `follow`.

const data = JSON.parse(document.getElementById("data").textContent);
const columnOf = new Map(data.columns.map((column, at) => [column.key, { ...column, at }]));
const chosen = { scope: -1, x: "bpp", y: data.quality[0] || data.columns[0].key, log: true, hidden: new Set(), point: null };
const followers = [];

function follow(call) {
  followers.push(call);
}

function choose(changes) {
  Object.assign(chosen, changes);
  for (const call of followers) call(changes);
}

function $(name) {
  return document.getElementById(name);
}

function make(name, properties = {}, ...parts) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...parts);
  return element;
}

function format(value, column) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  return value.toLocaleString("en", { minimumFractionDigits: column.digits, maximumFractionDigits: column.digits });
}

function withUnit(value, column) {
  const text = format(value, column);
  return column.unit && typeof value === "number" ? `${text} ${column.unit}` : text;
}

// The figures of a point: its means, or those of one picture. A text says why there are none.
function valuesOf(point, scope = chosen.scope) {
  const found = scope < 0 ? point.values : point.rows[scope];
  return Array.isArray(found) ? found : null;
}

function valueOf(point, key, scope = chosen.scope) {
  const values = valuesOf(point, scope);
  return values ? values[columnOf.get(key).at] : null;
}

function settingName(point) {
  return point.setting === null ? "one rate" : `at ${Number(point.setting.toPrecision(3))}`;
}

function pointName(contestant, point) {
  return contestant.points.length > 1 && point.setting !== null ? `${contestant.name} ${settingName(point)}` : contestant.name;
}

function hasValue(column) {
  return data.contestants.some((c) => c.points.some((p) => typeof valueOf(p, column.key) === "number"));
}

function fill(select, options, value) {
  select.replaceChildren(...options.map(([key, text]) => new Option(text, key)));
  select.value = value;
}

const BRIGHT = ["#4269d0", "#d1730f", "#c7306a", "#27856c", "#7b4fb5", "#996b4f", "#2f9ac4", "#5d8a1f", "#d05a52", "#8a7500", "#5a6b7b"];

function colourOf(index) {
  return `var(--c${index % BRIGHT.length})`;
}
