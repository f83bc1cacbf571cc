import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { ConnectionError, DisconnectReason, ParticipantKind, RoomEvent, type Room } from "livekit-client";
import {
  Captions,
  Conversation,
  QUIET_RECONNECT_MS,
  sentenceFor,
  sessionFrom,
  stateOf,
  type Options,
  type Snapshot,
} from "../src/conversation.ts";

const ANSWER = {
  server_url: "ws://x", participant_token: "t",
  visavis: { session_id: "s", avatar: { provider: "spatius", mode: "livekit_egress" } },
};
const MANUAL = { ...ANSWER, visavis: { ...ANSWER.visavis, turn_taking: { profile: "manual" } } };

type Handler = (reader: object, from: { identity: string }) => void;

/** What the conversation uses of a room. */
class FakeRoom extends EventEmitter {
  name = "s";
  log: string[] = [];
  handlers = new Map<string, Handler>();
  remoteParticipants = new Map<string, object>();
  refuse: Error | undefined;
  /** Calls get no answer. */
  deaf = false;
  localParticipant = {
    identity: "person-s",
    publishTrack: async () => void this.log.push("publish"),
    sendText: async (text: string, { topic }: { topic: string }) => void this.log.push(`${topic} ${text}`),
    performRpc: async (call: { method: string; payload: string; destinationIdentity: string }) => {
      this.log.push(`${call.method} ${call.destinationIdentity} ${call.payload}`.trim());
      if (this.deaf) throw new Error("nobody answers");
    },
  };

  registerTextStreamHandler(topic: string, handler: Handler): void {
    this.handlers.set(topic, handler);
  }

  async connect(): Promise<void> {
    this.log.push("connect");
    if (this.refuse) throw this.refuse;
  }

  async disconnect(): Promise<void> {
    this.log.push("disconnect");
    this.emit(RoomEvent.Disconnected, DisconnectReason.CLIENT_INITIATED);
  }

  agent(state: string): void {
    const one = { identity: "agent-s", kind: ParticipantKind.AGENT, attributes: { "lk.agent.state": state } };
    this.remoteParticipants.set("agent-s", one);
    this.emit(RoomEvent.ParticipantAttributesChanged, {}, one);
  }

  async write(identity: string, attributes: Record<string, string>, pieces: string[], ending?: Error): Promise<void> {
    const reader = {
      info: { id: "1", attributes },
      async *[Symbol.asyncIterator]() {
        yield* pieces;
        if (ending) throw ending;
      },
    };
    this.handlers.get("lk.transcription")?.(reader, { identity });
    await soon();
  }
}

