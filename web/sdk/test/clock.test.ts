// The offset to the server's clock, and latency from NTP time stamps.
import { describe, expect, it } from 'vitest';
import { latencyMs, offsetMs } from '../src/clock';

describe('offsetMs', () => {
  it('takes the midpoint of the quickest exchange', () => {
    const slow = { sentMs: 0, serverMs: 1090, receivedMs: 100 };
    const quick = { sentMs: 200, serverMs: 1205, receivedMs: 210 };
    expect(offsetMs([slow, quick])).toBe(1000);
  });
  it('is unknown without an exchange', () => {
    expect(offsetMs([])).toBeUndefined();
  });
});

describe('latencyMs', () => {
  // 2026-11-23T00:00:00Z is second 1,795,392,000 of Unix time and 4,004,380,800 of NTP.
  const unix = 1_795_392_000_000;
  const ntp = 4_004_380_800_000;
  it('is the age of the picture', () => {
    expect(latencyMs(ntp, unix + 85)).toBe(85);
  });
  it('is unknown without a sender report', () => {
    expect(latencyMs(undefined, unix)).toBeUndefined();
    expect(latencyMs(0, unix)).toBeUndefined();
  });
  it('is unknown when a clock is plainly wrong', () => {
    expect(latencyMs(ntp, unix + 3_600_000)).toBeUndefined();
  });
});
