// Reads the clock that tools/camera/timecode.py burns into a picture (its layout is described there).

const CELLS = 40;
/** Pixels that a cell is sampled with. */
const SAMPLES = 4;

/** What the picture's clock shows. */
export interface Timecode {
  /** The camera's number. */
  readonly camera: number;
  /** Time in milliseconds, modulo the film. */
  readonly ms: number;
}

/** Milliseconds since 1970, finer than Date.now(). */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Age of a picture whose film lasts `loopMs`, in milliseconds. */
export function ageMs(now: number, timecode: number, loopMs: number): number {
  return (((now - timecode) % loopMs) + loopMs) % loopMs;
}

/** Reads timecodes from a video element. */
export class TimecodeReader {
  readonly #context: CanvasRenderingContext2D;

  constructor() {
    const canvas = document.createElement('canvas');
    canvas.width = CELLS * SAMPLES;
    canvas.height = 1;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (!context) throw new Error('no 2d canvas');
    this.#context = context;
  }

  /** The clock in the picture shown now; undefined where there is none or it cannot be read. */
  read(video: HTMLVideoElement): Timecode | undefined {
    const width = video.videoWidth;
    if (width === 0) return undefined;
    const cell = width / CELLS;
    this.#context.drawImage(video, 0, cell / 4, width, cell / 2, 0, 0, CELLS * SAMPLES, 1);
    return decode(this.#context.getImageData(0, 0, CELLS * SAMPLES, 1).data);
  }
}

/** The timecode of one line of RGBA pixels, SAMPLES to a cell. */
export function decode(rgba: Uint8ClampedArray): Timecode | undefined {
  const bit = (i: number): number => {
    // The two inner samples: the outer ones blend with the neighbours.
    const red = (k: number): number => rgba[(SAMPLES * i + k) * 4] ?? 0;
    return red(1) + red(2) > 250 ? 1 : 0;
  };
  const bits = (from: number, count: number): number => {
    let value = 0;
    for (let i = from; i < from + count; i++) value = value * 2 + bit(i);
    return value;
  };
  if (bits(0, 2) !== 0b10 || bits(38, 2) !== 0b01) return undefined;
  let check = 0xa;
  for (let i = 0; i < 8; i++) check ^= bits(2 + 4 * i, 4);
  if (bits(34, 4) !== check) return undefined;
  const payload = bits(2, 32);
  return { camera: Math.floor(payload / 1_000_000), ms: payload % 1_000_000 };
}
