// Stands in for a browser and the service, so that a viewer can be tested by itself: a peer connection that connects when
// told, and a service that answers as the test likes and remembers what it was asked.
import { vi } from 'vitest';

/** A track. */
export class FakeTrack {
  readyState = 'live';

  constructor(readonly id: string) {}
}

/** A stream that holds tracks and does nothing else. */
class FakeStream {
  #tracks: FakeTrack[];

  constructor(tracks: FakeTrack[] = []) {
    this.#tracks = [...tracks];
  }

  getTracks(): FakeTrack[] {
    return [...this.#tracks];
  }

  addTrack(track: FakeTrack): void {
    if (!this.#tracks.includes(track)) this.#tracks.push(track);
  }

  removeTrack(track: FakeTrack): void {
    this.#tracks = this.#tracks.filter((t) => t !== track);
  }
}

/** An element whose first frame comes when told. */
export class FakeVideo {
  srcObject: FakeStream | null = null;
  paused = false;
  onloadeddata: (() => void) | null = null;
  #callbacks: VideoFrameRequestCallback[] = [];

  requestVideoFrameCallback(callback: VideoFrameRequestCallback): number {
    return this.#callbacks.push(callback);
  }

  cancelVideoFrameCallback(): void {
    this.#callbacks = [];
  }

  /** Shows a frame that has just arrived. */
  frame(): void {
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    const now = performance.now();
    for (const callback of callbacks) callback(now, { expectedDisplayTime: now, receiveTime: now } as VideoFrameCallbackMetadata);
  }
}

/** A peer connection. */
export class FakePeer {
  static all: FakePeer[] = [];
  connectionState: RTCPeerConnectionState = 'new';
  iceConnectionState: RTCIceConnectionState = 'new';
  currentRemoteDescription: RTCSessionDescriptionInit | null = null;
  onconnectionstatechange: (() => void) | null = null;
  oniceconnectionstatechange: (() => void) | null = null;
  readonly tracks: FakeTrack[] = [];
  /** The slots whose pictures move. */
  readonly moving = new Set<number>();
  #decoded = 0;
  readonly #number = FakePeer.all.push(this);

  addTransceiver(kind: string): object {
    const track = new FakeTrack(`${kind} ${this.tracks.length} of peer ${this.#number}`);
    this.tracks.push(track);
    return { receiver: { track, transport: null }, setCodecPreferences: () => undefined };
  }

  createOffer(): Promise<RTCSessionDescriptionInit> {
    const media = this.tracks.map(({ id }) => `m=${id.split(' ')[0]} 9 UDP/TLS/RTP/SAVPF 96\r\n`).join('');
    return Promise.resolve({ type: 'offer', sdp: `v=0\r\na=ice-ufrag:peer\r\na=ice-pwd:peer\r\n${media}` });
  }

  setLocalDescription(): Promise<void> {
    return Promise.resolve();
  }

  setRemoteDescription(description: RTCSessionDescriptionInit): Promise<void> {
    this.currentRemoteDescription = description;
    return Promise.resolve();
  }

  /** What each restart of ICE could use. */
  readonly restarts: RTCConfiguration[] = [];
  #configuration: RTCConfiguration = {};

  restartIce(): void {
    // Its offers look the same before and after.
    this.restarts.push(this.#configuration);
  }

  getConfiguration(): RTCConfiguration {
    return this.#configuration;
  }

  setConfiguration(configuration: RTCConfiguration): void {
    this.#configuration = configuration;
  }

  /** Each reading finds another 25 frames decoded in each slot that moves, while there is a way. */
  getStats(): Promise<Map<string, object>> {
    if (this.iceConnectionState === 'connected') this.#decoded += 25;
    const entries = [...this.moving].map((slot) => {
      const trackIdentifier = this.tracks[slot]?.id;
      const entry = { type: 'inbound-rtp', trackIdentifier, timestamp: Date.now(), framesDecoded: this.#decoded };
      return [`in ${slot}`, entry] as const;
    });
    return Promise.resolve(new Map(entries));
  }

  close(): void {
    this.connectionState = 'closed';
    for (const track of this.tracks) track.readyState = 'ended';
  }

  /** Media can flow, or no longer. */
  ice(state: RTCIceConnectionState): void {
    this.iceConnectionState = state;
    this.oniceconnectionstatechange?.();
    if (state !== 'connected' || this.connectionState === 'connected') return;
    this.connectionState = 'connected';
    this.onconnectionstatechange?.();
  }

  /** The first frame of a slot can be shown. */
  picture(slot: number): void {
    this.moving.add(slot);
    const probe = browser.videos.find((video) => video.srcObject?.getTracks()[0] === this.tracks[slot]);
    probe?.onloadeddata?.();
  }
}

/** A call that the service got. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly grant: string;
  readonly type: string;
  readonly body: string;
}

/** The browser's elements. */
export const browser: { videos: FakeVideo[]; window: EventTarget } = { videos: [], window: new EventTarget() };

/** The service. */
export class FakeService {
  readonly calls: Call[] = [];
  /** Answers in place of the usual ones, by method and type of the call; used up one by one. */
  readonly answers: { readonly method: string; readonly status: number; readonly code?: string }[] = [];
  /** TURN servers that sessions are told of. */
  iceServers: readonly RTCIceServer[] | undefined;
  #sessions = 0;
  #events: ReadableStreamDefaultController<Uint8Array> | undefined;

  /** The JSON bodies of the calls of a method that change something. */
  bodies(method: string): unknown[] {
    return this.calls.filter((c) => c.method === method && c.type.endsWith('json')).map((c) => JSON.parse(c.body) as unknown);
  }

  /** Sends an event on the newest stream. */
  async tell(event: object): Promise<void> {
    this.#events?.enqueue(new TextEncoder().encode(`data: ${JSON.stringify(event)}\n\n`));
    await settle();
  }

  readonly fetch = (input: string | URL, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    const method = init.method ?? 'GET';
    const { pathname: path } = new URL(input);
    const grant = headers.get('authorization')?.replace('Bearer ', '') ?? '';
    this.calls.push({ method, path, grant, type: headers.get('content-type') ?? '', body: String(init.body ?? '') });
    const at = this.answers.findIndex((answer) => answer.method === method);
    const [other] = at < 0 ? [] : this.answers.splice(at, 1);
    if (other) return Promise.resolve(problem(other.status, other.code ?? 'fault'));
    return Promise.resolve(this.#answer(method, path, headers.get('content-type') ?? ''));
  };

  #answer(method: string, path: string, type: string): Response {
    if (path === '/v1/time') return Response.json({ unix_us: Date.now() * 1000 });
    if (path.endsWith('/events')) return this.#stream();
    if (method === 'DELETE') return new Response(null, { status: 200 });
    if (method === 'POST') {
      this.#sessions += 1;
      const answer = 'v=0\r\na=ice-ufrag:node\r\na=ice-pwd:node\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n';
      return Response.json({ answer, iceServers: this.iceServers }, { status: 201, headers: { location: `/v1/sessions/${this.#sessions}` } });
    }
    if (type.endsWith('sdpfrag')) return new Response('a=ice-ufrag:again\r\na=ice-pwd:again\r\n', { status: 200 });
    return new Response(null, { status: 204 });
  }

  #stream(): Response {
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (this.#events = controller) });
    return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  }
}

/** Puts the fakes in place. */
export function install(): FakeService {
  const service = new FakeService();
  FakePeer.all = [];
  browser.videos = [];
  browser.window = new EventTarget();
  const document = Object.assign(new EventTarget(), {
    visibilityState: 'visible',
    createElement: () => {
      const video = new FakeVideo();
      browser.videos.push(video);
      return video;
    },
  });
  const codecs = [{ mimeType: 'video/H264', clockRate: 90_000, sdpFmtpLine: 'packetization-mode=1' }];
  const globals = {
    document,
    fetch: service.fetch,
    location: { origin: 'https://sunroom.example' },
    MediaStream: FakeStream,
    navigator: {},
    RTCPeerConnection: FakePeer,
    RTCRtpReceiver: { getCapabilities: () => ({ codecs }) },
    window: browser.window,
  };
  for (const [name, value] of Object.entries(globals)) vi.stubGlobal(name, value);
  return service;
}

/** Lets what is under way come to its next wait. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await vi.advanceTimersByTimeAsync(0);
}

function problem(status: number, code: string): Response {
  const body = JSON.stringify({ status, title: 'Fault', code, detail: '' });
  return new Response(body, { status, headers: { 'content-type': 'application/problem+json' } });
}
