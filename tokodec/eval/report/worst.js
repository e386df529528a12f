"use strict";

// Lists of what came out worst: pictures by a measure, texts and faces by their judge. A click shows it.

const WORST = 12;

function lists() {
  const measures = data.quality.map((key) => [`m:${key}`, columnOf.get(key).title]);
  const judges = [...new Set(data.boxes.map((b) => b.judge))].map((judge) => [`j:${judge}`, `${judge}, one by one`]);
  return [...measures, ...judges];
}

function worstPictures(maker, key) {
  const column = columnOf.get(key);
  const found = data.pictures.map((picture, i) => ({ i, value: valueOf(maker.point, key, i) })).filter((p) => typeof p.value === "number");
  found.sort((a, b) => (column.higher ? a.value - b.value : b.value - a.value));
  return found.slice(0, WORST).map(({ i, value }) => ({
    text: data.pictures[i].name,
    value: withUnit(value, column),
    go: looked.includes(i) ? () => show({ picture: i, right: maker.key }) : null,
  }));
}

function worstBoxes(maker, judge) {
  const list = data.boxes.find((b) => b.judge === judge && b.contestant === maker.contestant.name && b.setting === maker.point.setting);
  return (list ? list.parts : []).map((part) => ({
    text: `${data.pictures[part.picture].name} ${part.words}`,
    value: `${list.score} ${Number(part.value.toPrecision(3))}`,
    go: () => jump(maker, part),
  }));
}

function jump(maker, part) {
  const [left, top, right, bottom] = data.pictures[part.picture].window;
  const box = [part.box[0] - left, part.box[1] - top, part.box[2] - left, part.box[3] - top];
  show({ picture: part.picture, right: maker.key });
  if (box[0] < right - left && box[1] < bottom - top && box[2] > 0 && box[3] > 0) lookAt(box);
}

function item({ text, value, go }) {
  const words = [make("span", { textContent: text }), make("b", { textContent: value })];
  if (!go) return make("li", { title: "Its picture is not in this page" }, make("span", { className: "still" }, ...words));
  const button = make("button", { type: "button" }, ...words);
  button.addEventListener("click", () => {
    go();
    $("stage").scrollIntoView({ block: "nearest" });
  });
  return make("li", {}, button);
}

function worst() {
  const maker = makerOf($("whose").value);
  const [kind, name] = [$("by").value.slice(0, 1), $("by").value.slice(2)];
  const found = kind === "m" ? worstPictures(maker, name) : worstBoxes(maker, name);
  $("list").replaceChildren(...found.map(item));
  if (!found.length) $("list").append(make("li", { textContent: "nothing that is shown" }));
}

function startWorst() {
  if (!looked.length || !makers.length) return;
  const names = makers.map((m) => [m.key, `${pointName(m.contestant, m.point)} · ${withUnit(valueOf(m.point, "bpp", -1), columnOf.get("bpp"))}`]);
  fill($("whose"), names, shown.right);
  fill($("by"), lists(), lists()[0][0]);
  $("whose").addEventListener("change", () => {
    worst();
    show({ right: $("whose").value });
  });
  $("by").addEventListener("change", worst);
  follow((changes) => {
    if (!("point" in changes)) return;
    $("whose").value = shown.right;
    worst();
  });
  worst();
}
