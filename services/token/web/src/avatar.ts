/** The faces that a conversation can have, behind one interface. */

import type { Room } from "livekit-client";
import type { Session } from "./conversation.ts";

/** Attached to the page's own room before it connects; closed before it disconnects. */
export interface Avatar {
  attach(room: Room): Promise<void>;
  close(): Promise<void>;
}

/** Addresses of the vendor's modules; empty where none are configured. */
export interface VendorModules {
  readonly adapterUrl: string;
  readonly avatarkitUrl: string;
}

export const VENDOR_WAIT_MS = 10_000;

/** Does the vendor publish this session's face into the room? */
export function isPublishedByVendor(session: Session): boolean {
  return session.avatar.provider === "spatius" && session.avatar.mode === "livekit_egress";
}

/** `work`, or an error after `ms`. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
