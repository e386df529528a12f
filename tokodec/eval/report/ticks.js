"use strict";

// Where an axis has its lines: 1, 2 and 5 times powers of ten.

function linearTicks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((n) => n * power >= rough * 0.999);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

function logTicks(low, high, count) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const n of [1, 2, 5]) all.push(Number((n * 10 ** power).toPrecision(3)));
  }
  const inside = all.filter((v) => v >= low * 0.999 && v <= high * 1.001);
  if (inside.length < 2) return linearTicks(low, high, count);
  if (inside.length <= count) return inside;
  const tens = inside.filter((v) => /^1(0*|e.*)$/.test(String(v)) || /^0\.0*1$/.test(String(v)));
  return tens.length >= 2 ? tens : inside.filter((_, i) => i % Math.ceil(inside.length / count) === 0);
}

// From values to pixels, with room at both ends.
function axis(values, start, stop, log, count) {
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (low === high) [low, high] = low ? [low - Math.abs(low) * 0.1, high + Math.abs(high) * 0.1] : [-1, 1];
  const by = log ? Math.log : (v) => v;
  const spare = (by(high) - by(low)) * 0.04;
  const [from, to] = [by(low) - spare, by(high) + spare];
  const at = (value) => start + ((stop - start) * (by(value) - from)) / (to - from);
  const back = log ? Math.exp : (v) => v;
  return { at, ticks: (log ? logTicks : linearTicks)(back(from), back(to), count) };
}

function tickText(value) {
  return Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-4) ? value.toExponential() : value.toLocaleString("en", { maximumFractionDigits: 6 });
}
