// Latency from the metadata of frames.
import { describe, expect, it } from 'vitest';
import { LatencyMeter, type Screen } from '../src/latency';

/** A video element that shows a frame when told to. */
class Fake implements Screen {
  #callbacks = new Map<number, VideoFrameRequestCallback>();
  #requests = 0;

  get awaited(): number {
    return this.#callbacks.size;
  }

  requestVideoFrameCallback(callback: VideoFrameRequestCallback): number {
    this.#callbacks.set(++this.#requests, callback);
    return this.#requests;
  }

  cancelVideoFrameCallback(request: number): void {
    this.#callbacks.delete(request);
  }

  /** Shows a frame, and calls `lateMs` after that. */
  show(shownMs: number, captureTime?: number, lateMs = 0): void {
    const callbacks = [...this.#callbacks.values()];
    this.#callbacks.clear();
    const metadata = { expectedDisplayTime: shownMs, ...(captureTime === undefined ? {} : { captureTime }) };
    for (const callback of callbacks) callback(shownMs + lateMs, metadata as VideoFrameCallbackMetadata);
  }
}

function meter(): [LatencyMeter, Fake] {
  const screen = new Fake();
  return [new LatencyMeter(screen), screen];
}

describe('LatencyMeter', () => {
  it('is the median of capture to display', () => {
    const [latency, screen] = meter();
    for (const [shownMs, ageMs] of [[1000, 50], [1040, 400], [1080, 60]] as const) screen.show(shownMs, shownMs - ageMs);
    expect(latency.latencyMs(1100)).toBe(60);
  });
  it('does not mind a page that is called late', () => {
    const [latency, screen] = meter();
    screen.show(1000, 950, 300);
    expect(latency.latencyMs(1300)).toBe(50);
  });
  it('is unknown until frames have a capture time', () => {
    const [latency, screen] = meter();
    screen.show(1000);
    expect(latency.latencyMs(1010)).toBeUndefined();
    screen.show(1040, 1000);
    expect(latency.latencyMs(1050)).toBe(40);
  });
  it('is unknown again when the picture stands still', () => {
    const [latency, screen] = meter();
    screen.show(1000, 950);
    expect(latency.latencyMs(5000)).toBeUndefined();
  });
  it('follows when the latency changes', () => {
    const [latency, screen] = meter();
    for (let ms = 0; ms < 10_000; ms += 40) screen.show(ms, ms - (ms < 6_000 ? 500 : 80));
    expect(latency.latencyMs(10_000)).toBe(80);
  });
  it('begins anew with another picture', () => {
    const [latency, screen] = meter();
    screen.show(1000, 500);
    latency.restart();
    expect(latency.latencyMs(1010)).toBeUndefined();
    screen.show(1040, 1000);
    expect(latency.latencyMs(1050)).toBe(40);
  });
  it('leaves out frames of before the clocks are known anew', () => {
    const [latency, screen] = meter();
    latency.restart(2000);
    screen.show(1990, 1000);
    expect(latency.latencyMs(2000)).toBeUndefined();
    screen.show(2010, 1970);
    expect(latency.latencyMs(2020)).toBe(40);
  });
  it('leaves nothing behind when stopped', () => {
    const [latency, screen] = meter();
    screen.show(1000, 950);
    expect(screen.awaited).toBe(1);
    latency.stop();
    expect(screen.awaited).toBe(0);
  });
  it('is unknown in a browser without frame callbacks', () => {
    const latency = new LatencyMeter({} as Screen);
    expect(latency.latencyMs(0)).toBeUndefined();
    latency.stop();
  });
});
