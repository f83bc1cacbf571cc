/** Mouth poses from data packets, brought into step with the sound. No DOM. */

export const MOTION_TOPIC = "vv.motion.sim";
/** What a pose waits, so that late packets and the sound's own buffer catch up. */
export const BUFFER_S = 0.08;
/** After so long without a packet the mouth closes and idle life goes on. */
export const QUIET_S = 0.3;
const MOST_FRAMES = 250;

export interface Mouth {
  readonly jawOpen: number;
  readonly mouthWide: number;
}

interface Frame extends Mouth {
  readonly request: number;
  readonly positionS: number;
}

export const CLOSED: Mouth = { jawOpen: 0, mouthWide: 0 };

/** Times are seconds of the audio clock (AudioContext.currentTime). */
export class MotionBuffer {
  private frames: Frame[] = [];
  private lastSeq = -1;
  private request = -1;
  /** Audio clock at the request's position 0; the earliest packet so far knows it best. */
  private base = 0;
  private heardAt = Number.NEGATIVE_INFINITY;

  /** Takes one packet; false if it is malformed, late or of a request that is over. */
  push(packet: Uint8Array, now: number): boolean {
    const frame = parse(packet);
    if (!frame || frame.seq <= this.lastSeq || frame.request < this.request) return false;
    this.lastSeq = frame.seq;
    this.heardAt = now;
    const base = now - frame.positionS + BUFFER_S;
    if (frame.request !== this.request) {
      this.request = frame.request;
      this.frames = [];
      this.base = base;
    }
    // A pause in a request moves the sound back: then the newest packet is right, not the earliest.
    this.base = base - this.base > 0.25 ? base : Math.min(this.base, base);
    this.frames.push(frame);
    if (this.frames.length > MOST_FRAMES) this.frames.shift();
    return true;
  }

  /** The pose for this moment, between its two neighbours; undefined when there is none to play. */
  at(now: number): Mouth | undefined {
    if (now - this.heardAt > QUIET_S + BUFFER_S) return undefined;
    const position = now - this.base;
    while (this.frames[1] && this.frames[1].positionS <= position) this.frames.shift();
    const [from, to] = this.frames;
    if (!from || position < from.positionS) return CLOSED;
    if (!to) return from;
    const share = (position - from.positionS) / Math.max(to.positionS - from.positionS, 0.001);
    return {
      jawOpen: from.jawOpen + (to.jawOpen - from.jawOpen) * share,
      mouthWide: from.mouthWide + (to.mouthWide - from.mouthWide) * share,
    };
  }

  /** Forget what was to come: the avatar was interrupted. */
  clear(): void {
    this.frames = [];
    this.heardAt = Number.NEGATIVE_INFINITY;
  }

  /** The connection is new, and with it the counting. */
  restart(): void {
    this.clear();
    this.lastSeq = this.request = -1;
  }
}

function parse(packet: Uint8Array): (Frame & { seq: number }) | undefined {
  try {
    const { v, seq, req, pos_ms, w } = JSON.parse(new TextDecoder().decode(packet));
    if (v !== 1 || ![seq, req, pos_ms, w.jawOpen, w.mouthWide].every(Number.isFinite)) return;
    const positionS = pos_ms / 1000;
    return { seq, request: req, positionS, jawOpen: unit(w.jawOpen), mouthWide: unit(w.mouthWide) };
  } catch {
    return undefined;
  }
}

function unit(value: number): number {
  return Math.min(1, Math.max(0, value));
}
