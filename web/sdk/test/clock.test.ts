// The offset to the server's clock.
import { describe, expect, it } from 'vitest';
import { offsetMs } from '../src/clock';

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
