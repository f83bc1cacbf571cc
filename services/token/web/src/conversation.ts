/**
 * A conversation in a LiveKit room: session, state, captions, push-to-talk. No DOM: copy this one
 * file into a page of your own, give it a `changed` callback, and draw what the snapshot says.
 */
import {
  ConnectionError,
  ConnectionErrorReason,
  DisconnectReason,
  ParticipantKind,
  RoomEvent,
  Track,
  createLocalAudioTrack,
  type LocalAudioTrack,
  type Participant,
  type Room,
  type TextStreamReader,
} from "livekit-client";

export type State =
  | "ready" | "connecting" | "listening" | "your-turn" | "thinking" | "speaking" | "reconnecting"
  | "microphone-off" | "microphone-denied" | "no-microphone"
  | "link-expired" | "full" | "failed" | "ended";

export type Connection =
  | "none" | "opening" | "open" | "lost" | "refused" | "full" | "failed" | "over";
export type Microphone = "unasked" | "on" | "off" | "denied" | "missing";
/** Whether the person says by a button when they speak, and whether they do. */
export type Talk = "automatic" | "released" | "held";

export interface Caption {
  readonly id: string;
  readonly who: "person" | "avatar";
  readonly text: string;
  /** False while more words, or better ones, may come. */
  readonly final: boolean;
}

export interface Session {
  readonly serverUrl: string;
  readonly token: string;
  readonly avatar: { provider: string; app_id: string; avatar_id: string; mode: string };
  /** Push-to-talk: nothing is taken for a turn but what is said while the button is held. */
  readonly manual: boolean;
}

/** All that a page has to draw. */
export interface Snapshot {
  readonly state: State;
  readonly connection: Connection;
  readonly microphone: Microphone;
  readonly talk: Talk;
  readonly captions: readonly Caption[];
  /** Seconds until the next try while the server is full. */
  readonly retryInS: number;
  /** Why it is over, as a sentence; empty before that and after an end that was asked for. */
  readonly reason: string;
}

export interface Options {
  readonly tokenUrl: string;
  /** Asked for at each start: the choice may change between two conversations. */
  character(): string;
  /** The same two come back to the same session while it lives; without them it is a new one. */
  readonly roomName?: string;
  readonly identity?: string;
  /** Makes the room; the page decides about its options. */
  newRoom(session: Session): Room;
  /** Runs between making the room and connecting: where a face attaches itself. */
  prepare?(room: Room, session: Session): Promise<void>;
  changed(snapshot: Snapshot): void;
  readonly fetch?: typeof fetch;
  readonly openMicrophone?: () => Promise<LocalAudioTrack>;
}

/** A reconnect shorter than this is not worth telling (a full one took 67 to 149 ms). */
export const QUIET_RECONNECT_MS = 300;
const RPC_MS = 3000;
const RETRY_S = 5;
const LONGEST_RETRY_S = 300;
const AGENT_STATE = "lk.agent.state";
const ON_BEHALF = "lk.publish_on_behalf";

