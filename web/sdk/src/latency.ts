// How old the picture in a video element is, from what the browser says of each frame it shows (WICG video-rvfc).
// Invariant: frames older than the window count for nothing, so a picture that stands still has no latency.

/** What is used of a video element. */
export type Screen = Pick<HTMLVideoElement, 'requestVideoFrameCallback' | 'cancelVideoFrameCallback'>;

/** Frames of so long ago still count, in milliseconds: some 50, so that one late frame moves nothing. */
const WINDOW_MS = 2_000;

/** Measures one element's frames from its making until stop(). */
export class LatencyMeter {
  #frames: { readonly shownMs: number; readonly latencyMs: number }[] = [];
  #fromMs = -Infinity;
  #request: number | undefined;

  /** `each` hears of each frame as it is shown. */
  constructor(
    private readonly screen: Screen,
    private readonly each: (frame: VideoFrameCallbackMetadata) => void = () => undefined,
  ) {
    this.#await();
  }

  /**
   * Median age of the frames shown lately, in milliseconds, `nowMs` being the page's time (`performance.now()`).
   * Undefined while the browser knows no capture times.
   */
  latencyMs(nowMs: number): number | undefined {
    this.#forgetBefore(nowMs - WINDOW_MS);
    const ages = this.#frames.map((frame) => frame.latencyMs).sort((a, b) => a - b);
    return ages[ages.length >> 1];
  }

  /** Forgets the frames so far, and counts those shown from `fromMs` on: another picture begins. */
  restart(fromMs = -Infinity): void {
    this.#frames = [];
    this.#fromMs = fromMs;
  }

  /** Ends it. */
  stop(): void {
    if (this.#request !== undefined) this.screen.cancelVideoFrameCallback(this.#request);
    this.#request = undefined;
  }

  #await(): void {
    // Browsers of before 2024 may lack the callback; they have no latency then, and all else works.
    this.#request = this.screen.requestVideoFrameCallback?.((_, frame) => {
      this.#await();
      this.each(frame);
      const { expectedDisplayTime: shownMs, captureTime } = frame;
      if (captureTime === undefined || shownMs < this.#fromMs) return;
      // When the frame is to be visible, not when this is called: a busy page is called late, the screen is not.
      this.#frames.push({ shownMs, latencyMs: shownMs - captureTime });
      this.#forgetBefore(shownMs - WINDOW_MS);
    });
  }

  #forgetBefore(ms: number): void {
    while ((this.#frames[0]?.shownMs ?? Infinity) < ms) this.#frames.shift();
  }
}
