/** The page's elements, brought to what a snapshot says. */

import type { Caption, Snapshot, State } from "./conversation.ts";
import { WORDS, againLabel, hintFor, noteFor, transcript } from "./words.ts";

function element<E extends HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found as E;
}

const IN_CALL: readonly State[] = [
  "connecting", "listening", "your-turn", "thinking", "speaking", "reconnecting",
  "microphone-off", "microphone-denied", "no-microphone",
];

export class Look {
  readonly face = element<HTMLCanvasElement>("face");
  readonly still = element<HTMLImageElement>("still");
  readonly vendor = element("vendor");
  readonly start = element<HTMLButtonElement>("start");
  readonly again = element<HTMLButtonElement>("again");
  readonly copy = element<HTMLButtonElement>("copy");
  readonly microphone = element<HTMLButtonElement>("microphone");
  readonly hold = element<HTMLButtonElement>("hold");
  readonly interrupt = element<HTMLButtonElement>("interrupt");
  readonly end = element<HTMLButtonElement>("end");
  readonly typing = element<HTMLFormElement>("typing");
  readonly text = element<HTMLInputElement>("text");
  readonly character = element<HTMLSelectElement>("character");
  name = "the avatar";
  private readonly captions = element("captions");
  private readonly lines = new Map<string, HTMLElement>();
  private shown: State | undefined;
  private followsEnd = true;

  constructor() {
    const box = this.captions;
    box.addEventListener("scroll", () => {
      this.followsEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 48;
    });
    // A turned phone or an opened keyboard must not hide what is being said.
    new ResizeObserver(() => this.scrollToEnd()).observe(box);
  }

  show(snapshot: Snapshot): void {
    const { state } = snapshot;
    const inCall = IN_CALL.includes(state);
    document.body.dataset["state"] = state;
    setText(element("word"), WORDS[state]);
    this.notice("note", noteFor(snapshot, this.name));
    element("intro").hidden = state !== "ready";
    element("call").hidden = !inCall;
    element("outcome").hidden = inCall || state === "ready";
    this.again.textContent = againLabel(state);
    this.copy.hidden = state !== "ended" || !snapshot.captions.length;
    this.captions.hidden = !snapshot.captions.length;
    // An empty transcript says nothing; an example does.
    element("hint").hidden = !inCall || snapshot.captions.length > 0;
    setText(element("hint"), hintFor(snapshot));
    this.microphone.setAttribute("aria-pressed", String(snapshot.microphone === "on"));
    this.interrupt.disabled = state !== "speaking" && state !== "thinking";
    this.text.disabled = element<HTMLButtonElement>("send").disabled = snapshot.connection !== "open";
    this.showHold(snapshot);
    this.showCaptions(snapshot.captions);
    if (state !== this.shown) this.moveFocus(state, this.shown);
    this.shown = state;
  }

  /** The button of push-to-talk, where the session listens to nothing else. */
  private showHold({ talk, microphone }: Snapshot): void {
    const { hold } = this;
    const appears = hold.hidden && talk !== "automatic";
    hold.hidden = talk === "automatic";
    const isMute = microphone !== "on";
    if (isMute && document.activeElement === hold) this.microphone.focus();
    hold.disabled = isMute;
    hold.setAttribute("aria-pressed", String(talk === "held"));
    // It is what one needs next; focus was parked on the microphone while connecting.
    if (appears && document.activeElement === this.microphone) hold.focus();
  }

  /** Introduces the avatar before anything is opened. */
  introduce(name: string, disclosure: string, characters: readonly { id: string; name: string }[]): void {
    this.name = name;
    setText(element("name"), name);
    document.title = `${name} · Visavis`;
    if (disclosure) setText(element("disclosure"), disclosure);
    this.face.setAttribute("aria-label", `Drawn portrait of ${name}`);
    element("choice").hidden = characters.length < 2;
    if (this.character.options.length) return;
    for (const { id, name: label } of characters) this.character.add(new Option(label, id));
  }

  /** The character that is talked with; nobody hides the choice. */
  choose(id: string | undefined): void {
    this.character.value = id ?? "";
    if (!id) element("choice").hidden = true;
  }

  /** Which of the three faces is seen. */
  showFace(which: "drawn" | "still" | "vendor"): void {
    this.face.hidden = which !== "drawn";
    this.still.hidden = which !== "still";
    this.vendor.hidden = which !== "vendor";
  }

  faceNote(text: string): void {
    this.notice("face-note", text);
  }

  latency(seconds: number | undefined): void {
    const line = element("latency");
    line.hidden = seconds === undefined;
    if (seconds !== undefined) setText(line, `answered in ${seconds.toFixed(1)} s`);
  }

  /** Both levels, 0 to 1, for the microphone's bars and the ring. */
  levels(person: number, avatar: number): void {
    const { style } = document.documentElement;
    style.setProperty("--level", Math.min(1, person * 6).toFixed(2));
    style.setProperty("--voice", Math.min(1, avatar * 6).toFixed(2));
  }

  async copyTranscript(snapshot: Snapshot): Promise<void> {
    await navigator.clipboard.writeText(transcript(snapshot, this.name));
    this.copy.textContent = "Copied";
  }

  private notice(id: string, text: string): void {
    const line = element(id);
    line.hidden = !text;
    setText(line, text);
  }

  private showCaptions(captions: readonly Caption[]): void {
    const ids = new Set(captions.map(({ id }) => id));
    for (const [id, line] of this.lines) {
      if (ids.has(id)) continue;
      line.remove();
      this.lines.delete(id);
    }
    captions.forEach((caption, index) => this.showCaption(caption, index === captions.length - 1));
    this.scrollToEnd();
  }

  /** Unless the person has scrolled back to read. */
  private scrollToEnd(): void {
    if (this.followsEnd) this.captions.scrollTop = this.captions.scrollHeight;
  }

  private showCaption({ id, who, text, final }: Caption, current: boolean): void {
    const line = this.lines.get(id) ?? this.addLine(id, who);
    line.className = `caption ${who}${current ? " current" : ""}${final ? "" : " interim"}`;
    setText(line.lastElementChild as HTMLElement, text);
  }

  private addLine(id: string, who: Caption["who"]): HTMLElement {
    const line = document.createElement("p");
    const speaker = document.createElement("b");
    speaker.textContent = who === "person" ? "You" : this.name;
    line.append(speaker, document.createElement("span"));
    this.captions.append(line);
    this.lines.set(id, line);
    return line;
  }

  /** What was focused may have just been hidden; a keyboard must not lose its place. */
  private moveFocus(state: State, before: State | undefined): void {
    if (state === "connecting" && before !== "reconnecting") this.microphone.focus();
    else if (before !== undefined && !IN_CALL.includes(state) && state !== before) this.again.focus();
  }
}

function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}