function soon(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function microphone(): Promise<any> {
  const track = { mediaStreamTrack: new EventTarget(), stop() {}, mute: async () => {}, unmute: async () => {} };
  return Promise.resolve(track);
}

function denied(): Promise<any> {
  return Promise.reject(Object.assign(new Error("no"), { name: "NotAllowedError" }));
}

function begin(more: Partial<Options> = {}, answer: Response[] = []) {
  const room = new FakeRoom();
  const seen: Snapshot[] = [];
  const bodies: any[] = [];
  const conversation = new Conversation({
    tokenUrl: "token",
    character: () => "nova",
    newRoom: () => room as unknown as Room,
    changed: (snapshot) => seen.push(snapshot),
    openMicrophone: microphone,
    fetch: async (_url, init) => {
      bodies.push(JSON.parse(String(init?.body)));
      return answer.shift() ?? Response.json(ANSWER, { status: 201 });
    },
    ...more,
  });
  const states = (): string[] => seen.map(({ state }) => state).filter((one, i, all) => one !== all[i - 1]);
  return { room, conversation, seen, states, bodies };
}

test("a state is the connection's, then the agent's, then the microphone's", () => {
  assert.equal(stateOf("none", "", "unasked"), "ready");
  assert.equal(stateOf("lost", "speaking", "on"), "reconnecting");
  assert.equal(stateOf("open", "", "on"), "connecting");
  assert.equal(stateOf("open", "initializing", "on"), "connecting");
  assert.equal(stateOf("open", "listening", "on"), "listening");
  assert.equal(stateOf("open", "listening", "denied"), "microphone-denied");
  assert.equal(stateOf("open", "listening", "missing"), "no-microphone");
  assert.equal(stateOf("open", "idle", "off"), "microphone-off");
  assert.equal(stateOf("open", "speaking", "denied"), "speaking");
  assert.equal(stateOf("over", "speaking", "on"), "ended");
  assert.equal(stateOf("open", "listening", "on", "released"), "your-turn");
  assert.equal(stateOf("open", "listening", "on", "held"), "listening");
  assert.equal(stateOf("open", "listening", "denied", "released"), "microphone-denied");
  assert.equal(stateOf("open", "speaking", "on", "released"), "speaking");
});

test("a call: the microphone first, then the token, the room, the agent's states", async () => {
  const { room, conversation, states, bodies } = begin();
  await conversation.start();
  room.agent("listening");
  room.agent("thinking");
  room.agent("speaking");
  assert.deepEqual(bodies, [{ room_config: { agents: [{ agent_name: "nova" }] } }]);
  assert.deepEqual(room.log, ["connect", "publish"]);
  assert.deepEqual(states(), ["connecting", "listening", "thinking", "speaking"]);
});

test("an avatar's attributes are not the agent's", async () => {
  const { room, conversation } = begin();
  await conversation.start();
  room.agent("listening");
  const attributes = { "lk.publish_on_behalf": "agent-s" };
  room.emit(RoomEvent.ParticipantConnected, { kind: ParticipantKind.AGENT, attributes });
  assert.equal(conversation.snapshot().state, "listening");
});

test("captions: pieces of the avatar's, the person's as a whole, typed ones at once", async () => {
  const { room, conversation } = begin();
  await conversation.start();
  await room.write("person-s", { "lk.segment_id": "1", "lk.transcription_final": "false" }, ["Hello"]);
  assert.equal(conversation.snapshot().captions[0]?.final, false);
  await room.write("person-s", { "lk.segment_id": "1", "lk.transcription_final": "true" }, ["Hello there."]);
  await room.write("agent-s", { "lk.segment_id": "2", "lk.transcription_final": "true" }, ["Good ", "day."]);
  await conversation.say("  And you? ");
  const shown = conversation.snapshot().captions.map(({ who, text, final }) => [who, text, final]);
  assert.deepEqual(shown, [
    ["person", "Hello there.", true], ["avatar", "Good day.", true], ["person", "And you?", true],
  ]);
  assert.ok(room.log.includes("lk.chat And you?"));
});

test("a caption whose sender leaves stays as it was", async () => {
  const { room, conversation } = begin();
  await conversation.start();
  await room.write("agent-s", { "lk.segment_id": "1" }, ["Half a"], new Error("gone"));
  const [caption] = conversation.snapshot().captions;
  assert.deepEqual([caption?.text, caption?.final], ["Half a", true]);
});

test("without a microphone one types, and may still switch it on", async () => {
  let answer = denied;
  const { room, conversation } = begin({ openMicrophone: () => answer() });
  await conversation.start();
  room.agent("listening");
  assert.equal(conversation.snapshot().state, "microphone-denied");
  answer = microphone;
  await conversation.setMicrophone(true);
  assert.equal(conversation.snapshot().state, "listening");
  assert.deepEqual(room.log, ["connect", "publish"]);
  await conversation.setMicrophone(false);
  assert.equal(conversation.snapshot().state, "microphone-off");
});

test("a full server is asked again when it said", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const full = new Response("{}", { status: 503, headers: { "Retry-After": "2" } });
  const { conversation, states, bodies } = begin({}, [full]);
  await conversation.start();
  assert.deepEqual([conversation.snapshot().state, conversation.snapshot().retryInS], ["full", 2]);
  context.mock.timers.tick(1000);
  assert.equal(conversation.snapshot().retryInS, 1);
  context.mock.timers.tick(1000);
  for (let turn = 0; turn < 5; turn++) await soon();
  assert.equal(bodies.length, 2);
  assert.deepEqual(states(), ["connecting", "full", "connecting"]);
});

test("a room and a name come back to their session", async () => {
  const { conversation, bodies } = begin({ roomName: "kitchen", identity: "guest-1" });
  await conversation.start();
  assert.deepEqual([bodies[0].room_name, bodies[0].participant_identity], ["kitchen", "guest-1"]);
});

