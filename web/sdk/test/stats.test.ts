// Readings from inbound-rtp statistics.
import { describe, expect, it } from 'vitest';
import { inbound, read } from '../src/stats';

describe('inbound', () => {
  it('finds what comes in, by track, with the round trip of the pair in use', () => {
    const entries = [
      ['a', { type: 'inbound-rtp', kind: 'audio', trackIdentifier: 'sound', timestamp: 1 }],
      ['t', { type: 'transport' }],
      ['p', { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.02 }],
      ['v', { type: 'inbound-rtp', kind: 'video', trackIdentifier: 'first', timestamp: 1, framesDecoded: 3 }],
      ['w', { type: 'inbound-rtp', kind: 'video', trackIdentifier: 'second', timestamp: 1, framesDecoded: 4 }],
    ] as const;
    const found = inbound(new Map<string, object>(entries) as unknown as RTCStatsReport);
    expect(found.get('first')).toMatchObject({ framesDecoded: 3, roundTrip: 0.02 });
    expect(found.get('second')).toMatchObject({ framesDecoded: 4, roundTrip: 0.02 });
    expect(found.has('third')).toBe(false);
  });
});

describe('read', () => {
  const before = { timestamp: 1000, bytesReceived: 1000, jitterBufferDelay: 1, jitterBufferEmittedCount: 10 };
  const now = {
    timestamp: 3000,
    bytesReceived: 251_000,
    framesDecoded: 50,
    frameWidth: 1280,
    frameHeight: 720,
    jitterBufferDelay: 1.5,
    jitterBufferEmittedCount: 60,
  };
  it('rates against the reading before', () => {
    expect(read(now, before, undefined)).toMatchObject({ bitsPerSecond: 1_000_000, bufferedMs: 10, frames: 50 });
  });
  it('knows the way from the node without mapped clocks', () => {
    const [a, b] = [{ framesDecoded: 10, totalProcessingDelay: 1 }, { framesDecoded: 60, totalProcessingDelay: 2.5 }];
    expect(read({ ...now, ...b, roundTrip: 0.02 }, { ...before, ...a }, undefined).transitMs).toBeCloseTo(40);
    expect(read(now, before, undefined).transitMs).toBeUndefined();
  });
  it('does not believe a latency that is shorter than the way from the node', () => {
    const [a, b] = [{ framesDecoded: 10, totalProcessingDelay: 1 }, { framesDecoded: 60, totalProcessingDelay: 2.5 }];
    const latency = (ms: number): number | undefined =>
      read({ ...now, ...b, roundTrip: 0.02 }, { ...before, ...a }, ms).latencyMs;
    expect(latency(-300)).toBeUndefined();
    expect(latency(30)).toBe(30);
  });
  it('has no rates at the first reading', () => {
    expect(read(now, undefined, undefined).bitsPerSecond).toBeUndefined();
  });
});
