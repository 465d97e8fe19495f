// What can be seen in a slot: whether the frames that come are of the camera asked for, and whether they move. Pure.
//
// All cameras of a slot come in one RTP stream, so no frame says whose it is. The service tells when it sends the new
// camera's (`live`), and after that no packet of the former leaves; what arrives later is of the new camera. Arrival is
// judged and not display: the jitter buffer may hold a former frame when `live` comes.
// Invariant: a picture that moves is of the camera asked for last.

/** What is on the screen. */
export type View =
  /** Nothing. */
  | 'none'
  /** The last frame of the camera shown before. */
  | 'former'
  /** The camera asked for, moving. */
  | 'moving'
  /** The camera asked for, standing still. */
  | 'still';

/** A picture that stands still for so long has stalled, in milliseconds. */
export const STALLED_MS = 2_500;
/** The service's word may overtake the former camera's last packets by so much: half a frame. */
const REORDER_MS = 20;
/** Without the service's word, what arrives so long after its answer is of the new camera: the network reorders. */
const GRACE_MS = 250;

/** One slot's picture. Times are the page's, in milliseconds (`performance.now()`). */
export class Picture {
  #view: View = 'none';
  /** What arrives from then on is of the camera asked for; undefined until that is known. */
  #fromMs: number | undefined;
  #movedMs = -Infinity;
  #decoded: number | undefined;

  /** What is on the screen. */
  get view(): View {
    return this.#view;
  }

  /** When it moved last. */
  get movedMs(): number {
    return this.#movedMs;
  }

  /** A new stream begins with the camera asked for: all its frames are of it. */
  begins(): void {
    this.#view = 'none';
    this.#fromMs = -Infinity;
    this.#decoded = undefined;
  }

  /** Another camera is asked for in the same stream. */
  asked(): void {
    if (this.#view !== 'none') this.#view = 'former';
    this.#fromMs = undefined;
    this.#decoded = undefined;
  }

  /** The service has answered that it will show it, and nothing else is heard of it. */
  answered(nowMs: number): void {
    this.#fromMs ??= nowMs + GRACE_MS;
  }

  /** The service sends it. */
  live(nowMs: number): void {
    this.#fromMs = Math.min(this.#fromMs ?? Infinity, nowMs + REORDER_MS);
  }

  /** The service sends nothing more: not to be taken for moving until a frame comes. */
  stopped(): void {
    if (this.#view === 'moving') this.#view = 'still';
  }

  /** Nothing is on the screen any more. */
  cleared(): void {
    this.#view = 'none';
  }

  /** A frame is shown that arrived at `receivedMs`. Answers whether it is the first of the camera asked for. */
  frame(receivedMs: number, nowMs: number): boolean {
    if (this.#fromMs === undefined || receivedMs < this.#fromMs) return false;
    const first = this.#view === 'none' || this.#view === 'former';
    this.#view = 'moving';
    this.#movedMs = nowMs;
    return first;
  }

  /**
   * So many frames have been decoded, by the statistics: they see a picture where no element shows one, or where the page
   * is hidden. Answers as frame() does.
   */
  decoded(frames: number, nowMs: number): boolean {
    if (this.#fromMs === undefined || nowMs < this.#fromMs) return false;
    // The first count after that is where counting starts: those before may be of the former camera.
    const before = this.#decoded ?? (this.#fromMs === -Infinity ? 0 : frames);
    this.#decoded = frames;
    return frames > before && this.frame(nowMs, nowMs);
  }

  /** Time has passed. */
  tick(nowMs: number): void {
    if (this.#view === 'moving' && nowMs - this.#movedMs > STALLED_MS) this.#view = 'still';
  }
}
