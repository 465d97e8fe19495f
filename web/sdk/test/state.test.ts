// What is known of a slot, and the state that follows.
import { describe, expect, it } from 'vitest';
import { local } from '../src/problem';
import { stateOf, type Facts } from '../src/state';

const reason = local('connection_lost', 'Connection lost', '');
const connected = { name: 'connected' } as const;

function state(facts: Partial<Facts>): ReturnType<typeof stateOf> {
  return stateOf({ connection: connected, camera: 'a', refused: undefined, said: undefined, view: 'none', ...facts });
}

describe('a slot', () => {
  it('connects, waits for the picture, plays', () => {
    expect(state({ connection: { name: 'connecting' } })).toEqual({ name: 'connecting' });
    expect(state({})).toEqual({ name: 'waiting', before: false });
    expect(state({ said: 'live', view: 'moving' })).toEqual({ name: 'playing' });
  });
  it('is idle while nothing is asked for, and before the viewer is opened', () => {
    expect(state({ camera: null, view: 'former' })).toEqual({ name: 'idle' });
    expect(state({ connection: { name: 'idle' } })).toEqual({ name: 'idle' });
  });
  it('switches while the former camera is on the screen', () => {
    expect(state({ view: 'former' })).toEqual({ name: 'switching' });
    expect(state({ view: 'former', said: 'no_signal' })).toEqual({ name: 'no_signal' });
  });
  it('waits again when the picture stands still, and remembers that there was one', () => {
    expect(state({ view: 'still', said: 'live' })).toEqual({ name: 'waiting', before: true });
  });
  it('believes what is seen before what is told', () => {
    expect(state({ said: 'no_signal', view: 'moving' })).toEqual({ name: 'playing' });
    expect(state({ connection: { name: 'reconnecting', attempt: 1, reason }, view: 'moving' })).toEqual({ name: 'playing' });
  });
  it('is paused as soon as that is told, until another thing is', () => {
    const views = ['none', 'former', 'still', 'moving'] as const;
    for (const view of views) expect(state({ said: 'paused', view }), view).toEqual({ name: 'paused' });
    expect(state({ said: 'waiting', view: 'still' })).toEqual({ name: 'waiting', before: true });
    expect(state({ said: 'live', view: 'moving' })).toEqual({ name: 'playing' });
    const reconnecting = { name: 'reconnecting', attempt: 0, reason } as const;
    expect(state({ connection: reconnecting, said: 'paused', view: 'moving' })).toEqual(reconnecting);
  });
  it('never shows what is withdrawn or refused', () => {
    expect(state({ said: 'withdrawn', view: 'moving' })).toEqual({ name: 'withdrawn' });
    expect(state({ refused: reason, view: 'moving' })).toEqual({ name: 'failed', reason });
  });
  it('tells why the connection does not stand', () => {
    const reconnecting = { name: 'reconnecting', attempt: 2, reason } as const;
    expect(state({ connection: reconnecting, said: 'no_signal', view: 'former' })).toEqual(reconnecting);
    expect(state({ connection: { name: 'failed', reason }, view: 'moving' })).toEqual({ name: 'failed', reason });
    const replaced = { name: 'ended', why: 'replaced' } as const;
    expect(state({ connection: replaced, camera: null })).toEqual(replaced);
  });
});
