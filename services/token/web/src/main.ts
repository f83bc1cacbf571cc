/** The page: wires conversation, sound, face and look together. */

import { Room, RoomEvent, Track, type RemoteTrack } from "livekit-client";
import { isPublishedByVendor, type VendorModules } from "./avatar.ts";
import { Conversation, type Session, type Snapshot, type State } from "./conversation.ts";
import { DrawnFace } from "./face.ts";
import { HoldToTalk } from "./hold.ts";
import { TurnClock } from "./latency.ts";
import type { Mood } from "./life.ts";
import { Look } from "./look.ts";
import { Sound } from "./sound.ts";
import { VendorFace, canShowVendorFace } from "./vendor.ts";

interface Character {
  readonly id: string;
  readonly name: string;
  readonly disclosure?: string;
}

interface PageFacts {
  readonly characters: readonly Character[];
  readonly disclosure: string;
  readonly adapter_url: string;
  readonly avatarkit_url: string;
}

const MOODS: Partial<Record<State, Mood>> = {
  listening: "listening", "your-turn": "listening", thinking: "thinking", speaking: "speaking",
  reconnecting: "away", ended: "away", failed: "away", "link-expired": "away",
};

class Page {
  private readonly look = new Look();
  private readonly sound = new Sound();
  private readonly clock = new TurnClock();
  private readonly drawn = this.drawFace();
  private readonly hold = new HoldToTalk(this.look.hold, (held) => void this.conversation?.talk(held));
  private readonly link = new URLSearchParams(location.search);
  private facts: PageFacts = { characters: [], disclosure: "", adapter_url: "", avatarkit_url: "" };
  private conversation: Conversation | undefined;
  private vendor: VendorFace | undefined;
  private state: State = "ready";

  async open(): Promise<void> {
    this.listen();
    requestAnimationFrame(this.measure);
    try {
      this.facts = await (await fetch("page.json")).json();
    } catch {
      // Without the page's facts it still works, with the defaults of the server.
    }
    const { characters } = this.facts;
    // A link to somebody who is not there is a wrong link; the server says so at the start.
    const linked = this.link.get("character");
    const wanted = linked ? characters.find(({ id }) => id === linked) : characters[0];
    this.introduce(wanted);
    this.look.choose(wanted?.id);
  }

  private introduce(one: Character | undefined): void {
    const disclosure = one?.disclosure || this.facts.disclosure;
    this.look.introduce(one?.name ?? "Visavis", disclosure, this.facts.characters);
  }

  private drawFace(): DrawnFace | undefined {
    try {
      const voice = { now: () => this.sound.now(), level: () => this.sound.avatarLevel() };
      return new DrawnFace(this.look.face, voice);
    } catch {
      this.look.showFace("still");
      return undefined;
    }
  }

