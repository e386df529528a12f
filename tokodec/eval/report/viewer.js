"use strict";

// Which two pictures are on the stage, and their figures.

const shown = { picture: -1, left: "original", right: "" };

// Everyone who has pictures: a key, contestant and point.
const makers = data.contestants.flatMap((contestant, index) =>
  contestant.points
    .filter((point) => point.frames.some((frame) => typeof frame === "number"))
    .map((point, i) => ({ key: `${index}:${contestant.points.indexOf(point)}`, contestant, index, point })),
);
const looked = data.pictures.map((picture, i) => i).filter((i) => typeof data.pictures[i].frame === "number");

function makerOf(key) {
  return makers.find((m) => m.key === key) || null;
}

function frameOf(key) {
  const maker = makerOf(key);
  return maker ? maker.point.frames[shown.picture] : data.pictures[shown.picture].frame;
}

function sourceOf(key) {
  const frame = frameOf(key);
  return typeof frame === "number" ? `data:image/webp;base64,${$(`f${frame}`).textContent}` : "";
}

function makerName(maker) {
  if (!maker) return "original";
  const rate = valueOf(maker.point, "bpp", shown.picture);
  return `${pointName(maker.contestant, maker.point)}${typeof rate === "number" ? ` · ${withUnit(rate, columnOf.get("bpp"))}` : ""}`;
}

function show(changes) {
  Object.assign(shown, changes);
  const picture = data.pictures[shown.picture];
  const [left, top, right, bottom] = picture.window;
  const options = [["original", "original"], ...makers.map((m) => [m.key, makerName(m)])];
  $("picture").value = shown.picture;
  fill($("left"), options, shown.left);
  fill($("right"), options, shown.right);
  for (const [side, key] of [["A", shown.left], ["B", shown.right]]) {
    const { image, label } = panes[side];
    const source = sourceOf(key);
    if (image.src !== source) image.src = source;
    image.hidden = !source;
    image.alt = `${side}: ${picture.name}, ${makerName(makerOf(key))}`;
    label.textContent = `${side} ${makerName(makerOf(key))}${source ? "" : ": no picture"}`;
  }
  look({ size: [right - left, bottom - top], box: changes.box || null });
  sides();
}

function sides() {
  const columns = data.columns.filter((c) => makers.some((m) => typeof valueOf(m.point, c.key, shown.picture) === "number"));
  const [head, body] = $("sides").children;
  const picture = data.pictures[shown.picture];
  head.replaceChildren(make("tr", {}, make("th", { scope: "col", textContent: picture.name }), ...columns.map((c) => make("th", { scope: "col", textContent: c.title }))));
  body.replaceChildren(...[["A", shown.left], ["B", shown.right]].map(([side, key]) => sideLine(side, makerOf(key), columns)));
}

function sideLine(side, maker, columns) {
  const name = maker ? pointName(maker.contestant, maker.point) : "original";
  const cells = columns.map((c) => make("td", { textContent: maker ? format(valueOf(maker.point, c.key, shown.picture), c) : "–" }));
  return make("tr", {}, make("th", { scope: "row", textContent: `${side} ${name}` }), ...cells);
}

function turn(by) {
  const place = looked.indexOf(shown.picture) + by;
  show({ picture: looked[(place + looked.length) % looked.length] });
}

function exchange() {
  show({ left: shown.right, right: shown.left });
}

// The setting with pictures that comes nearest in rate.
function nearest(index, point) {
  const own = makers.filter((m) => m.index === index);
  const far = (m) => Math.abs(Math.log((valueOf(m.point, "bpp", -1) || 1e-9) / (valueOf(point, "bpp", -1) || 1e-9)));
  return own.length ? own.reduce((best, m) => (far(m) < far(best) ? m : best)) : null;
}

// The middle setting of the first model, or of whoever there is.
function first() {
  const index = (makers.find((m) => m.contestant.model) || makers[0]).index;
  const own = makers.filter((m) => m.index === index);
  return own[Math.floor((own.length - 1) / 2)];
}

function startViewer() {
  if (!looked.length || !makers.length) return;
  $("viewer").hidden = false;
  startStage();
  fill($("picture"), looked.map((i) => [i, data.pictures[i].name]), looked[0]);
  $("picture").addEventListener("change", (event) => show({ picture: Number(event.target.value) }));
  $("left").addEventListener("change", (event) => show({ left: event.target.value }));
  $("right").addEventListener("change", (event) => show({ right: event.target.value }));
  $("before").addEventListener("click", () => turn(-1));
  $("after").addEventListener("click", () => turn(1));
  follow((changes) => {
    if (looked.includes(changes.scope)) show({ picture: changes.scope });
    if (!("point" in changes) && !changes.asked) return;
    const maker = chosen.point && nearest(chosen.point.index, chosen.point.point);
    if (maker) show({ right: maker.key });
    if (maker && changes.asked) {
      $("viewer").scrollIntoView({ block: "start" });
      $("stage").focus({ preventScroll: true });
    }
  });
  show({ picture: looked[0], right: first().key });
}
