// What the page says for each state.
import { describe, expect, it } from 'vitest';
import { PATIENCE_MS, words } from '../src/words';

const reason = { status: 403, title: 'Forbidden', code: 'not_granted', detail: 'The grant does not name this camera.' };

describe('words', () => {
  it('is patient with a picture that is on its way', () => {
    expect(words({ name: 'waiting', before: false }, 0).title).toBe('Waiting for the picture');
    expect(words({ name: 'waiting', before: false }, PATIENCE_MS + 1).title).toBe('No signal');
  });
  it('says at once when a picture that was there stands still', () => {
    expect(words({ name: 'waiting', before: true }, 0).title).toBe('No signal');
  });
  it('gives the reason of a failure in the service’s words', () => {
    expect(words({ name: 'failed', reason }, 0)).toMatchObject({ mood: 'off', detail: reason.detail });
  });
  it('keeps saying no signal while it looks for a camera that is silent', () => {
    const silent = { ...reason, status: 0, code: 'no_frames' };
    expect(words({ name: 'reconnecting', attempt: 3, reason: silent }, 0).title).toBe('No signal');
  });
});
