/** The drawn face on a canvas, alive from the first moment; its mouth follows packets or the sound. */

import { RoomEvent, type Room } from "livekit-client";
import type { Avatar } from "./avatar.ts";
import { Life, type Mood } from "./life.ts";
import { CLOSED, MOTION_TOPIC, MotionBuffer, type Mouth } from "./motion.ts";
import { NEUTRAL, SIZE, placement, portrait, type Paint, type Pose, type Shape } from "./portrait.ts";

/** Closer than the drawing's own frame, about a point between the eyes and the mouth. */
const ZOOM = 1.14;
const CENTRE = [300, 318] as const;
const NECK = [300, 470] as const;
const LOUD = 0.12;

export interface Voice {
  /** Seconds of the audio clock. */
  now(): number;
  /** Loudness of the avatar's sound, RMS 0 to 1. */
  level(): number;
}

export class DrawnFace implements Avatar {
  mood: Mood = "waiting";
  private readonly buffer = new MotionBuffer();
  private readonly life = new Life();
  private readonly context: CanvasRenderingContext2D;
  private readonly still = matchMedia("(prefers-reduced-motion: reduce)");
  private running = true;
  private last = performance.now();
  private room: Room | undefined;

  /** Throws where the browser has no canvas. */
  constructor(private readonly canvas: HTMLCanvasElement, private readonly voice: Voice) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("no canvas");
    this.context = context;
    requestAnimationFrame(this.frame);
  }

  async attach(room: Room): Promise<void> {
    this.room = room;
    this.buffer.restart();
    room.on(RoomEvent.DataReceived, this.receive);
  }

  /** The avatar was stopped: what was to come is not shown. */
  hush(): void {
    this.buffer.clear();
  }

  async detach(): Promise<void> {
    this.room?.off(RoomEvent.DataReceived, this.receive);
    this.room = undefined;
  }

  async close(): Promise<void> {
    await this.detach();
    this.running = false;
  }

  private readonly receive = (
    packet: Uint8Array, _from: unknown, _kind: unknown, topic?: string,
  ): void => {
    if (topic === MOTION_TOPIC) this.buffer.push(packet, this.voice.now());
  };

  private readonly frame = (at: number): void => {
    if (!this.running) return;
    const step = Math.min((at - this.last) / 1000, 0.1);
    this.last = at;
    this.draw(this.still.matches ? NEUTRAL : this.life.after(step, this.mood, this.mouth()));
    requestAnimationFrame(this.frame);
  };

  private mouth(): Mouth {
    const pose = this.buffer.at(this.voice.now());
    if (pose) return pose;
    // No packets but sound: a voice without a face, or a vendor's face that is not shown.
    const level = this.voice.level();
    if (level < 0.01) return CLOSED;
    const jawOpen = Math.min(1, Math.sqrt(level / LOUD) * 0.75);
    return { jawOpen, mouthWide: jawOpen * (1 - jawOpen) };
  }

  private draw(pose: Pose): void {
    const pixels = Math.round(this.canvas.clientWidth * devicePixelRatio);
    if (!pixels) return;
    if (this.canvas.width !== pixels) this.canvas.width = this.canvas.height = pixels;
    const scale = (pixels / SIZE) * ZOOM;
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, pixels, pixels);
    for (const shape of portrait(pose)) {
      const [x, y, turn] = placement(shape.layer, pose);
      context.setTransform(scale, 0, 0, scale, pixels / 2 - CENTRE[0] * scale, pixels / 2 - CENTRE[1] * scale);
      context.translate(x + NECK[0], y + NECK[1]);
      context.rotate(turn);
      context.translate(-NECK[0], -NECK[1]);
      paint(context, shape);
    }
  }
}

function paint(context: CanvasRenderingContext2D, shape: Shape): void {
  const path = new Path2D(shape.d);
  context.save();
  context.globalAlpha = shape.alpha ?? 1;
  if (shape.clip) context.clip(new Path2D(shape.clip));
  if (shape.fill) {
    context.fillStyle = style(context, shape.fill);
    context.fill(path);
  }
  if (shape.stroke) {
    context.strokeStyle = shape.stroke;
    context.lineWidth = shape.width ?? 1;
    context.lineCap = context.lineJoin = "round";
    context.stroke(path);
  }
  context.restore();
}

function style(context: CanvasRenderingContext2D, fill: Paint): string | CanvasGradient {
  if (typeof fill === "string") return fill;
  const [x1, y1, x2, y2, from, to] = fill;
  const gradient = context.createLinearGradient(x1, y1, x2, y2);
  gradient.addColorStop(0, from);
  gradient.addColorStop(1, to);
  return gradient;
}
