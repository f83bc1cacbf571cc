/** Sound in and out: the avatar's voice played, both levels measured. */

/** Loudness of one stream, RMS 0 to 1. */
class Meter {
  private readonly samples: Float32Array<ArrayBuffer>;
  private readonly analyser: AnalyserNode;
  private readonly source: MediaStreamAudioSourceNode;

  constructor(context: AudioContext, readonly track: MediaStreamTrack) {
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 1024;
    this.samples = new Float32Array(this.analyser.fftSize);
    this.source = context.createMediaStreamSource(new MediaStream([track]));
    this.source.connect(this.analyser);
  }

  level(): number {
    this.analyser.getFloatTimeDomainData(this.samples);
    let sum = 0;
    for (const sample of this.samples) sum += sample * sample;
    return Math.sqrt(sum / this.samples.length);
  }

  close(): void {
    this.source.disconnect();
  }
}

export class Sound {
  private context: AudioContext | undefined;
  private person: Meter | undefined;
  private readonly avatar = new Map<MediaStreamTrack, Meter>();

  /** To be called from a click: browsers hold sound back before one. */
  open(): void {
    this.context ??= new AudioContext();
    void this.context.resume();
  }

  /** Seconds of the audio clock. */
  now(): number {
    return this.context?.currentTime ?? performance.now() / 1000;
  }

  /** Measures the microphone; undefined stops it. */
  hearPerson(track: MediaStreamTrack | undefined): void {
    if (track === this.person?.track) return;
    this.person?.close();
    this.person = track && this.context ? new Meter(this.context, track) : undefined;
  }

  addVoice(track: MediaStreamTrack): void {
    if (this.context) this.avatar.set(track, new Meter(this.context, track));
  }

  dropVoice(track: MediaStreamTrack): void {
    this.avatar.get(track)?.close();
    this.avatar.delete(track);
  }

  personLevel(): number {
    return this.person?.level() ?? 0;
  }

  avatarLevel(): number {
    return Math.max(0, ...[...this.avatar.values()].map((meter) => meter.level()));
  }
}
