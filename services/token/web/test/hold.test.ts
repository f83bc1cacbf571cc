import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldToTalk } from "../src/hold.ts";

/** What the button gets, as a browser would send it. */
function begin() {
  const button = new EventTarget();
  const page = new EventTarget();
  const held: boolean[] = [];
  const hold = new HoldToTalk(button as HTMLElement, (is) => held.push(is), page);
  const send = (type: string, more: object = {}, to = button): Event => {
    const event = Object.assign(new Event(type, { cancelable: true }), more);
    to.dispatchEvent(event);
    return event;
  };
  const press = (more: object = {}) => send("pointerdown", { button: 0, isPrimary: true, pointerId: 1, ...more });
  const key = (type: string, name: string, repeat = false) => send(type, { key: name, repeat });
  return { button, page, held, hold, send, press, key };
}

for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
  test(`a pointer holds it until ${end}`, () => {
    const { held, send, press } = begin();
    press();
    assert.deepEqual(held, [true]);
    send(end);
    send(end);
    assert.deepEqual(held, [true, false]);
  });
}

for (const name of [" ", "Enter"]) {
  test(`the key ${JSON.stringify(name)} holds it, without a click of its own`, () => {
    const { held, key } = begin();
    assert.ok(key("keydown", name).defaultPrevented);
    assert.ok(key("keydown", name, true).defaultPrevented);
    assert.deepEqual(held, [true]);
    assert.ok(key("keyup", name).defaultPrevented);
    assert.deepEqual(held, [true, false]);
  });
}

test("other keys do what they do, and a key that was pressed elsewhere is no press", () => {
  const { held, key } = begin();
  assert.ok(!key("keydown", "Tab").defaultPrevented);
  key("keydown", " ", true);
  key("keyup", " ");
  assert.deepEqual(held, []);
});

test("another window, or a page that goes away, lets it go", () => {
  const { held, page, send, press, key } = begin();
  press();
  send("blur", {}, page);
  key("keydown", " ");
  send("pagehide", {}, page);
  assert.deepEqual(held, [true, false, true, false]);
});

test("a second finger and another button of the mouse are nothing", () => {
  const { held, press } = begin();
  press({ isPrimary: false });
  press({ button: 2 });
  assert.deepEqual(held, []);
});

test("two ways at once are one hold, and end where it began", () => {
  const { held, send, press, key } = begin();
  press();
  key("keydown", " ");
  key("keyup", " ");
  assert.deepEqual(held, [true]);
  send("pointerup");
  assert.deepEqual(held, [true, false]);
});

test("a click of a screen reader presses it, the next one lets it go", () => {
  const { held, send } = begin();
  send("click");
  assert.deepEqual(held, [true]);
  send("click");
  assert.deepEqual(held, [true, false]);
});

test("the click that ends a pointer's press is none of its own", () => {
  const { held, send, press } = begin();
  press();
  send("pointerup");
  send("click");
  assert.deepEqual(held, [true, false]);
  press();
  send("pointercancel");
  send("click");
  assert.deepEqual(held, [true, false, true, false, true]);
});

test("it can be let go from outside, once", () => {
  const { held, hold, send, press } = begin();
  hold.release();
  press();
  hold.release();
  send("pointerup");
  assert.deepEqual(held, [true, false]);
});

test("the finger may slide away, and opens no menu", () => {
  const { button, send, press } = begin();
  const captured: number[] = [];
  Object.assign(button, { setPointerCapture: (id: number) => captured.push(id) });
  press();
  assert.deepEqual(captured, [1]);
  assert.ok(send("contextmenu").defaultPrevented);
});
