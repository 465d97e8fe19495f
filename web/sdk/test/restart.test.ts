// Restarts of ICE.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ProblemError } from '../src/problem';
import { GIVE_UP_MS, IceRestart, type Restartable } from '../src/restart';

const ANSWER = 'v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:old\r\na=ice-pwd:old\r\n';
const TOLD = 'a=ice-ufrag:new\r\na=ice-pwd:new\r\n';

let state: RTCIceConnectionState;
let remote: string[];
let told: string[];
let sent: number;

function restarter(send: () => Promise<string>): IceRestart {
  const pc: Restartable = {
    get iceConnectionState() {
      return state;
    },
    currentRemoteDescription: { type: 'answer', sdp: ANSWER } as RTCSessionDescription,
    restartIce: () => undefined,
    createOffer: (): never => Promise.resolve({ type: 'offer', sdp: ANSWER }) as never,
    setLocalDescription: () => Promise.resolve(),
    setRemoteDescription: ({ sdp }: RTCSessionDescriptionInit) => {
      remote.push(sdp ?? '');
      return Promise.resolve();
    },
  };
  const counted = (): Promise<string> => {
    sent += 1;
    return send();
  };
  return new IceRestart(pc, counted, {
    searching: () => told.push('searching'),
    found: () => told.push('found'),
    lost: ({ code }) => told.push(`lost ${code}`),
  });
}

beforeEach(() => {
  vi.useFakeTimers();
  state = 'connected';
  remote = [];
  told = [];
  sent = 0;
});
afterEach(() => void vi.useRealTimers());

describe('ICE', () => {
  it('is restarted at once when the way is lost', async () => {
    const ice = restarter(() => Promise.resolve(TOLD));
    state = 'disconnected';
    ice.changed();
    await vi.advanceTimersByTimeAsync(0);
    expect(remote).toEqual([ANSWER.replaceAll('old', 'new')]);
    state = 'connected';
    ice.changed();
    await vi.advanceTimersByTimeAsync(2 * GIVE_UP_MS);
    expect(told).toEqual(['searching', 'found']);
  });
  it('is asked again while the service cannot be reached, and given up in time', async () => {
    const ice = restarter(() => Promise.reject(new TypeError('Failed to fetch')));
    state = 'failed';
    ice.changed();
    await vi.advanceTimersByTimeAsync(GIVE_UP_MS - 1);
    expect(sent).toBeGreaterThan(2);
    expect(told).toEqual(['searching']);
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual(['searching', 'lost connection_lost']);
  });
  it('is given up at once when the session is no more', async () => {
    const gone = { status: 404, title: '', code: 'no_such_session', detail: '' };
    const ice = restarter(() => Promise.reject(new ProblemError(gone)));
    ice.moved();
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual(['lost no_such_session']);
  });
  it('is restarted once more when the network changes meanwhile', async () => {
    const ice = restarter(() => Promise.resolve(TOLD));
    ice.moved();
    ice.moved();
    ice.moved();
    await vi.advanceTimersByTimeAsync(0);
    expect(sent).toBe(2);
    expect(told).toEqual([]);
  });
});
