"use strict";

// The curves: SVG of any two kinds of figures, drawn anew when anything is chosen.

const SVG = "http://www.w3.org/2000/svg";
const EDGE = { left: 62, right: 14, top: 10, bottom: 46 };
const SHAPES = ["M-4 0A4 4 0 1 0 4 0A4 4 0 1 0-4 0", "M-3.6-3.6H3.6V3.6H-3.6Z", "M0-5L4.6 3.4H-4.6Z", "M0-5.2L5.2 0L0 5.2L-5.2 0Z", "M0 5L4.6-3.4H-4.6Z"];

function draw(name, attributes, ...parts) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...parts);
  return element;
}

// All marks that are to be seen: where, and what they stand for.
function marks() {
  const found = [];
  data.contestants.forEach((contestant, index) => {
    if (chosen.hidden.has(index)) return;
    for (const point of contestant.points) {
      const [x, y] = [valueOf(point, chosen.x), valueOf(point, chosen.y)];
      if (typeof x === "number" && typeof y === "number" && !(chosen.log && x <= 0)) found.push({ index, contestant, point, x, y });
    }
  });
  return found;
}

function plot() {
  const box = $("plot");
  const seen = marks();
  const width = Math.max(280, box.clientWidth);
  const height = Math.round(Math.min(520, Math.max(300, width * 0.56)));
  if (!seen.length) {
    box.replaceChildren(make("p", { className: "empty", textContent: "Nobody who is shown has both figures." }));
    return;
  }
  const x = axis(seen.map((m) => m.x), EDGE.left, width - EDGE.right, chosen.log, width / 70);
  const y = axis(seen.map((m) => m.y), height - EDGE.bottom, EDGE.top, false, height / 55);
  const [across, up] = [columnOf.get(chosen.x), columnOf.get(chosen.y)];
  const label = `${up.title} over ${across.title}; ${seen.length} points`;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label });
  svg.append(...grid(x, y, width, height), ...titles(across, up, width, height));
  for (const index of new Set(seen.map((m) => m.index))) svg.append(...curve(seen.filter((m) => m.index === index), x, y));
  svg.append(...ring(seen, x, y));
  box.replaceChildren(svg);
}

function grid(x, y, width, height) {
  const [right, bottom] = [width - EDGE.right, height - EDGE.bottom];
  return [
    ...x.ticks.flatMap((v) => [
      draw("line", { x1: x.at(v), x2: x.at(v), y1: EDGE.top, y2: bottom }),
      draw("text", { x: x.at(v), y: bottom + 17, class: "mid" }, tickText(v)),
    ]),
    ...y.ticks.flatMap((v) => [
      draw("line", { x1: EDGE.left, x2: right, y1: y.at(v), y2: y.at(v) }),
      draw("text", { x: EDGE.left - 7, y: y.at(v) + 4, class: "end" }, tickText(v)),
    ]),
  ];
}

function direction(column) {
  return data.quality.includes(column.key) ? (column.higher ? " ▲" : " ▼") : "";
}

function titles(across, up, width, height) {
  const middle = (height - EDGE.bottom + EDGE.top) / 2;
  return [
    draw("text", { x: (EDGE.left + width - EDGE.right) / 2, y: height - 8, class: "mid title" }, across.title + direction(across)),
    draw("text", { transform: `translate(14 ${middle}) rotate(-90)`, class: "mid title" }, up.title + direction(up)),
  ];
}

function curve(own, x, y) {
  const [{ index, contestant }] = own;
  const sorted = [...own].sort((a, b) => a.x - b.x);
  const colour = `color:${colourOf(index)}`;
  const path = sorted.map((m) => `${x.at(m.x).toFixed(1)},${y.at(m.y).toFixed(1)}`).join(" ");
  const line = draw("polyline", { points: path, style: colour, class: contestant.foreign ? "foreign" : "" });
  const shape = SHAPES[index % SHAPES.length];
  const size = own.length > 1 ? 0.85 : 1.5;
  return [line, ...own.map((m) => mark(m, shape, size, colour, x, y))];
}