test("a new conversation waits for the end of the old one", async () => {
  const { room, conversation, bodies } = begin();
  await conversation.start();
  let ended: () => void = () => {};
  room.localParticipant.performRpc = async () => void (await new Promise<void>((resolve) => (ended = resolve)));
  void conversation.end();
  assert.equal(conversation.snapshot().state, "ended");
  const starting = conversation.start();
  await soon();
  assert.equal(bodies.length, 1);
  ended();
  await starting;
  assert.equal(bodies.length, 2);
});

for (const [status, state] of [[503, "failed"], [401, "link-expired"], [404, "link-expired"], [400, "link-expired"], [500, "failed"]] as const) {
  test(`${status} for a token is ${state}`, async () => {
    const { conversation } = begin({}, [new Response("{}", { status })]);
    await conversation.start();
    assert.equal(conversation.snapshot().state, state);
  });
}

test("a server that cannot be reached, or answers nonsense, is said", async () => {
  const fails = begin({ fetch: () => Promise.reject(new TypeError("network")) });
  await fails.conversation.start();
  assert.equal(fails.conversation.snapshot().reason, "The server cannot be reached.");
  const odd = begin({}, [Response.json({}, { status: 201 })]);
  await odd.conversation.start();
  assert.equal(odd.conversation.snapshot().state, "failed");
});

test("a room that cannot be reached is left", async () => {
  const { room, conversation } = begin();
  room.refuse = new Error("no way");
  await conversation.start();
  assert.equal(conversation.snapshot().state, "failed");
  assert.ok(room.log.includes("disconnect"));
});

test("a token that the room does not take is an expired link", async () => {
  const { room, conversation } = begin();
  room.refuse = ConnectionError.notAllowed("expired", 401);
  await conversation.start();
  assert.equal(conversation.snapshot().state, "link-expired");
});

test("a short reconnect is not told, a long one is", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { room, conversation } = begin();
  await conversation.start();
  room.agent("listening");
  room.emit(RoomEvent.SignalReconnecting);
  context.mock.timers.tick(QUIET_RECONNECT_MS - 1);
  assert.equal(conversation.snapshot().state, "listening");
  room.emit(RoomEvent.Reconnected);
  context.mock.timers.tick(1000);
  assert.equal(conversation.snapshot().state, "listening");
  room.emit(RoomEvent.Reconnecting);
  context.mock.timers.tick(QUIET_RECONNECT_MS + 1);
  assert.equal(conversation.snapshot().state, "reconnecting");
  room.emit(RoomEvent.Reconnected);
  assert.equal(conversation.snapshot().state, "listening");
});

test("interrupting and ending are calls to the agent", async () => {
  const { room, conversation } = begin();
  await conversation.start();
  room.agent("speaking");
  await conversation.interrupt();
  await conversation.end();
  assert.deepEqual(room.log.slice(2), ["visavis.interrupt agent-s", "visavis.end agent-s", "disconnect"]);
  assert.deepEqual([conversation.snapshot().state, conversation.snapshot().reason], ["ended", ""]);
});

test("an end while the token is on its way is kept", async () => {
  let answer: (response: Response) => void = () => {};
  const { room, conversation } = begin({ fetch: () => new Promise((resolve) => (answer = resolve)) });
  const starting = conversation.start();
  await soon();
  await conversation.end();
  answer(Response.json(ANSWER, { status: 201 }));
  await starting;
  assert.equal(conversation.snapshot().state, "ended");
  assert.deepEqual(room.log, []);
});

test("the face is attached before the room connects", async () => {
  const { room, conversation } = begin({ prepare: async (one) => void (one as unknown as FakeRoom).log.push("face") });
  await conversation.start();
  assert.deepEqual(room.log, ["face", "connect", "publish"]);
});

test("an end has a sentence only where one is needed", () => {
  assert.equal(sentenceFor(DisconnectReason.ROOM_DELETED), "");
  assert.match(sentenceFor(DisconnectReason.DUPLICATE_IDENTITY), /another window/);
  assert.match(sentenceFor(undefined), /lost/);
});

test("an answer without an avatar is a voice alone", () => {
  assert.equal(sessionFrom({ server_url: "ws://x", participant_token: "t" }).avatar.provider, "none");
  assert.throws(() => sessionFrom({ server_url: "ws://x" }));
});

