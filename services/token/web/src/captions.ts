/** Who said what, by segment, while it is being said and after. No DOM. */

import type { TextStreamReader } from "livekit-client";

export interface Caption {
  readonly id: string;
  readonly who: "person" | "avatar";
  readonly text: string;
  /** False while more words, or better ones, may come. */
  readonly final: boolean;
}

/** Captions in the order of their first word. */
export class Captions {
  private readonly bySegment = new Map<string, Caption>();

  put(caption: Caption): void {
    // What was recognised for good does not become a guess again.
    if (this.bySegment.get(caption.id)?.final && !caption.final) return;
    this.bySegment.set(caption.id, caption);
  }

  list(): Caption[] {
    return [...this.bySegment.values()].filter((caption) => caption.text.trim() !== "");
  }

  clear(): void {
    this.bySegment.clear();
  }

  /**
   * One stream: a person's text so far as a whole, which replaces the one before, or an avatar's
   * words as they are said. A whole one without words takes its segment back.
   */
  async read(reader: TextStreamReader, who: Caption["who"], changed: () => void): Promise<void> {
    const id = reader.info.attributes?.["lk.segment_id"] ?? reader.info.id;
    const isFinal = (): boolean => reader.info.attributes?.["lk.transcription_final"] !== "false";
    let text = "";
    try {
      for await (const piece of reader) {
        text += piece;
        this.put({ id, who, text, final: false });
        changed();
      }
      this.put({ id, who, text, final: isFinal() });
    } catch {
      // The sender left or came back anew: what was said stays, and nothing will be added.
      if (text) this.put({ id, who, text, final: true });
    }
    changed();
  }
}