function mark(m, shape, size, colour, x, y) {
  const place = `translate(${x.at(m.x).toFixed(1)} ${y.at(m.y).toFixed(1)})`;
  const touch = draw("circle", { r: 11, class: "touch" });
  const group = draw("g", { transform: place, style: colour, class: "mark" }, touch, draw("path", { d: shape, transform: `scale(${size})` }));
  group.addEventListener("pointerenter", () => tell(m));
  group.addEventListener("click", () => choose({ point: { index: m.index, point: m.point }, asked: true }));
  return group;
}

// About the point that is chosen.
function ring(seen, x, y) {
  const m = seen.find((m) => chosen.point && m.point === chosen.point.point);
  return m ? [draw("circle", { cx: x.at(m.x), cy: y.at(m.y), r: 9, class: "ring" })] : [];
}

function tell(m) {
  const [across, up] = [columnOf.get(chosen.x), columnOf.get(chosen.y)];
  const count = chosen.scope < 0 && m.point.count ? `, mean of ${m.point.count} pictures` : "";
  $("point").textContent = `${pointName(m.contestant, m.point)}: ${withUnit(m.x, across)}, ${up.name} ${withUnit(m.y, up)}${count}`;
}

// Left and right along a curve, up and down between curves.
function step(key) {
  const seen = marks();
  if (!seen.length) return;
  const now = seen.find((m) => chosen.point && m.point === chosen.point.point);
  if (!now) return take(seen[0]);
  const own = seen.filter((m) => m.index === now.index).sort((a, b) => a.x - b.x);
  if (key === "ArrowLeft" || key === "ArrowRight") {
    const place = own.indexOf(now) + (key === "ArrowLeft" ? -1 : 1);
    return take(own[Math.max(0, Math.min(own.length - 1, place))]);
  }
  const others = [...new Set(seen.map((m) => m.index))];
  const place = others.indexOf(now.index) + (key === "ArrowUp" ? -1 : 1);
  const other = others[(place + others.length) % others.length];
  const near = (m) => Math.abs(chosen.log ? Math.log(m.x / now.x) : m.x - now.x);
  return take(seen.filter((m) => m.index === other).reduce((best, m) => (near(m) < near(best) ? m : best)));
}

function take(m) {
  choose({ point: { index: m.index, point: m.point } });
  tell(m);
}

function legend() {
  $("legend").replaceChildren(
    ...data.contestants.map((contestant, index) => {
      const shape = draw("path", { d: SHAPES[index % SHAPES.length], style: `color:${colourOf(index)}` });
      const button = make("button", { type: "button" }, draw("svg", { viewBox: "-6 -6 12 12", width: 12, height: 12, "aria-hidden": "true" }, shape), contestant.name);
      button.setAttribute("aria-pressed", String(!chosen.hidden.has(index)));
      button.addEventListener("click", () => toggle(index));
      return make("li", {}, button);
    }),
  );
}

function toggle(index) {
  const hidden = new Set(chosen.hidden);
  if (!hidden.delete(index)) hidden.add(index);
  choose({ hidden });
  $("legend").children[index].firstChild.focus();
}

function startPlot() {
  const columns = data.columns.map((c) => [c.key, c.title]);
  fill($("x"), columns, chosen.x);
  fill($("y"), columns, chosen.y);
  fill($("scope"), [[-1, "all pictures: means"], ...data.pictures.map((p, i) => [i, p.name])], chosen.scope);
  $("x").addEventListener("change", (event) => choose({ x: event.target.value }));
  $("y").addEventListener("change", (event) => choose({ y: event.target.value }));
  $("log").addEventListener("change", (event) => choose({ log: event.target.checked }));
  $("scope").addEventListener("change", (event) => choose({ scope: Number(event.target.value) }));
  $("plot").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      step(event.key);
    } else if (event.key === "Enter" && chosen.point) choose({ asked: true });
  });
  follow((changes) => {
    if ("scope" in changes) $("scope").value = chosen.scope;
    if ("hidden" in changes) legend();
    plot();
  });
  legend();
  plot();
  new ResizeObserver(plot).observe($("plot"));
}