/** The one mapping from facts to the word that a person reads. */
export function stateOf(
  connection: Connection, agent: string, microphone: Microphone, talk: Talk = "automatic",
): State {
  const outside: Partial<Record<Connection, State>> = {
    none: "ready", opening: "connecting", lost: "reconnecting",
    refused: "link-expired", full: "full", failed: "failed", over: "ended",
  };
  const outsideState = outside[connection];
  if (outsideState) return outsideState;
  if (agent === "thinking" || agent === "speaking") return agent;
  if (agent !== "listening" && agent !== "idle") return "connecting";
  // "Listening" would be a lie while nothing can be heard.
  if (microphone === "denied") return "microphone-denied";
  if (microphone === "missing") return "no-microphone";
  if (microphone !== "on") return "microphone-off";
  return talk === "released" ? "your-turn" : "listening";
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

/** Push-to-talk: the agent is told when the person begins to speak and when they are done. */
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

export class Conversation {
  room: Room | undefined;
  private readonly captions = new Captions();
  private connection: Connection = "none";
  private microphone: Microphone = "unasked";
  private readonly pushToTalk = new PushToTalk(
    (payload) => this.call("visavis.turn", payload), () => this.tell(),
  );
  private agentState = "";
  private reason = "";
  private retryInS = 0;
  private typed = 0;
  private attempt = 0;
  private track: LocalAudioTrack | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private ending: Promise<void> | undefined;

  constructor(private readonly options: Options) {}

  snapshot(): Snapshot {
    const { connection, microphone, retryInS, reason } = this;
    const talk = this.pushToTalk.now;
    const state = stateOf(connection, this.agentState, microphone, talk);
    return { state, connection, microphone, talk, captions: this.captions.list(), retryInS, reason };
  }

  /** The sound of the person's microphone, for a level meter. */
  get microphoneTrack(): MediaStreamTrack | undefined {
    return this.track?.mediaStreamTrack;
  }

  /** The microphone is asked for first: until the person has answered, no session costs anything. */
  async start(): Promise<void> {
    const attempt = ++this.attempt;
    const isOld = (): boolean => attempt !== this.attempt;
    clearTimeout(this.timer);
    this.captions.clear();
    this.agentState = this.reason = "";
    this.pushToTalk.begin(false);
    this.become("opening");
    // Else the session that is just ending would be the one that is asked for.
    await this.ending;
    if (!this.track && !isOld()) await this.openMicrophone();
    if (isOld()) return;
    const session = await this.requestSession(isOld);
    if (session && !isOld()) await this.join(session, isOld);
  }

  async setMicrophone(on: boolean): Promise<void> {
    if (on && !this.track) {
      await this.openMicrophone();
      await this.publishMicrophone();
    } else if (this.track) {
      await (on ? this.track.unmute() : this.track.mute());
      this.microphone = on ? "on" : "off";
    }
    this.tell();
  }

  /** Type instead of speaking. */
  async say(text: string): Promise<void> {
    const words = text.trim();
    if (!words || this.connection !== "open" || !this.room) return;
    this.captions.put({ id: `typed-${++this.typed}`, who: "person", text: words, final: true });
    this.tell();
    await this.room.localParticipant.sendText(words, { topic: "lk.chat" });
  }

  /** Push-to-talk: hold the button, or let it go. */
  async talk(held: boolean): Promise<void> {
    await this.pushToTalk.hold(held);
  }

  async interrupt(): Promise<void> {
    await this.call("visavis.interrupt");
  }

  async end(): Promise<void> {
    this.attempt++;
    const { room } = this;
    const told = this.call("visavis.end");
    // The person sees the end at once; a face is closed before its room.
    this.finish("");
    this.ending = told.then(() => room?.disconnect());
    await this.ending;
  }

  private async openMicrophone(): Promise<void> {
    try {
      this.track = await (this.options.openMicrophone ?? createLocalAudioTrack)();
      this.microphone = "on";
      this.track.mediaStreamTrack.addEventListener("ended", () => this.loseMicrophone());
    } catch (error) {
      const name = error instanceof Error ? error.name : "";
      this.microphone = name === "NotAllowedError" || name === "SecurityError" ? "denied" : "missing";
    }
    this.tell();
  }

  private loseMicrophone(): void {
    this.track = undefined;
    this.microphone = "missing";
    this.tell();
  }

  private async publishMicrophone(): Promise<void> {
    if (!this.track || !this.room) return;
    await this.room.localParticipant.publishTrack(this.track, { source: Track.Source.Microphone });
  }

  private async requestSession(isOld: () => boolean): Promise<Session | undefined> {
    const { roomName, identity } = this.options;
    const body = {
      ...(roomName ? { room_name: roomName } : {}),
      ...(identity ? { participant_identity: identity } : {}),
      room_config: { agents: [{ agent_name: this.options.character() }] },
    };
    let response: Response;
    try {
      response = await (this.options.fetch ?? fetch)(this.options.tokenUrl, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      if (isOld()) return undefined;
      if (response.ok) return sessionFrom(await response.json());
    } catch {
      if (!isOld()) this.fail("failed", "The server cannot be reached.");
      return undefined;
    }
    if (response.headers.has("Retry-After")) this.waitForPlace(response);
    else if (response.status < 500) this.fail("refused", "");
    else this.fail("failed", "The server has a problem.");
    return undefined;
  }

  private waitForPlace(response: Response): void {
    const asked = Number(response.headers.get("Retry-After"));
    this.retryInS = asked > 0 ? Math.min(Math.ceil(asked), LONGEST_RETRY_S) : RETRY_S;
    this.become("full");
    const tick = (): void => {
      this.retryInS -= 1;
      if (this.retryInS <= 0) void this.start();
      else {
        this.tell();
        this.timer = setTimeout(tick, 1000);
      }
    };
    this.timer = setTimeout(tick, 1000);
  }

  private async join(session: Session, isOld: () => boolean): Promise<void> {
    const room = (this.room = this.options.newRoom(session));
    this.pushToTalk.begin(session.manual);
    this.listen(room);
    try {
      await this.options.prepare?.(room, session);
      if (isOld()) return;
      await room.connect(session.serverUrl, session.token);
      if (isOld()) return void (await room.disconnect());
      this.connection = "open";
      for (const participant of room.remoteParticipants.values()) this.readState(participant);
      await this.publishMicrophone();
    } catch (error) {
      if (isOld()) return;
      const notAllowed =
        error instanceof ConnectionError && error.reason === ConnectionErrorReason.NotAllowed;
      if (notAllowed) this.fail("refused", "");
      else this.fail("failed", "The conversation's room cannot be reached.");
      await room.disconnect();
    }
    this.tell();
  }

  private listen(room: Room): void {
    const mine = (handler: () => void) => (): void => {
      if (room === this.room) handler();
    };
    const isBack = mine(() => {
      if (this.connection === "lost") this.become("open");
      void this.pushToTalk.settle();
    });
    room
      .on(RoomEvent.ParticipantConnected, (participant) => this.readState(participant))
      .on(RoomEvent.ParticipantAttributesChanged, (_, participant) => this.readState(participant))
      .on(RoomEvent.SignalReconnecting, mine(() => this.loseConnection()))
      .on(RoomEvent.Reconnecting, mine(() => this.loseConnection()))
      .on(RoomEvent.Reconnected, () => {
        clearTimeout(this.timer);
        isBack();
      })
      .on(RoomEvent.Disconnected, (reason) => mine(() => this.finish(sentenceFor(reason)))());
    room.registerTextStreamHandler("lk.transcription", (reader, from) => {
      const who = from.identity === room.localParticipant.identity ? "person" : "avatar";
      void this.captions.read(reader, who, () => this.tell());
    });
  }

  private loseConnection(): void {
    if (this.connection !== "open") return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      if (this.connection === "open") this.become("lost");
    }, QUIET_RECONNECT_MS);
  }

  private readState(participant: Participant): void {
    if (participant.kind !== ParticipantKind.AGENT || participant.attributes[ON_BEHALF]) return;
    this.agentState = participant.attributes[AGENT_STATE] ?? "";
    this.tell();
  }

  /** True when the agent has it. */
  private async call(method: string, payload = ""): Promise<boolean> {
    const room = this.room;
    if (!room || this.connection !== "open") return false;
    const destinationIdentity = agentOf(room);
    try {
      await room.localParticipant.performRpc({
        destinationIdentity, method, payload, responseTimeout: RPC_MS,
      });
      return true;
    } catch {
      // The room is going away, or the agent is being replaced: there is nothing to stop.
      return false;
    }
  }

  private fail(connection: "refused" | "failed", reason: string): void {
    this.reason = reason;
    this.stopMicrophone();
    this.become(connection);
  }

  private finish(reason: string): void {
    clearTimeout(this.timer);
    if (["over", "refused", "failed"].includes(this.connection)) return;
    this.reason = reason;
    this.stopMicrophone();
    this.become("over");
  }

  private stopMicrophone(): void {
    this.track?.stop();
    this.track = undefined;
    if (this.microphone === "on" || this.microphone === "off") this.microphone = "unasked";
  }

  private become(connection: Connection): void {
    this.connection = connection;
    this.tell();
  }

  private tell(): void {
    this.options.changed(this.snapshot());
  }
}

/** The agent, not its avatar. */
function agentOf(room: Room): string {
  for (const one of room.remoteParticipants.values()) {
    if (one.kind === ParticipantKind.AGENT && !one.attributes[ON_BEHALF]) return one.identity;
  }
  return `agent-${room.name}`;
}

/** Reads the token endpoint's answer; throws where it is not one. */
export function sessionFrom(answer: unknown): Session {
  const { server_url, participant_token, visavis } = answer as Record<string, any>;
  if (!server_url || !participant_token) throw new TypeError("no address or no token");
  const avatar = { provider: "none", app_id: "", avatar_id: "", mode: "", ...visavis?.avatar };
  const manual = visavis?.turn_taking?.profile === "manual";
  return { serverUrl: server_url, token: participant_token, avatar, manual };
}

/** Why the room was left, for the person; empty where nothing has to be explained. */
export function sentenceFor(reason: DisconnectReason | undefined): string {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return "";
    case DisconnectReason.DUPLICATE_IDENTITY:
      return "The conversation went on in another window.";
    case DisconnectReason.PARTICIPANT_REMOVED:
      return "The server has ended the conversation.";
    default:
      return "The connection was lost.";
  }
}
