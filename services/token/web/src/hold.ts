/**
 * A button that is held while one speaks: by pointer, finger, Space or Enter. A click without any
 * of them (a screen reader's, a voice control's) presses it, the next one lets it go.
 */

type How = "pointer" | "key" | "click";

export class HoldToTalk {
  private by: How | undefined;
  /** The click that follows a pointer's press is no press of its own. */
  private pointed = false;

  constructor(
    private readonly button: HTMLElement,
    private readonly changed: (held: boolean) => void,
    page: EventTarget = globalThis,
  ) {
    this.listenToPointer();
    this.listenToKeys();
    button.addEventListener("click", () => this.onClick());
    // Whoever looks elsewhere has let go, though no event of the button may ever say so.
    button.addEventListener("blur", () => this.release());
    for (const gone of ["blur", "pagehide"]) page.addEventListener(gone, () => this.release());
    // A long touch would open a menu and take the pointer away.
    button.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  /** Let go, whatever it is held by. */
  release(): void {
    if (this.by) this.end(this.by);
  }

  private listenToPointer(): void {
    const { button } = this;
    button.addEventListener("pointerdown", (event) => {
      this.pointed = true;
      if (event.button !== 0 || !event.isPrimary) return;
      // The finger may slide off the button: it still holds.
      button.setPointerCapture?.(event.pointerId);
      this.begin("pointer");
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      button.addEventListener(end, () => this.end("pointer"));
    }
    button.addEventListener("pointercancel", () => (this.pointed = false));
  }

  private listenToKeys(): void {
    this.button.addEventListener("keydown", (event) => {
      if (!isPress(event)) return;
      // No click of its own, no scrolling.
      event.preventDefault();
      if (!event.repeat) this.begin("key");
    });
    this.button.addEventListener("keyup", (event) => {
      if (!isPress(event)) return;
      event.preventDefault();
      this.end("key");
    });
  }

  private onClick(): void {
    const isOfPointer = this.pointed;
    this.pointed = false;
    if (isOfPointer) return;
    if (this.by) this.release();
    else this.begin("click");
  }

  private begin(how: How): void {
    if (this.by) return;
    this.by = how;
    this.changed(true);
  }

  private end(how: How): void {
    if (this.by !== how) return;
    this.by = undefined;
    this.changed(false);
  }
}

function isPress({ key }: KeyboardEvent): boolean {
  return key === " " || key === "Enter";
}
