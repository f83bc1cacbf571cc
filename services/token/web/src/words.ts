/** What the page says about each state. No DOM. */

import type { Snapshot, State } from "./conversation.ts";

export const WORDS: Record<State, string> = {
  ready: "Ready",
  connecting: "Connecting",
  listening: "Listening",
  "your-turn": "Your turn",
  thinking: "Thinking",
  speaking: "Speaking",
  reconnecting: "Reconnecting",
  "microphone-off": "Microphone off",
  "microphone-denied": "Microphone blocked",
  "no-microphone": "No microphone",
  "link-expired": "Link expired",
  full: "All places are taken",
  failed: "No connection",
  ended: "Ended",
};

/** The sentence under the word; empty where the word is enough. */
export function noteFor(snapshot: Snapshot, name: string): string {
  const { state, connection, microphone, reason, retryInS } = snapshot;
  if (state === "full") return `Every place is in use. The next try is in ${retryInS}\u00a0s.`;
  if (state === "link-expired") return "This link is not valid any more. Ask for a new one.";
  if (state === "reconnecting") return "The connection is interrupted. Nothing is lost; it is being restored.";
  if (state === "failed" || state === "ended") return reason;
  if (connection !== "open" && connection !== "opening") return "";
  // Whatever the avatar is doing: the person should know why nothing is heard.
  if (microphone === "denied") {
    return `Your browser does not allow the microphone here. Type, and ${name} answers aloud; to speak, allow it in the browser and press the microphone.`;
  }
  if (microphone === "missing") return `No microphone was found. Type, and ${name} answers aloud.`;
  return "";
}

/** Instead of an empty transcript. */
export function hintFor({ microphone, talk }: Snapshot): string {
  const speak = talk === "automatic" ? "Say something" : "Hold the button while you speak";
  const how = microphone === "on" ? `${speak}, or type.` : "Type something.";
  return `${how} You could ask: “What is worth knowing about the moon?”`;
}

/** The button after a conversation, or instead of one. */
export function againLabel(state: State): string {
  if (state === "ended") return "Talk again";
  return state === "full" ? "Try now" : "Try again";
}

/** The captions as text, one line each. */
export function transcript(snapshot: Snapshot, name: string): string {
  const lines = snapshot.captions.map(({ who, text }) => `${who === "person" ? "You" : name}: ${text}`);
  return `${lines.join("\n")}\n`;
}
