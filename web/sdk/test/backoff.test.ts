// The wait before another attempt.
import { describe, expect, it } from 'vitest';
import { FIRST_MS, LONGEST_MS, delayMs } from '../src/backoff';

describe('delayMs', () => {
  it('doubles from attempt to attempt', () => {
    expect([1, 2, 3].map((n) => delayMs(n, 0))).toEqual([FIRST_MS / 2, FIRST_MS, FIRST_MS * 2]);
  });
  it('spreads over the upper half of its span', () => {
    expect(delayMs(3, 0)).toBe(FIRST_MS * 2);
    expect(delayMs(3, 0.999)).toBeCloseTo(FIRST_MS * 4, -1);
  });
  it('stays within its longest, however often it failed', () => {
    expect(delayMs(1000, 0.999)).toBeLessThanOrEqual(LONGEST_MS);
  });
  it('comes after the time that the service asks for', () => {
    expect(delayMs(1, 0, 30_000)).toBe(30_000 + FIRST_MS / 2);
  });
});
