"use strict";

// Two pictures on top of or beside each other. It knows nothing of who made them.

const view = { mode: "slider", zoom: null, x: 0, y: 0, split: 0.5, gain: 8, over: true, size: [1, 1] };
const MODES = { slider: "slider", blink: "blink", beside: "side by side", difference: "difference" };
const STEPS = [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 12, 16];
const panes = {};
let blinking = 0;

function startStage() {
  for (const side of ["A", "B"]) {
    const image = make("img", { alt: "", draggable: false });
    const label = make("span", { className: `who ${side}` });
    panes[side] = { image, label, box: make("div", { className: `pane ${side}` }, image) };
  }
  panes.bar = make("div", { className: "bar" });
  panes.frame = make("div", { className: "box", hidden: true });
  $("stage").append(make("div", { className: "pair" }, panes.A.box, panes.B.box), panes.A.label, panes.B.label, panes.bar, panes.frame);
  for (const [mode, name] of Object.entries(MODES)) {
    const button = make("button", { type: "button", textContent: name, value: mode });
    button.addEventListener("click", () => look({ mode }));
    $("modes").append(button);
  }
  $("smaller").addEventListener("click", () => zoomBy(-1));
  $("larger").addEventListener("click", () => zoomBy(1));
  $("fit").addEventListener("click", () => look({ zoom: null, x: 0, y: 0 }));
  $("gain").addEventListener("change", (event) => look({ gain: Number(event.target.value) }));
  $("stage").addEventListener("keydown", stageKeys);
  drags();
  new ResizeObserver(() => look({})).observe($("stage"));
}

function look(changes) {
  Object.assign(view, changes);
  clearInterval(blinking);
  if ("mode" in changes) view.over = true;
  if (view.mode === "blink") blinking = setInterval(() => flip(), 700);
  lay();
}

function flip() {
  view.over = !view.over;
  lay();
}

function scaleNow() {
  const [width, height] = room();
  return view.zoom ?? Math.min(width / view.size[0], height / view.size[1], Math.max(1, Math.floor(width / view.size[0])));
}

function room() {
  const stage = $("stage");
  return [view.mode === "beside" ? stage.clientWidth / 2 : stage.clientWidth, stage.clientHeight];
}

function lay() {
  const stage = $("stage");
  const [width, height] = room();
  const scale = scaleNow();
  const [w, h] = view.size.map((n) => n * scale);
  const reach = (free, at) => (free >= 0 ? free / 2 : Math.max(free, Math.min(0, free / 2 + at)));
  const [left, top] = [reach(width - w, view.x), reach(height - h, view.y)];
  if (w <= width) view.x = 0;
  else view.x = left - (width - w) / 2;
  if (h <= height) view.y = 0;
  else view.y = top - (height - h) / 2;
  stage.dataset.mode = view.mode;
  stage.style.setProperty("--gain", view.gain);
  for (const side of ["A", "B"]) {
    const { image, box } = panes[side];
    Object.assign(image.style, { width: `${w}px`, height: `${h}px`, left: `${left}px`, top: `${top}px`, imageRendering: scale >= 2 ? "pixelated" : "auto" });
    box.style.clipPath = "";
  }
  const split = Math.max(0, Math.min(width, view.split * width));
  if (view.mode === "slider") {
    panes.A.box.style.clipPath = `inset(0 ${width - split}px 0 0)`;
    panes.B.box.style.clipPath = `inset(0 0 0 ${split}px)`;
  }
  if (view.mode === "slider" && !view.over) panes.A.box.style.clipPath = "";
  const away = view.mode === "blink" ? (view.over ? "A" : "B") : view.mode === "slider" && !view.over ? "B" : "";
  for (const side of ["A", "B"]) panes[side].box.style.visibility = panes[side].label.style.visibility = side === away ? "hidden" : "";
  panes.bar.style.left = `${split}px`;
  panes.bar.hidden = view.mode !== "slider" || !view.over;
  $("zoom").textContent = `${Math.round(scale * 100)} %`;
  $("gained").hidden = view.mode !== "difference";
  for (const button of $("modes").children) button.setAttribute("aria-pressed", String(button.value === view.mode));
  outline(left, top, scale);
}

