/** Push-to-talk: the agent is told when the person begins to speak and when they are done. No DOM. */

/** Whether the person says by a button when they speak, and whether they do. */
export type Talk = "automatic" | "released" | "held";

export class PushToTalk {
  now: Talk = "automatic";
  /** The end of a turn that the agent could not be told. */
  private owesEnd = false;
  private telling: Promise<unknown> = Promise.resolve();

  /** `call` tells the agent and says whether it has heard. */
  constructor(
    private readonly call: (payload: "start" | "end") => Promise<boolean>,
    private readonly changed: () => void,
  ) {}

  /** A new session. */
  begin(manual: boolean): void {
    this.now = manual ? "released" : "automatic";
    this.owesEnd = false;
    this.telling = Promise.resolve();
  }

  /** Hold the button, or let it go. Nothing in a session that listens by itself. */
  async hold(held: boolean): Promise<void> {
    const wanted = held ? "held" : "released";
    if (this.now === "automatic" || this.now === wanted) return;
    this.now = wanted;
    this.changed();
    const isTold = await this.tell(held ? "start" : "end");
    this.owesEnd = !held && !isTold;
    if (held && !isTold && this.now === "held") {
      // Nobody knows of it: the person must not speak into the void.
      this.now = "released";
      this.changed();
    }
  }

  /** The connection is back. A turn whose end got lost would go on for ever. */
  async settle(): Promise<void> {
    if (!this.owesEnd) return;
    this.owesEnd = false;
    if (this.now === "released") this.owesEnd = !(await this.tell("end"));
  }

  /** One after the other: of two calls at once the second may arrive first (seen, 2.23.0). */
  private tell(payload: "start" | "end"): Promise<boolean> {
    const told = this.telling.then(() => this.call(payload));
    this.telling = told;
    return told;
  }
}
