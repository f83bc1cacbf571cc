/**
 * The vendor's face: its RTC adapter, loaded at run time from a configured address, attached to a
 * room that stays ours. Written against its public reference (adapter 1.1.3), tried with a stub.
 */

import type { Room } from "livekit-client";
import { VENDOR_WAIT_MS, within, type Avatar, type VendorModules } from "./avatar.ts";
import type { Session } from "./conversation.ts";

interface Player {
  attach(room: Room): Promise<void>;
  detach(): Promise<void>;
  reconnect?(): Promise<void>;
  on?(event: string, handler: (...values: unknown[]) => void): void;
}

/** What is used of `@spatius/avatarkit` and `@spatius/avatarkit-rtc`. */
interface VendorExports {
  readonly AvatarSDK: { initialize(appId: string, options: object): Promise<void> };
  readonly AvatarManager: { shared: { load(avatarId: string): Promise<unknown> } };
  readonly DrivingServiceMode: { rtc: unknown };
  readonly AvatarView: new (avatar: unknown, container: HTMLElement) => { dispose?(): void };
  readonly AvatarPlayer: new (provider: unknown, view: unknown, options: object) => Player;
  readonly LiveKitProvider: new (options: object) => unknown;
}

/** The motion track's frames are read in a worker; without that the adapter cannot work. */
export function canShowVendorFace(): boolean {
  return "RTCRtpScriptTransform" in globalThis;
}

/** Loads the modules and the avatar, and attaches it to the room. Throws why it could not. */
export class VendorFace implements Avatar {
  private player: Player | undefined;
  private view: { dispose?(): void } | undefined;
  private closed = false;

  constructor(
    private readonly modules: VendorModules,
    private readonly session: Session,
    private readonly container: HTMLElement,
    private readonly failed: (why: string) => void,
    private readonly waitMs = VENDOR_WAIT_MS,
  ) {}

  async attach(room: Room): Promise<void> {
    try {
      await within(this.waitMs, "the vendor's avatar", this.load(room));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    const { player, view } = this;
    this.player = this.view = undefined;
    try {
      await player?.detach();
    } finally {
      view?.dispose?.();
      this.container.replaceChildren();
    }
  }

  private async load(room: Room): Promise<void> {
    const { app_id, avatar_id } = this.session.avatar;
    const vendor = await this.exports();
    const mode = { drivingServiceMode: vendor.DrivingServiceMode.rtc };
    await vendor.AvatarSDK.initialize(app_id, mode);
    const avatar = await vendor.AvatarManager.shared.load(avatar_id);
    if (this.closed) return;
    this.view = new vendor.AvatarView(avatar, this.container);
    const options = { enableJitterBuffer: true, maxBufferDelayMs: 80 };
    const player = new vendor.AvatarPlayer(new vendor.LiveKitProvider({}), this.view, options);
    player.on?.("stalled", () => void player.reconnect?.());
    player.on?.("error", (error) => this.failed(String(error)));
    this.player = player;
    await player.attach(room);
    // Too late: the drawn face has taken over, and nothing may go on in the room.
    if (this.closed) await player.detach();
  }

  private async exports(): Promise<VendorExports> {
    const addresses = [this.modules.avatarkitUrl, this.modules.adapterUrl].filter(Boolean);
    const loaded = await Promise.all(addresses.map((url) => import(/* @vite-ignore */ url)));
    return Object.assign({}, ...loaded) as VendorExports;
  }
}
