/** What a face does by itself: blinking, looking, breathing, moods. No DOM. */

import { CLOSED, type Mouth } from "./motion.ts";
import { NEUTRAL, type Pose } from "./portrait.ts";

/** What the face takes from the conversation's state. */
export type Mood = "waiting" | "listening" | "thinking" | "speaking" | "away";

const BLINK_S = 0.18;
/** Share of the way to the target in one second, as a rate: 8 is quick, 2 is slow. */
const QUICK = 9;
const SLOW = 2.4;

type Numbers = { -readonly [Key in keyof Pose]: number };

export class Life {
  private readonly now: Numbers = { ...NEUTRAL };
  private time = 0;
  private nextBlink = 1.2;
  private nextLook = 0.8;
  private look: readonly [number, number] = [0, 0];

  constructor(private readonly random: () => number = Math.random) {}

  /** The pose `step` seconds later. */
  after(step: number, mood: Mood, mouth: Mouth = CLOSED): Pose {
    this.time += step;
    this.lookAround(mood);
    const target = this.target(mood, mouth);
    for (const key of Object.keys(target) as (keyof Pose)[]) {
      const rate = key === "gazeX" || key === "gazeY" ? QUICK : SLOW;
      this.now[key] += (target[key] - this.now[key]) * Math.min(1, step * rate);
    }
    this.now.jawOpen += (mouth.jawOpen - this.now.jawOpen) * Math.min(1, step * 30);
    this.now.mouthWide += (mouth.mouthWide - this.now.mouthWide) * Math.min(1, step * 24);
    return { ...this.now, blink: Math.max(this.now.blink, this.blink()) };
  }

  private target(mood: Mood, mouth: Mouth): Pose {
    const t = this.time;
    const sway = Math.sin(t * 0.53) + 0.6 * Math.sin(t * 0.31 + 1.3);
    const [gazeX, gazeY] = this.look;
    const base = {
      ...NEUTRAL,
      jawOpen: this.now.jawOpen,
      mouthWide: this.now.mouthWide,
      gazeX,
      gazeY,
      turn: sway * 0.22 + gazeX * 0.3,
      nod: Math.sin(t * 0.41 + 0.7) * 0.18 + gazeY * 0.2,
      tilt: Math.sin(t * 0.37) * 0.012,
      breath: Math.sin(t * 1.5),
    };
    switch (mood) {
      case "listening":
        return { ...base, brows: 0.35, tilt: base.tilt + 0.035, nod: base.nod + 0.1, smile: 0.65 };
      case "thinking":
        return { ...base, brows: 0.5, tilt: base.tilt - 0.025, smile: 0.5, nod: base.nod - 0.25 };
      case "speaking":
        return { ...base, brows: 0.15 + mouth.jawOpen * 0.7, nod: base.nod + mouth.jawOpen * 0.5 };
      case "away":
        return { ...base, smile: 0.25, brows: 0, blink: 0.3 };
      case "waiting":
        return { ...base, smile: 0.85, brows: 0.25 };
    }
  }

  private lookAround(mood: Mood): void {
    if (this.time < this.nextLook) return;
    const spread = mood === "thinking" ? 0.25 : mood === "listening" ? 0.12 : 0.28;
    const side = (): number => (this.random() * 2 - 1) * spread;
    this.look = mood === "thinking" ? [0.55 + side(), -0.65 + side()] : [side(), side() * 0.6];
    this.nextLook = this.time + 0.9 + this.random() * 2.2;
  }

  private blink(): number {
    if (this.time < this.nextBlink) return 0;
    const share = (this.time - this.nextBlink) / BLINK_S;
    if (share < 1) return Math.sin(share * Math.PI);
    // Now and then twice in a row, as people do.
    this.nextBlink = this.time + (this.random() < 0.15 ? 0.12 : 2 + this.random() * 3.5);
    return 0;
  }
}
