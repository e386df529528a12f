// Runs page.js against as much of a document as it needs, and moves about with keys. Prints what the reader is told.
"use strict";
const [script, text] = process.argv.slice(2);

class Element {
  constructor(parts = {}) {
    Object.assign(this, { parts, style: {}, heard: {}, children: [], clientWidth: 100, clientHeight: 96, scrollTop: 0, hidden: false });
  }
  querySelector(name) {
    return this.parts[name];
  }
  addEventListener(name, call) {
    this.heard[name] = call;
  }
  getContext() {
    return { drawImage: () => {} };
  }
  getBoundingClientRect() {
    return { left: 0, top: 0 };
  }
  append(...items) {
    this.children.push(...items);
  }
  replaceChildren(...items) {
    this.children = items;
  }
  decode() {
    return { then: (call) => call() };
  }
}

const names = ["script", "div", "img", "aside"];
const parts = Object.fromEntries(names.map((name) => [name, new Element()]));
parts.script.textContent = text;
parts.div.parts = { canvas: new Element(), ".mark": new Element() };
parts.aside.parts = Object.fromEntries(["input", ".large", ".told", ".near"].map((name) => [name, new Element()]));
globalThis.document = { querySelectorAll: () => [new Element(parts)], createElement: () => new Element() };
globalThis.ResizeObserver = class {
  observe() {}
};
require(script);

const told = () => [parts.aside.parts[".told"].textContent, parts.aside.parts[".near"].children.map((item) => item.children[0].children[1])];
const seen = { start: told() };
for (const key of ["ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowLeft", "End", "Home", "PageDown"]) {
  let kept = 0;
  parts.div.heard.keydown({ key, preventDefault: () => (kept += 1) });
  seen[`${Object.keys(seen).length} ${key}`] = [told()[0].split("\n")[0], kept];
}
parts.div.parts.canvas.heard.pointermove({ clientX: 30, clientY: 5 });
seen.hover = told()[0];
parts.div.parts.canvas.heard.pointerleave();
seen.left = told()[0];
parts.div.parts.canvas.heard.click({ clientX: 55, clientY: 30 });
seen.click = [told()[0], { ...parts.div.parts[".mark"].style }];
parts.aside.parts[".near"].children[0].children[0].heard.click();
seen.near = told()[0];
parts.aside.parts.input.valueAsNumber = 40;
parts.aside.parts.input.heard.change();
seen.typed = told()[0];
console.log(JSON.stringify(seen));
