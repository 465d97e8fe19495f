// What moves a viewer from state to state.
import { describe, expect, it } from 'vitest';
import { next, type Happening, type State } from '../src/state';
import { local } from '../src/problem';

const reason = local('connection_lost', 'Connection lost', '');

function after(...happenings: Happening[]): State {
  return happenings.reduce<State>(next, { name: 'idle' });
}

describe('a viewer', () => {
  it('connects, waits for the picture, plays', () => {
    expect(after({ is: 'asked' }).name).toBe('connecting');
    expect(after({ is: 'asked' }, { is: 'connected' })).toEqual({ name: 'waiting', before: false });
    expect(after({ is: 'asked' }, { is: 'connected' }, { is: 'picture' }).name).toBe('playing');
  });
  it('waits again when the picture stands still, and remembers that there was one', () => {
    const state = after({ is: 'asked' }, { is: 'picture' }, { is: 'stalled' });
    expect(state).toEqual({ name: 'waiting', before: true });
    expect(next(state, { is: 'picture' }).name).toBe('playing');
  });
  it('reconnects after a loss', () => {
    const state = after({ is: 'asked' }, { is: 'picture' }, { is: 'lost', attempt: 2, reason });
    expect(state).toEqual({ name: 'reconnecting', attempt: 2, reason });
    expect(next(state, { is: 'connected' })).toEqual({ name: 'waiting', before: false });
  });
  it('stays failed and ended, whatever a past connection still says', () => {
    const failed = after({ is: 'asked' }, { is: 'refused', reason });
    expect(failed).toEqual({ name: 'failed', reason });
    expect(next(failed, { is: 'connected' })).toBe(failed);
    const ended = after({ is: 'asked' }, { is: 'closed' });
    expect(next(ended, { is: 'lost', attempt: 1, reason })).toBe(ended);
  });
  it('starts anew from anywhere when asked', () => {
    expect(after({ is: 'asked' }, { is: 'refused', reason }, { is: 'asked' }).name).toBe('connecting');
  });
  it('is not taken out of playing by a connection that is made beside it', () => {
    const playing = after({ is: 'asked' }, { is: 'picture' });
    expect(next(playing, { is: 'connected' })).toBe(playing);
  });
});