  private listen(): void {
    const { look } = this;
    look.start.addEventListener("click", () => this.start());
    look.again.addEventListener("click", () => this.start());
    look.copy.addEventListener("click", () => {
      if (this.conversation) void look.copyTranscript(this.conversation.snapshot());
    });
    look.character.addEventListener("change", () => {
      this.introduce(this.facts.characters.find(({ id }) => id === look.character.value));
    });
    look.microphone.addEventListener("click", () => this.toggleMicrophone());
    look.interrupt.addEventListener("click", () => this.interrupt());
    look.end.addEventListener("click", () => void this.conversation?.end());
    look.typing.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.type();
    });
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) this.interrupt();
    });
    // A browser that held the sound back lets it go at the next touch.
    addEventListener("click", () => void this.conversation?.room?.startAudio().catch(() => {}));
  }

  private start(): void {
    this.sound.open();
    this.look.latency(undefined);
    this.look.faceNote("");
    this.conversation ??= new Conversation({
      tokenUrl: "token",
      character: () => this.look.character.value || (this.link.get("character") ?? ""),
      roomName: this.link.get("room") || tabsName(),
      identity: tabsName(),
      newRoom: (session) => this.newRoom(session),
      prepare: (room, session) => this.attachFace(room, session),
      changed: (snapshot) => this.show(snapshot),
    });
    void this.conversation.start();
  }

  private toggleMicrophone(): void {
    const isOn = this.conversation?.snapshot().microphone === "on";
    void this.conversation?.setMicrophone(!isOn);
  }

  private interrupt(): void {
    if (this.state !== "speaking" && this.state !== "thinking") return;
    this.drawn?.hush();
    void this.conversation?.interrupt();
  }

  private async type(): Promise<void> {
    const { text } = this.look;
    const words = text.value;
    text.value = "";
    this.clock.reset();
    try {
      await this.conversation?.say(words);
    } catch {
      // It was not sent: the words are given back.
      text.value ||= words;
    }
  }

  private show(snapshot: Snapshot): void {
    if (this.state === "speaking" && snapshot.state !== "speaking") this.drawn?.hush();
    this.state = snapshot.state;
    if (this.drawn) this.drawn.mood = MOODS[snapshot.state] ?? "waiting";
    this.sound.hearPerson(this.conversation?.microphoneTrack);
    if (snapshot.connection === "over") void this.closeVendor();
    // Whatever ended it: a call that is over, a microphone switched off, a start that nobody heard.
    const canTalk = snapshot.talk === "held" && snapshot.microphone === "on";
    if (!canTalk || snapshot.connection === "over") this.hold.release();
    this.look.show(snapshot);
  }

  private newRoom(session: Session): Room {
    // The vendor's adapter needs two peer connections (its public reference, 1.1.3).
    const ownConnections = this.usesVendor(session) ? { singlePeerConnection: false } : {};
    const room = new Room({ publishDefaults: { dtx: true, red: true }, ...ownConnections });
    room.on(RoomEvent.TrackSubscribed, (track) => this.play(track));
    room.on(RoomEvent.TrackUnsubscribed, (track) => {
      for (const element of track.detach()) element.remove();
      this.sound.dropVoice(track.mediaStreamTrack);
    });
    room.on(RoomEvent.AudioPlaybackStatusChanged, () => {
      this.look.faceNote(room.canPlaybackAudio ? "" : "Press anywhere to hear the sound.");
    });
    return room;
  }

  private play(track: RemoteTrack): void {
    if (track.kind !== Track.Kind.Audio) return;
    document.body.append(track.attach());
    this.sound.addVoice(track.mediaStreamTrack);
  }

  private usesVendor(session: Session): boolean {
    return this.facts.adapter_url !== "" && isPublishedByVendor(session) && canShowVendorFace();
  }

  private async attachFace(room: Room, session: Session): Promise<void> {
    await this.drawn?.attach(room);
    if (this.facts.adapter_url === "" || !isPublishedByVendor(session)) return;
    if (!canShowVendorFace()) {
      this.fallBack("This browser cannot show the avatar itself.");
      return;
    }
    const modules: VendorModules = {
      adapterUrl: this.facts.adapter_url,
      avatarkitUrl: this.facts.avatarkit_url,
    };
    const failed = (): void => {
      void this.closeVendor();
      this.fallBack("The avatar has stopped.");
    };
    this.vendor = new VendorFace(modules, session, this.look.vendor, failed);
    this.look.showFace("vendor");
    try {
      await this.vendor.attach(room);
    } catch {
      this.vendor = undefined;
      this.fallBack("The avatar could not be loaded.");
    }
  }

  /** Said openly: what is seen is not the vendor's avatar. */
  private fallBack(why: string): void {
    this.look.showFace(this.drawn ? "drawn" : "still");
    this.look.faceNote(`${why} A drawing stands in for it; the voice is the same.`);
  }

  private async closeVendor(): Promise<void> {
    const { vendor } = this;
    this.vendor = undefined;
    if (!vendor) return;
    this.look.showFace(this.drawn ? "drawn" : "still");
    await vendor.close();
  }

  private readonly measure = (at: number): void => {
    const person = this.sound.personLevel();
    const avatar = this.sound.avatarLevel();
    this.look.levels(person, avatar);
    const took = this.clock.feed(at / 1000, person, avatar);
    if (took !== undefined) this.look.latency(took);
    requestAnimationFrame(this.measure);
  };
}

/** One name a tab, so that a reload comes back to the session that still lives. */
function tabsName(): string {
  const name = sessionStorage.getItem("visavis-guest") ?? `guest-${crypto.randomUUID()}`;
  sessionStorage.setItem("visavis-guest", name);
  return name;
}

void new Page().open();
