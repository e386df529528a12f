"use strict";

const SMALLEST = 24; // pixels of a tile on the screen, for codebooks that leave room for it
const MANY = 4096;

function atlas(box) {
  const data = JSON.parse(box.querySelector("script").textContent);
  const { side, columns, total, ids, counts, neighbours, distances } = data;
  const [sheet, image, aside] = ["div", "img", "aside"].map((name) => box.querySelector(name));
  const [field, mark] = [sheet.querySelector("canvas"), sheet.querySelector(".mark")];
  const [number, large, told, near] = ["input", ".large", ".told", ".near"].map((name) => aside.querySelector(name));
  const places = new Map(ids.map((id, place) => [id, place]));
  const zoom = Math.max(1, Math.ceil((ids.length > MANY ? 16 : SMALLEST) / side));
  const tile = side * zoom;
  let across = 1;
  let chosen = 0;

  function draw(context, place, x, y, size) {
    context.imageSmoothingEnabled = false;
    context.drawImage(image, (place % columns) * side, Math.floor(place / columns) * side, side, side, x, y, size, size);
  }

  function lay() {
    const now = Math.max(1, Math.min(ids.length, Math.floor(sheet.clientWidth / tile)));
    if (now !== across || field.width !== across * tile) {
      across = now;
      field.width = across * tile;
      field.height = Math.ceil(ids.length / across) * tile;
      const context = field.getContext("2d");
      ids.forEach((_, place) => draw(context, place, (place % across) * tile, Math.floor(place / across) * tile, tile));
    }
    put();
  }

  function put() {
    const [x, y] = [(chosen % across) * tile, Math.floor(chosen / across) * tile];
    Object.assign(mark.style, { left: `${x}px`, top: `${y}px`, width: `${tile}px`, height: `${tile}px` });
  }

  function tell(place) {
    const share = total ? ((100 * counts[place]) / total).toPrecision(3) : "0";
    const often = counts[place] ? `${counts[place].toLocaleString("en")} times, ${share} %` : "never seen";
    told.textContent = `id ${ids[place]}\nrank ${place + 1} of ${ids.length}\n${often}`;
    const context = large.getContext("2d");
    draw(context, place, 0, 0, large.width);
    near.replaceChildren(...(neighbours[place] || []).map((id, i) => neighbour(id, distances[place][i])));
  }

  function neighbour(id, far) {
    const [item, button, canvas] = ["li", "button", "canvas"].map((name) => document.createElement(name));
    canvas.width = canvas.height = 48;
    draw(canvas.getContext("2d"), places.get(id), 0, 0, 48);
    button.type = "button";
    button.title = `distance ${far}`;
    button.append(canvas, String(id));
    button.addEventListener("click", () => choose(places.get(id)));
    item.append(button);
    return item;
  }

  function choose(place) {
    chosen = Math.max(0, Math.min(ids.length - 1, place));
    number.value = ids[chosen];
    put();
    tell(chosen);
    const y = Math.floor(chosen / across) * tile;
    if (y < sheet.scrollTop) sheet.scrollTop = y;
    if (y + tile > sheet.scrollTop + sheet.clientHeight) sheet.scrollTop = y + tile - sheet.clientHeight;
  }

  function under(event) {
    const frame = field.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top].map((at) => Math.floor(at / tile));
    const place = y * across + x;
    return x >= 0 && x < across && place >= 0 && place < ids.length ? place : null;
  }

  field.addEventListener("pointermove", (event) => under(event) !== null && tell(under(event)));
  field.addEventListener("pointerleave", () => tell(chosen));
  field.addEventListener("click", (event) => under(event) !== null && choose(under(event)));
  sheet.addEventListener("keydown", (event) => {
    const page = across * Math.max(1, Math.floor(sheet.clientHeight / tile) - 1);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, PageUp: -page, PageDown: page };
    const ends = { Home: 0, End: ids.length - 1 };
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in steps || event.key in ends)) return;
    event.preventDefault();
    choose(event.key in ends ? ends[event.key] : chosen + steps[event.key]);
  });
  number.addEventListener("change", () => choose(places.has(number.valueAsNumber) ? places.get(number.valueAsNumber) : chosen));
  image.hidden = true;
  for (const part of [field, mark, aside]) part.hidden = false;
  lay();
  new ResizeObserver(lay).observe(sheet);
  choose(0);
}

for (const box of document.querySelectorAll(".atlas")) {
  const image = box.querySelector("img");
  image.decode().then(() => atlas(box));
}
