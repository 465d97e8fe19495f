// Records each frame that a video element presents, with the clock in its picture.
import { TimecodeReader, ageMs, nowMs } from '../timecode';

/** The film's length, which the clock in the picture counts to. */
const LOOP_MS = 60_000;
/** Luma, of 255, that no pixel of a black picture exceeds: limited range black is 16. */
const BLACK = 24;
/** A picture is looked at for black with so many pixels. */
const [ACROSS, DOWN] = [16, 9];
/** Frames that are kept. */
const KEPT = 20_000;

/** A frame as it was presented. */
export interface Frame {
  /** When, in milliseconds since the page began. */
  readonly atMs: number;
  readonly width: number;
  /** The camera's number in the clock; undefined where it could not be read. */
  readonly camera: number | undefined;
  /** The clock's reading; undefined where it could not be read. */
  readonly timecode: number | undefined;
  /** Age of the picture in milliseconds. */
  readonly ageMs: number | undefined;
  /** Whether all of it is black. */
  readonly isBlack: boolean;
}

const reader = new TimecodeReader();
const canvas = new OffscreenCanvas(ACROSS, DOWN);
const context = canvas.getContext('2d', { willReadFrequently: true });

/** A recording of one element, from its making until stop(). */
export class Recording {
  readonly frames: Frame[] = [];
  readonly #awaited = new Set<(frame: Frame) => void>();
  #isOver = false;

  constructor(readonly video: HTMLVideoElement) {
    this.#await();
  }

  /** The frames of the last `ms` milliseconds. */
  last(ms: number): readonly Frame[] {
    return this.frames.filter((frame) => frame.atMs > performance.now() - ms);
  }

  /** The next frame for which `wanted` holds; fails after `withinMs`. */
  next(what: string, withinMs: number, wanted: (frame: Frame) => boolean): Promise<Frame> {
    return new Promise((resolve, reject) => {
      const see = (frame: Frame): void => {
        if (!wanted(frame)) return;
        clearTimeout(timer);
        this.#awaited.delete(see);
        resolve(frame);
      };
      const timer = setTimeout(() => {
        this.#awaited.delete(see);
        const last = JSON.stringify(this.frames.slice(-3));
        reject(new Error(`waited ${withinMs} ms in vain for ${what}; the last frames were ${last}`));
      }, withinMs);
      this.#awaited.add(see);
    });
  }

  /** Ends it. */
  stop(): void {
    this.#isOver = true;
  }

  #await(): void {
    this.video.requestVideoFrameCallback(() => {
      if (this.#isOver) return;
      this.#await();
      const frame = this.#read();
      if (this.frames.push(frame) > KEPT) this.frames.shift();
      for (const see of [...this.#awaited]) see(frame);
    });
  }

  #read(): Frame {
    const now = nowMs();
    const clock = reader.read(this.video);
    return {
      atMs: performance.now(),
      width: this.video.videoWidth,
      camera: clock?.camera,
      timecode: clock?.ms,
      ageMs: clock && ageMs(now, clock.ms, LOOP_MS),
      // A clock that can be read is not black.
      isBlack: clock === undefined && isBlack(this.video),
    };
  }
}

function isBlack(video: HTMLVideoElement): boolean {
  if (!context) throw new Error('no 2d canvas');
  context.drawImage(video, 0, 0, ACROSS, DOWN);
  return context.getImageData(0, 0, ACROSS, DOWN).data.every((value, i) => i % 4 === 3 || value <= BLACK);
}
