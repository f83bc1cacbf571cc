import assert from "node:assert/strict";
import { test } from "node:test";
import type { Room } from "livekit-client";
import { isPublishedByVendor, within } from "../src/avatar.ts";
import { sessionFrom } from "../src/conversation.ts";
import { againLabel, hintFor, noteFor, transcript } from "../src/words.ts";
import { VendorFace, canShowVendorFace } from "../src/vendor.ts";

const SESSION = sessionFrom({
  server_url: "ws://x", participant_token: "t",
  visavis: { avatar: { provider: "spatius", app_id: "app", avatar_id: "me", mode: "livekit_egress" } },
});

/** A module as a browser would load it. `attach`: the player's. */
function stub(attach: string): string {
  return `data:text/javascript,${encodeURIComponent(`
    export const log = (globalThis.vendorLog = []);
    export const DrivingServiceMode = { rtc: "rtc" };
    export const AvatarSDK = { initialize: async (id, o) => log.push("sdk " + id + " " + o.drivingServiceMode) };
    export const AvatarManager = { shared: { load: async (id) => { log.push("load " + id); return id; } } };
    export class AvatarView { constructor(a) { log.push("view " + a); } dispose() { log.push("dispose"); } }
    export class LiveKitProvider {}
    export class AvatarPlayer {
      constructor(p, v, o) { log.push("buffer " + o.maxBufferDelayMs); this.on = (e, f) => (globalThis["vendor_" + e] = f); }
      async attach(room) { log.push("attach " + room.name); ${attach} }
      async detach() { log.push("detach"); }
      async reconnect() { log.push("reconnect"); }
    }
    // ${Math.random()}`)}`;
}

const room = { name: "r" } as Room;
const container = { replaceChildren() {} } as unknown as HTMLElement;

function face(adapterUrl: string, failed = (_: string): void => {}): VendorFace {
  return new VendorFace({ adapterUrl, avatarkitUrl: "" }, SESSION, container, failed, 100);
}

test("the adapter is attached to our room, and lets it go", async () => {
  const one = face(stub(""));
  await one.attach(room);
  const log = (globalThis as any).vendorLog;
  assert.deepEqual(log, ["sdk app rtc", "load me", "view me", "buffer 80", "attach r"]);
  (globalThis as any).vendor_stalled();
  await one.close();
  await one.close();
  assert.deepEqual(log.slice(5), ["reconnect", "detach", "dispose"]);
});

test("an adapter that fails, hangs or is not there is told, and is closed", async () => {
  await assert.rejects(face(stub('throw new Error("no");')).attach(room), /no/);
  assert.ok((globalThis as any).vendorLog.includes("dispose"));
  await assert.rejects(face(stub("await new Promise(() => {});")).attach(room), /nothing after/);
  await assert.rejects(face("data:text/javascript,!").attach(room));
});

test("an error of a running adapter is handed on", async () => {
  const errors: string[] = [];
  await face(stub(""), (why) => errors.push(why)).attach(room);
  (globalThis as any).vendor_error("broken");
  assert.deepEqual(errors, ["broken"]);
});

test("only a session whose face the vendor publishes is the vendor's", () => {
  assert.equal(isPublishedByVendor(SESSION), true);
  const alone = sessionFrom({ server_url: "ws://x", participant_token: "t" });
  assert.equal(isPublishedByVendor(alone), false);
  assert.equal(canShowVendorFace(), false);
});

test("a wait is bounded", async () => {
  assert.equal(await within(50, "it", Promise.resolve(1)), 1);
  await assert.rejects(within(5, "it", new Promise(() => {})), /it: nothing after/);
});

test("words for every case", () => {
  const base = { captions: [], retryInS: 7, reason: "", connection: "open", microphone: "on", talk: "automatic" } as const;
  assert.match(noteFor({ ...base, state: "full", connection: "full" }, "Nova"), /7\u00a0s/);
  assert.match(noteFor({ ...base, state: "speaking", microphone: "denied" }, "Nova"), /Nova answers/);
  assert.match(noteFor({ ...base, state: "no-microphone", microphone: "missing" }, "Nova"), /No microphone/);
  assert.equal(noteFor({ ...base, state: "listening" }, "Nova"), "");
  assert.match(hintFor({ ...base, state: "listening" }), /Say something, or type/);
  assert.match(hintFor({ ...base, state: "listening", microphone: "off" }), /^Type something/);
  assert.match(hintFor({ ...base, state: "your-turn", talk: "released" }), /^Hold the button while you speak, or type/);
  assert.deepEqual([againLabel("ended"), againLabel("full"), againLabel("failed")], ["Talk again", "Try now", "Try again"]);
  const captions = [
    { id: "1", who: "person", text: "Hello", final: true },
    { id: "2", who: "avatar", text: "Hi.", final: true },
  ] as const;
  assert.equal(transcript({ ...base, state: "ended", captions }, "Nova"), "You: Hello\nNova: Hi.\n");
});
