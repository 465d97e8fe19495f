// A viewer from open() to close(), with a browser and a service that do as told.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Viewer } from '../src/viewer';
import { FakePeer, FakeVideo, browser, install, settle, type FakeService } from './fakes';

const A = '01935f00-0000-7000-8000-00000000000a';
const B = '01935f00-0000-7000-8000-00000000000b';

let service: FakeService;
let grants: number;

const token = (seconds: number): string =>
  `e30.${Buffer.from(JSON.stringify({ exp: Date.now() / 1000 + seconds, jti: grants })).toString('base64url')}.c2ln`;
const grant = (): Promise<string> => {
  grants += 1;
  return Promise.resolve(token(300));
};
const peer = (n: number): FakePeer => FakePeer.all[n] ?? new FakePeer();
const names = (viewer: Viewer, slots: number): string[] => Array.from({ length: slots }, (_, i) => viewer.slot(i).state.name);

beforeEach(() => {
  vi.useFakeTimers({ now: 1_795_000_000_000 });
  service = install();
  grants = 0;
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A viewer of two slots whose first plays A on an attached element. */
async function playing(): Promise<[Viewer, FakeVideo]> {
  const viewer = new Viewer({ grant, slots: 2, audio: true });
  const video = new FakeVideo();
  viewer.attach(video as unknown as HTMLVideoElement);
  viewer.connect(A, { rid: 'l' });
  await settle();
  peer(0).ice('connected');
  await service.tell({ type: 'slot', slot: 0, camera: A, state: 'live' });
  video.frame();
  peer(0).moving.add(0);
  expect(viewer.state.name).toBe('playing');
  return [viewer, video];
}

describe('a viewer', () => {
  it('asks for all its slots in the call that connects it', async () => {
    const viewer = new Viewer({ grant, slots: 3, audio: true });
    viewer.show(0, A, { rid: 'l' });
    viewer.show(2, B);
    viewer.listen(B);
    viewer.open();
    await settle();
    expect(service.bodies('POST')).toEqual([
      { offer: expect.stringMatching(/(m=video[^]*){3}m=audio/) as string, slots: [{ camera: A, rid: 'l' }, null, { camera: B }], audio: B },
    ]);
    expect(service.bodies('PATCH')).toEqual([]);
    expect(names(viewer, 3)).toEqual(['connecting', 'idle', 'connecting']);
    peer(0).ice('connected');
    expect(names(viewer, 3)).toEqual(['waiting', 'idle', 'waiting']);
    peer(0).picture(2);
    expect(names(viewer, 3)).toEqual(['waiting', 'idle', 'playing']);
  });

  it('looks for a way over TURN servers where there is none without', async () => {
    const iceServers = [{ urls: ['turn:turn.example'], username: '1:s', credential: 'c' }];
    service.iceServers = iceServers;
    const viewer = new Viewer({ grant });
    viewer.connect(A);
    await settle();
    await vi.advanceTimersByTimeAsync(900);
    expect(peer(0).restarts).toEqual([]);
    await vi.advanceTimersByTimeAsync(200);
    expect(peer(0).restarts).toEqual([{ iceServers }]);
    peer(0).ice('connected');
    expect(viewer.connection.name).toBe('connected');
    expect(FakePeer.all).toHaveLength(1);
  });

  it('leaves TURN servers alone where it is connected without, or there are none', async () => {
    const viewers = [new Viewer({ grant }), new Viewer({ grant })];
    viewers[0]?.connect(A);
    await settle();
    service.iceServers = [{ urls: ['turn:turn.example'], username: '1:s', credential: 'c' }];
    viewers[1]?.connect(A);
    await settle();
    peer(1).ice('connected');
    await vi.advanceTimersByTimeAsync(2_000);
    expect([peer(0).restarts, peer(1).restarts]).toEqual([[], []]);
  });

  it('switches at once, and tells the new camera’s picture from the former’s', async () => {
    const [viewer, video] = await playing();
    viewer.show(0, B);
    await settle();
    expect(service.bodies('PATCH')).toEqual([{ slots: [{ slot: 0, camera: B }] }]);
    video.frame();
    expect(viewer.state.name).toBe('switching');
    await service.tell({ type: 'slot', slot: 0, camera: A, state: 'live' });
    video.frame();
    expect(viewer.state.name, 'told of the former camera').toBe('switching');
    await service.tell({ type: 'slot', slot: 0, camera: B, state: 'live' });
    await vi.advanceTimersByTimeAsync(20);
    const pictures: string[] = [];
    viewer.on('picture', ({ camera }) => pictures.push(camera));
    video.frame();
    expect(viewer.state.name).toBe('playing');
    expect(pictures).toEqual([B]);
  });

  it('goes on playing when only the size changes', async () => {
    const [viewer] = await playing();
    viewer.show(0, A, { rid: 'h' });
    await settle();
    expect(service.bodies('PATCH')).toEqual([{ slots: [{ slot: 0, camera: A, rid: 'h' }] }]);
    expect(viewer.state.name).toBe('playing');
  });

  it('goes on playing when only the priority changes', async () => {
    const [viewer] = await playing();
    viewer.show(0, A, { rid: 'l', priority: 1 });
    await settle();
    viewer.show(0, A, { rid: 'l', priority: 1 });
    await settle();
    viewer.show(0, A, { rid: 'l' });
    await settle();
    viewer.show(0, A, { rid: 'l', priority: 0 });
    await settle();
    expect(service.bodies('PATCH')).toEqual([
      { slots: [{ slot: 0, camera: A, rid: 'l', priority: 1 }] },
      { slots: [{ slot: 0, camera: A, rid: 'l' }] },
    ]);
    expect(viewer.state.name).toBe('playing');
  });

  it('is paused while the network does not carry its picture, and plays on by itself', async () => {
    const [viewer, video] = await playing();
    await service.tell({ type: 'slot', slot: 0, camera: A, state: 'paused' });
    video.frame();
    expect(viewer.state.name, 'its last frames are on their way').toBe('paused');
    expect(viewer.slot(0).stream.getTracks()).toEqual([peer(0).tracks[0]]);
    await service.tell({ type: 'slot', slot: 0, camera: A, state: 'live' });
    await vi.advanceTimersByTimeAsync(20);
    video.frame();
    expect(viewer.state.name).toBe('playing');
  });

  it('looks for another way when nothing comes of what is sent, whatever is paused', async () => {
    const [viewer] = await playing();
    viewer.show(1, B);
    await settle();
    await service.tell({ type: 'slot', slot: 1, camera: B, state: 'paused' });
    peer(0).moving.clear();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(service.calls.filter((c) => c.type === 'application/trickle-ice-sdpfrag')).toHaveLength(1);
  });

  it('shows nothing of what is withdrawn, and why a camera is refused', async () => {
    const [viewer] = await playing();
    await service.tell({ type: 'slot', slot: 0, camera: A, state: 'withdrawn' });
    expect(viewer.state.name).toBe('withdrawn');
    expect(viewer.slot(0).stream.getTracks()).toEqual([]);
    service.answers.push({ method: 'PATCH', status: 422, code: 'no_such_slot' });
    viewer.show(1, B);
    await settle();
    expect(viewer.slot(1).state).toMatchObject({ name: 'failed', reason: { code: 'no_such_slot' } });
  });

  it('lets no refused camera keep the others away', async () => {
    service.answers.push({ method: 'POST', status: 403, code: 'camera_not_granted' });
    const viewer = new Viewer({ grant: () => Promise.resolve('same'), slots: 2 });
    viewer.show(0, A);
    viewer.show(1, B);
    service.answers.push({ method: 'PATCH', status: 403, code: 'camera_not_granted' });
    viewer.open();
    await settle();
    expect(service.bodies('POST')[1]).toMatchObject({ slots: [] });
    expect(service.bodies('PATCH')).toEqual([
      { slots: [{ slot: 0, camera: A }, { slot: 1, camera: B }] },
      { slots: [{ slot: 0, camera: A }] },
      { slots: [{ slot: 1, camera: B }] },
    ]);
  });

  it('renews its grant before the end, on the same connection', async () => {
    await playing();
    await vi.advanceTimersByTimeAsync(270_000);
    expect(service.bodies('PATCH')).toEqual([]);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(service.bodies('PATCH')).toEqual([{}]);
    expect(new Set(service.calls.filter((c) => c.path.startsWith('/v1/sessions')).map((c) => c.grant)).size).toBe(2);
    expect(FakePeer.all).toHaveLength(1);
  });

  it('restarts ICE where the way is lost, and goes on', async () => {
    const [viewer] = await playing();
    peer(0).ice('disconnected');
    await settle();
    const call = service.calls.find((c) => c.type === 'application/trickle-ice-sdpfrag');
    expect(call).toMatchObject({ method: 'PATCH', path: '/v1/sessions/1' });
    expect(peer(0).currentRemoteDescription?.sdp).toContain('a=ice-ufrag:again');
    expect(viewer.connection.name).toBe('reconnecting');
    peer(0).ice('connected');
    expect(viewer.connection.name).toBe('connected');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(FakePeer.all).toHaveLength(1);
  });

  it('looks for another way when nothing comes of what is sent, before ICE notices', async () => {
    const [viewer] = await playing();
    peer(0).moving.clear();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(service.calls.filter((c) => c.type === 'application/trickle-ice-sdpfrag')).toHaveLength(1);
    expect(viewer.state).toEqual({ name: 'waiting', before: true });
    await vi.advanceTimersByTimeAsync(4_000);
    expect(service.bodies('POST')).toHaveLength(2);
  });

  it('connects anew when no way is found, with all slots as they were, and keeps the last frame meanwhile', async () => {
    const [viewer, video] = await playing();
    viewer.show(1, B);
    await settle();
    peer(0).ice('disconnected');
    await vi.advanceTimersByTimeAsync(7_000);
    expect(FakePeer.all).toHaveLength(2);
    expect(viewer.state.name).toBe('reconnecting');
    expect(viewer.slot(0).stream.getTracks()).toEqual([peer(0).tracks[0]]);
    expect(service.bodies('POST')[1]).toMatchObject({ slots: [{ camera: A, rid: 'l' }, { camera: B }] });
    peer(1).ice('connected');
    expect(peer(0).tracks[0]?.readyState, 'the last frame would turn black').toBe('live');
    peer(1).picture(0);
    expect(viewer.slot(0).stream.getTracks()).toEqual([peer(1).tracks[0]]);
    expect(viewer.state.name).toBe('playing');
    expect(video.srcObject?.getTracks()).toEqual([peer(1).tracks[0]]);
  });

  it('makes the next connection before the one that stops is gone', async () => {
    const [viewer, video] = await playing();
    await service.tell({ type: 'ended', reason: 'node_stopping' });
    video.frame();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(FakePeer.all).toHaveLength(2);
    video.frame();
    expect(viewer.state.name).toBe('playing');
    expect(peer(0).connectionState).toBe('connected');
    peer(1).ice('connected');
    peer(1).picture(0);
    expect(peer(0).connectionState).toBe('closed');
    expect(viewer.connection.name).toBe('connected');
    expect(viewer.state.name).toBe('playing');
  });

  it('does not come back by itself when another screen took over, but when asked', async () => {
    const [viewer] = await playing();
    await service.tell({ type: 'ended', reason: 'replaced' });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(viewer.state).toEqual({ name: 'ended', why: 'replaced' });
    expect(FakePeer.all).toHaveLength(1);
    viewer.open();
    await settle();
    expect(service.bodies('POST')[1]).toMatchObject({ slots: [{ camera: A, rid: 'l' }, null] });
  });

  it('connects anew when the service knows the session no more', async () => {
    const [viewer] = await playing();
    service.answers.push({ method: 'PATCH', status: 404, code: 'no_such_session' });
    viewer.show(1, B);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(service.bodies('POST')[1]).toMatchObject({ slots: [{ camera: A, rid: 'l' }, { camera: B }] });
  });

  it('tries again later when the service is busy, at once when the network is back', async () => {
    service.answers.push({ method: 'POST', status: 503 }, { method: 'POST', status: 503 });
    const viewer = new Viewer({ grant });
    viewer.connect(A);
    await settle();
    expect(viewer.state).toMatchObject({ name: 'reconnecting', attempt: 1 });
    browser.window.dispatchEvent(new Event('online'));
    await settle();
    expect(service.bodies('POST')).toHaveLength(2);
    expect(viewer.state).toMatchObject({ name: 'reconnecting', attempt: 1 });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(service.bodies('POST')).toHaveLength(3);
  });

  it('does not wait long again after a long time without a network', async () => {
    for (let attempt = 0; attempt < 20; attempt++) service.answers.push({ method: 'POST', status: 503 });
    const viewer = new Viewer({ grant });
    viewer.connect(A);
    await vi.advanceTimersByTimeAsync(60_000);
    const { length } = service.bodies('POST');
    expect(viewer.state).toMatchObject({ name: 'reconnecting', attempt: length });
    expect(service.answers).not.toHaveLength(0);
    browser.window.dispatchEvent(new Event('online'));
    await vi.advanceTimersByTimeAsync(500);
    expect(service.bodies('POST').length).toBeGreaterThanOrEqual(length + 2);
  });

  it('takes the frame that ends a track for no picture', async () => {
    const viewer = new Viewer({ grant });
    const video = new FakeVideo();
    viewer.attach(video as unknown as HTMLVideoElement);
    service.answers.push({ method: 'POST', status: 503 });
    viewer.connect(A);
    await settle();
    video.frame();
    expect(viewer.state.name).toBe('reconnecting');
  });

  it('gives up where trying again does not help', async () => {
    service.answers.push({ method: 'POST', status: 406, code: 'no_h264' });
    const viewer = new Viewer({ grant });
    viewer.connect(A);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(viewer.state).toMatchObject({ name: 'failed', reason: { code: 'no_h264' } });
    expect(service.bodies('POST')).toHaveLength(1);
  });

  it('hears one camera at a time', async () => {
    const [viewer] = await playing();
    viewer.listen(A);
    await settle();
    expect(service.bodies('PATCH')).toEqual([{ audio: { camera: A } }]);
    await service.tell({ type: 'audio', camera: A, state: 'live' });
    expect(viewer.sound).toEqual({ camera: A, state: 'live' });
    expect(viewer.audio.getTracks()).toEqual([peer(0).tracks[2]]);
  });

  it('says good-bye when it is closed, and is quiet after that', async () => {
    const [viewer] = await playing();
    viewer.close();
    await settle();
    expect(service.calls.filter((c) => c.method === 'DELETE')).toMatchObject([{ path: '/v1/sessions/1' }]);
    const calls = service.calls.length;
    await vi.advanceTimersByTimeAsync(600_000);
    expect(service.calls).toHaveLength(calls);
    expect(viewer.state).toEqual({ name: 'ended', why: 'closed' });
  });

  it('keeps the grant out of addresses', async () => {
    await playing();
    for (const { path, grant: used } of service.calls) expect(path.includes(used) && used !== '').toBe(false);
  });
});