async function manual() {
  const made = begin({}, [Response.json(MANUAL, { status: 201 })]);
  await made.conversation.start();
  made.room.agent("listening");
  made.room.log.length = 0;
  return { ...made, talk: () => made.conversation.snapshot().talk };
}

test("push-to-talk: a turn is what lies between two calls", async () => {
  const { room, conversation, states } = await manual();
  await conversation.talk(true);
  await conversation.talk(true);
  await conversation.talk(false);
  await conversation.talk(false);
  assert.deepEqual(room.log, ["visavis.turn agent-s start", "visavis.turn agent-s end"]);
  assert.deepEqual(states().slice(-3), ["your-turn", "listening", "your-turn"]);
});

test("a turn's end is told after its beginning, however quickly it comes", async () => {
  const { room, conversation } = await manual();
  const { localParticipant } = room;
  const tell = localParticipant.performRpc;
  let hears: () => void = () => {};
  localParticipant.performRpc = async (call) => {
    if (call.payload === "start") await new Promise<void>((resolve) => (hears = resolve));
    await tell(call);
  };
  const pressing = conversation.talk(true);
  const releasing = conversation.talk(false);
  await soon();
  assert.deepEqual(room.log, []);
  hears();
  await Promise.all([pressing, releasing]);
  assert.deepEqual(room.log, ["visavis.turn agent-s start", "visavis.turn agent-s end"]);
});

test("a session that listens by itself takes no presses", async () => {
  const { room, conversation } = begin();
  await conversation.start();
  room.agent("listening");
  await conversation.talk(true);
  assert.deepEqual([conversation.snapshot().talk, conversation.snapshot().state], ["automatic", "listening"]);
  assert.ok(!room.log.join().includes("visavis.turn"));
});

test("a press that the agent does not hear of is let go", async () => {
  const { room, conversation, talk } = await manual();
  room.deaf = true;
  await conversation.talk(true);
  assert.equal(talk(), "released");
  room.deaf = false;
  await conversation.talk(true);
  assert.equal(talk(), "held");
});

test("an end that got lost is told when the connection is back", async () => {
  const { room, conversation } = await manual();
  await conversation.talk(true);
  room.deaf = true;
  await conversation.talk(false);
  room.deaf = false;
  room.log.length = 0;
  room.emit(RoomEvent.Reconnected);
  await soon();
  room.emit(RoomEvent.Reconnected);
  await soon();
  assert.deepEqual(room.log, ["visavis.turn agent-s end"]);
});

test("an end that got lost is no end of the next turn", async () => {
  const { room, conversation } = await manual();
  await conversation.talk(true);
  room.deaf = true;
  await conversation.talk(false);
  room.deaf = false;
  await conversation.talk(true);
  room.log.length = 0;
  room.emit(RoomEvent.Reconnected);
  await soon();
  assert.deepEqual(room.log, []);
});

test("the next conversation may listen by itself again", async () => {
  const { conversation, talk } = await manual();
  await conversation.talk(true);
  await conversation.end();
  await conversation.start();
  assert.equal(talk(), "automatic");
});

test("a guess is replaced, and no guess replaces what is final", async () => {
  const { room, conversation } = begin();
  await conversation.start();
  const write = (final: boolean, words: string[]) =>
    room.write("person-s", { "lk.segment_id": "1", "lk.transcription_final": String(final) }, words);
  const shown = () => conversation.snapshot().captions.map(({ text, final }) => [text, final]);
  await write(false, ["What is"]);
  await write(false, ["What is worth"]);
  assert.deepEqual(shown(), [["What is worth", false]]);
  await write(true, ["What is worth knowing?"]);
  await write(false, ["What is worth no"]);
  assert.deepEqual(shown(), [["What is worth knowing?", true]]);
});

test("a guess that was nothing is taken back", async () => {
  const { room, conversation } = begin();
  await conversation.start();
  await room.write("person-s", { "lk.segment_id": "1", "lk.transcription_final": "false" }, ["Hm"]);
  await room.write("person-s", { "lk.segment_id": "1", "lk.transcription_final": "true" }, []);
  assert.deepEqual(conversation.snapshot().captions, []);
});

test("a caption without words is not shown", () => {
  const captions = new Captions();
  captions.put({ id: "1", who: "avatar", text: "  ", final: true });
  assert.deepEqual(captions.list(), []);
});