// The text or face that was jumped to.
function outline(left, top, scale) {
  panes.frame.hidden = !view.box;
  if (!view.box) return;
  const [x0, y0, x1, y1] = view.box.map((n) => n * scale);
  Object.assign(panes.frame.style, { left: `${left + x0}px`, top: `${top + y0}px`, width: `${x1 - x0}px`, height: `${y1 - y0}px` });
}

function zoomBy(steps, at) {
  const now = scaleNow();
  const next = steps > 0 ? STEPS.find((s) => s > now * 1.01) : [...STEPS].reverse().find((s) => s < now * 0.99);
  if (!next) return;
  const [width, height] = room();
  const [dx, dy] = at ? [at[0] - width / 2, at[1] - height / 2] : [0, 0];
  const ratio = next / now;
  look({ zoom: next, x: dx + (view.x - dx) * ratio, y: dy + (view.y - dy) * ratio });
}

// Bring a box of the picture to the middle, large enough to read.
function lookAt(box) {
  const [width, height] = room();
  const [wide, high] = [box[2] - box[0], box[3] - box[1]];
  const most = Math.min(width / (wide * 1.6), height / (high * 1.6), 8);
  const zoom = [...STEPS].reverse().find((s) => s <= most) || STEPS[0];
  const middle = [(box[0] + box[2]) / 2 - view.size[0] / 2, (box[1] + box[3]) / 2 - view.size[1] / 2];
  look({ zoom, x: -middle[0] * zoom, y: -middle[1] * zoom, box });
}

function drags() {
  const stage = $("stage");
  let held = null;
  const at = (event) => {
    const frame = stage.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  };
  stage.addEventListener("pointerdown", (event) => {
    const [x] = at(event);
    const slides = view.mode === "slider" && !event.shiftKey && (view.zoom === null || Math.abs(x - view.split * stage.clientWidth) < 24);
    held = { slides, from: at(event), x: view.x, y: view.y };
    stage.setPointerCapture(event.pointerId);
    if (slides) look({ split: x / stage.clientWidth });
  });
  stage.addEventListener("pointermove", (event) => {
    if (!held) return;
    const [x, y] = at(event);
    if (held.slides) look({ split: x / stage.clientWidth });
    else look({ x: held.x + x - held.from[0], y: held.y + y - held.from[1] });
  });
  for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, () => (held = null));
  stage.addEventListener(
    "wheel",
    (event) => {
      if (document.activeElement !== stage && !event.ctrlKey) return; // a page that scrolls past must scroll
      event.preventDefault();
      const [width] = room();
      const [x, y] = at(event);
      zoomBy(event.deltaY < 0 ? 1 : -1, [x % width, y]);
    },
    { passive: false },
  );
}

function stageKeys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const others = {
    "+": () => zoomBy(1), "=": () => zoomBy(1), "-": () => zoomBy(-1), 0: () => look({ zoom: null, x: 0, y: 0 }), " ": flip,
    ",": () => turn(-1), ".": () => turn(1), x: exchange,
    1: () => look({ mode: "slider" }), 2: () => look({ mode: "blink" }), 3: () => look({ mode: "beside" }), 4: () => look({ mode: "difference" }),
  };
  if (event.key in moves) {
    const [x, y] = moves[event.key];
    if (view.mode === "slider" && y === 0 && !event.shiftKey) look({ split: Math.max(0, Math.min(1, view.split - x * 0.05)) });
    else look({ x: view.x + x * 40, y: view.y + y * 40 });
  } else if (event.key in others) others[event.key]();
  else return;
  event.preventDefault();
}
