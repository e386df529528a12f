"use strict";

// All points as a table that sorts by any column.

const order = { by: "", up: true }; // by the key of a column, "contestant" or "setting"; at first as they took part

function heading(by, text, about) {
  const cell = make("th", { scope: "col" });
  const button = make("button", { type: "button", textContent: text, title: about || "", value: by });
  if (order.by === by) {
    cell.setAttribute("aria-sort", order.up ? "ascending" : "descending");
    button.append(order.up ? " ↑" : " ↓");
  }
  button.addEventListener("click", () => {
    order.up = order.by === by ? !order.up : true;
    order.by = by;
    table();
    $("table").querySelector(`button[value="${by}"]`).focus();
  });
  cell.append(button);
  return cell;
}

function entries() {
  return data.contestants.flatMap((contestant, index) =>
    chosen.hidden.has(index) ? [] : contestant.points.map((point) => ({ contestant, index, point })).filter((e) => valuesOf(e.point) || reason(e.point)),
  );
}

function reason(point) {
  const row = chosen.scope < 0 ? null : point.rows[chosen.scope];
  return typeof row === "string" ? row : null;
}

function keyOf(entry) {
  if (order.by === "contestant") return entry.contestant.name;
  return order.by === "setting" ? entry.point.setting : valueOf(entry.point, order.by);
}

// What has no value comes last, whichever way round.
function compare(a, b) {
  const [p, q] = [keyOf(a), keyOf(b)];
  if (p === null || q === null) return (p === null) - (q === null);
  const by = typeof p === "number" && typeof q === "number" ? p - q : String(p).localeCompare(String(q));
  return order.up ? by : -by;
}

function best(columns, shown) {
  return columns.map((column) => {
    if (!data.quality.includes(column.key)) return null;
    const values = shown.map((e) => valueOf(e.point, column.key)).filter((v) => typeof v === "number");
    return values.length ? (column.higher ? Math.max : Math.min)(...values) : null;
  });
}

function line(entry, columns, tops) {
  const { contestant, index, point } = entry;
  const name = make("button", { type: "button", textContent: contestant.name, title: "Show its picture" });
  name.addEventListener("click", () => choose({ point: { index, point }, asked: true }));
  const swatch = make("span", { className: "swatch" });
  swatch.style.background = colourOf(index);
  const row = make("tr", {}, make("th", { scope: "row" }, swatch, name));
  row.append(make("td", { textContent: point.setting === null ? "–" : String(Number(point.setting.toPrecision(3))) }));
  const why = reason(point);
  if (why) row.append(make("td", { colSpan: columns.length, className: "why", textContent: why }));
  else {
    columns.forEach((column, i) => {
      const value = valueOf(point, column.key);
      row.append(make("td", { textContent: format(value, column), className: value !== null && value === tops[i] ? "best" : "" }));
    });
  }
  row.setAttribute("aria-selected", String(Boolean(chosen.point && chosen.point.point === point)));
  return row;
}

function table() {
  const columns = data.columns.filter(hasValue);
  const head = make("tr", {}, heading("contestant", "contestant"), heading("setting", "setting"));
  head.append(...columns.map((c) => heading(c.key, c.title + direction(c), c.about)));
  const shown = entries();
  if (order.by) shown.sort(compare);
  const tops = best(columns, shown);
  const [top, bottom] = $("table").children;
  top.replaceChildren(head);
  bottom.replaceChildren(...shown.map((entry) => line(entry, columns, tops)));
  $("scoped").textContent = chosen.scope < 0 ? "means over the pictures" : `of ${data.pictures[chosen.scope].name}`;
}
