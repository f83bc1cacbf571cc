/** Voice to voice: from the person's last sound to the avatar's first. No DOM. */

const VOICED = 0.02;
const SOUNDING = 0.006;
/** So much voice makes a turn; a click or the avatar's echo does not. */
const TURN_S = 0.15;
/** So much silence lies before the avatar's answer; a pause between words is shorter. */
const SILENCE_S = 0.35;
/** Noises further apart than this do not add up to a turn. */
const PAUSE_S = 1;
const LONGEST_S = 30;

/** Fed with both levels (RMS, 0 to 1) some thirty times a second; times in seconds. */
export class TurnClock {
  private voicedS = 0;
  private lastVoice = 0;
  private lastSound = Number.NEGATIVE_INFINITY;
  private lastFeed = 0;
  private waiting = false;

  /** The time of the turn, once, at the first sound of its answer; else undefined. */
  feed(now: number, person: number, avatar: number): number | undefined {
    const step = Math.min(now - this.lastFeed, 0.1);
    this.lastFeed = now;
    if (person > VOICED) {
      if (now - this.lastVoice > PAUSE_S) this.voicedS = 0;
      this.voicedS += step;
      this.lastVoice = now;
      if (this.voicedS >= TURN_S) this.waiting = true;
    }
    if (avatar <= SOUNDING) return undefined;
    const isFirst = now - this.lastSound > SILENCE_S;
    this.lastSound = now;
    if (!this.waiting || !isFirst) return undefined;
    const took = now - this.lastVoice;
    this.waiting = false;
    this.voicedS = 0;
    return took < LONGEST_S ? took : undefined;
  }

  /** A typed turn has no voice to measure from. */
  reset(): void {
    this.waiting = false;
    this.voicedS = 0;
  }
}
