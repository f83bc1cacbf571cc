import assert from "node:assert/strict";
import { test } from "node:test";
import { TurnClock } from "../src/latency.ts";
import { Life, type Mood } from "../src/life.ts";
import { BUFFER_S, MotionBuffer, QUIET_S } from "../src/motion.ts";
import { NEUTRAL, portrait, portraitSvg } from "../src/portrait.ts";

function packet(seq: number, req: number, pos_ms: number, jawOpen: number): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ v: 1, seq, req, pos_ms, w: { jawOpen, mouthWide: 0 } }));
}

function near(found: number | undefined, wanted: number): void {
  assert.ok(found !== undefined && Math.abs(found - wanted) < 0.02, `${found} is not ${wanted}`);
}

test("a pose is shown a buffer's time after its packet, and between two it is in between", () => {
  const buffer = new MotionBuffer();
  buffer.push(packet(1, 1, 0, 0), 10);
  buffer.push(packet(2, 1, 40, 1), 10.04);
  near(buffer.at(10.01)?.jawOpen, 0);
  near(buffer.at(10 + BUFFER_S + 0.02)?.jawOpen, 0.5);
  near(buffer.at(10 + BUFFER_S + 0.04)?.jawOpen, 1);
});

test("late arrival does not move the mouth in time", () => {
  const buffer = new MotionBuffer();
  buffer.push(packet(1, 1, 0, 0), 10);
  buffer.push(packet(2, 1, 40, 0.5), 10.11);
  buffer.push(packet(3, 1, 80, 1), 10.11);
  near(buffer.at(10 + BUFFER_S + 0.08)?.jawOpen, 1);
});

test("old, repeated and malformed packets are dropped", () => {
  const buffer = new MotionBuffer();
  assert.equal(buffer.push(packet(5, 2, 0, 0), 1), true);
  assert.equal(buffer.push(packet(5, 2, 0, 1), 1), false);
  assert.equal(buffer.push(packet(4, 2, 0, 1), 1), false);
  assert.equal(buffer.push(packet(6, 1, 0, 1), 1), false);
  for (const text of ["", "{", "{}", '{"v":2}', '{"v":1,"seq":9,"req":2,"pos_ms":null,"w":{}}']) {
    assert.equal(buffer.push(new TextEncoder().encode(text), 1), false);
  }
});

test("after silence there is no pose; an interrupt ends it at once", () => {
  const buffer = new MotionBuffer();
  buffer.push(packet(1, 1, 0, 1), 10);
  assert.ok(buffer.at(10.1));
  assert.equal(buffer.at(10 + QUIET_S + BUFFER_S + 0.01), undefined);
  buffer.push(packet(2, 1, 40, 1), 11);
  buffer.clear();
  assert.equal(buffer.at(11), undefined);
});

test("a new request begins anew; a new connection counts anew", () => {
  const buffer = new MotionBuffer();
  buffer.push(packet(1, 1, 5000, 1), 10);
  buffer.push(packet(2, 2, 0, 0.5), 20);
  near(buffer.at(20 + BUFFER_S)?.jawOpen, 0.5);
  buffer.restart();
  assert.equal(buffer.push(packet(0, 1, 0, 0.2), 30), true);
  near(buffer.at(30 + BUFFER_S)?.jawOpen, 0.2);
});

test("a pause inside a request moves what follows, not what was", () => {
  const buffer = new MotionBuffer();
  buffer.push(packet(1, 1, 0, 0.1), 10);
  buffer.push(packet(2, 1, 40, 0.9), 12);
  near(buffer.at(12 + BUFFER_S)?.jawOpen, 0.9);
});

function run(clock: TurnClock, from: number, to: number, person: number, avatar: number): number[] {
  const found: number[] = [];
  for (let now = from; now < to; now += 0.02) {
    const took = clock.feed(now, person, avatar);
    if (took !== undefined) found.push(took);
  }
  return found;
}

test("voice to voice is measured once a turn, whatever pauses the answer has", () => {
  const clock = new TurnClock();
  run(clock, 0, 1, 0.2, 0);
  run(clock, 1, 1.8, 0, 0);
  const first = run(clock, 1.8, 3, 0, 0.1);
  near(first[0], 0.82);
  run(clock, 3, 4, 0, 0);
  assert.deepEqual(run(clock, 4, 5, 0, 0.1), []);
  run(clock, 5, 6, 0.2, 0);
  run(clock, 6, 6.5, 0, 0);
  assert.equal(run(clock, 6.5, 7, 0, 0.1).length, 1);
  assert.equal(first.length, 1);
});

test("a click is no turn, and a typed turn has no voice to measure from", () => {
  const clock = new TurnClock();
  for (const second of [0, 2, 4, 6]) run(clock, second, second + 0.05, 0.3, 0);
  assert.deepEqual(run(clock, 7, 8, 0, 0.1), []);
  run(clock, 9, 10, 0.2, 0);
  clock.reset();
  assert.deepEqual(run(clock, 11, 12, 0, 0.1), []);
});

test("a face blinks, breathes and looks, in every mood, within its bounds", () => {
  for (const mood of ["waiting", "listening", "thinking", "speaking", "away"] as Mood[]) {
    const life = new Life(() => 0.4);
    let most = 0;
    for (let frame = 0; frame < 600; frame++) {
      const pose = life.after(1 / 60, mood, { jawOpen: 0.5, mouthWide: 0.2 });
      most = Math.max(most, pose.blink);
      for (const value of Object.values(pose)) assert.ok(Math.abs(value) <= 1.5);
    }
    assert.ok(most > 0.9, `${mood} does not blink`);
  }
});

test("a mouth follows quickly and closes again", () => {
  const life = new Life(() => 0.5);
  for (let frame = 0; frame < 6; frame++) life.after(1 / 60, "speaking", { jawOpen: 1, mouthWide: 0 });
  assert.ok(life.after(1 / 60, "speaking", { jawOpen: 1, mouthWide: 0 }).jawOpen > 0.8);
  for (let frame = 0; frame < 12; frame++) life.after(1 / 60, "listening");
  assert.ok(life.after(1 / 60, "listening").jawOpen < 0.05);
});

test("the still portrait is the neutral pose, and every number in it is one", () => {
  assert.ok(!portraitSvg().includes("NaN"));
  assert.ok(portrait({ ...NEUTRAL, jawOpen: 1 }).length > portrait(NEUTRAL).length);
});
