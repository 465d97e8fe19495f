// A viewer of several cameras: keeps a session up, replaces it without a gap, and tells the page how each slot stands.
// Invariant: what is asked of a slot outlives every connection; a new one begins with all slots as they were.
import { delayMs } from './backoff';
import { ServerClock } from './clock';
import { Emitter } from './emitter';
import type { EndReason, ServerEvent } from './events';
import { Link, type LinkListener } from './link';
import { watchNetwork } from './network';
import { isTransient, local, type Problem } from './problem';
import { Renewal } from './renewal';
import type { Change, Rid, Show } from './sessions';
import { Place, type Slot } from './slot';
import { endedProblem, same, type Connection, type Sound, type State } from './state';
import type { Stats } from './stats';

/** How to make a viewer. */
export interface ViewerOptions {
  /** Supplies a grant that is good for a while: for each connection, and before the one in use ends. */
  readonly grant: () => Promise<string>;
  /** Origin of the service; the page's own when left out. */
  readonly base?: string;
  /** Pictures at once, 1 to 16; 1 when left out. */
  readonly slots?: number;
  /** Whether sound may be listened to. */
  readonly audio?: boolean;
}

/** What to watch of a camera. */
export interface ShowOptions {
  /** The largest encoding wanted; the grant's largest when left out. */
  readonly rid?: Rid;
  /** Slots with more of it are served first where the network does not carry all, 0 to 255; 0 when left out. */
  readonly priority?: number;
}

/** The events of a viewer. */
export interface ViewerEvents {
  /** A slot's state changed. */
  state: { readonly slot: number; readonly state: State };
  /** The first frame of what a slot was asked for can be shown. */
  picture: { readonly slot: number; readonly camera: string; readonly rid: Rid | undefined };
  /** A reading of a slot's statistics, once a second while connected. */
  stats: { readonly slot: number; readonly stats: Stats };
  /** The connection's state changed. */
  connection: Connection;
  /** What is heard changed. */
  sound: Sound;
}

/** A session has no more slots. */
export const MOST_SLOTS = 16;
/** Statistics are read so often, in milliseconds. */
const TICK_MS = 1_000;
/** A connection on which nothing comes of what is sent is replaced after this time, in milliseconds. */
const NO_FRAMES_MS = 10_000;
/** A connection that has stood for so long was worth the attempts; in milliseconds. */
const STOOD_MS = 10_000;
/** A new connection whose pictures have not all come by then takes over all the same; in milliseconds. */
const TAKEOVER_MS = 3_000;
/** Timers that come so late mean that page or machine slept. */
const SLEPT_MS = 10_000;
/** The server's clock is measured again after this time: clocks drift. */
const CLOCK_MS = 60_000;

/** Shows cameras in slots. */
export class Viewer extends Emitter<ViewerEvents> {
  /** The sound, to be played by an element of the page; it has a track once a connection is made. */
  readonly audio = new MediaStream();
  readonly #base: string;
  readonly #clock: ServerClock;
  readonly #renewal = new Renewal(() => this.#clock.now() ?? Date.now());
  readonly #places: readonly Place[];
  #connection: Connection = { name: 'idle' };
  #sound: Sound = { camera: null, state: 'empty' };
  /** The link in use, or lost and not replaced yet, and the one that is to take over from it. */
  #shown: Link | undefined;
  #coming: Link | undefined;
  #isOpen = false;
  #attempt = 0;
  #unauthorized = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #takeover: ReturnType<typeof setTimeout> | undefined;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #unwatch: (() => void) | undefined;
  #tickedMs = 0;
  #connectedMs = Infinity;
  #isStarved = false;
  #clockMs = -Infinity;

  constructor(private readonly options: ViewerOptions) {
    super();
    this.#base = options.base ?? location.origin;
    this.#clock = new ServerClock(this.#base);
    const count = Math.max(1, Math.min(MOST_SLOTS, Math.trunc(options.slots ?? 1)));
    this.#places = Array.from({ length: count }, (_, slot) => this.#place(slot));
  }

  /** How the connection stands. */
  get connection(): Connection {
    return this.#connection;
  }

  /** How slot 0 stands. */
  get state(): State {
    return this.slot(0).state;
  }

  /** What is heard. */
  get sound(): Sound {
    return this.#sound;
  }

  /** A slot, by its number. Throws RangeError for one that the viewer does not have. */
  slot(number: number): Slot {
    return this.#at(number);
  }

  /** Shows slot 0 in a video element; see Slot.attach. */
  attach(video: HTMLVideoElement): () => void {
    return this.slot(0).attach(video);
  }

  /** Shows a camera in a slot, or nothing, at once where it is connected. The picture shown stays until the new one's first frame. */
  show(slot: number, camera: string | null, options: ShowOptions = {}): void {
    const place = this.#at(slot);
    const show: Show | null = camera === null ? null : { camera, ...options };
    if (place.ask(show)) this.#newest?.show(slot, show);
  }

  /** Lets one camera be heard, or none; needs the option `audio`. */
  listen(camera: string | null): void {
    if (camera === this.#sound.camera && this.#sound.state !== 'refused') return;
    this.#sounds({ camera, state: camera === null ? 'empty' : 'waiting' });
    if (this.options.audio) this.#newest?.listen(camera);
  }

  /** Connects. What show() was called with before goes along. */
  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#attempt = this.#unauthorized = 0;
    this.#tickedMs = performance.now();
    this.#ticker = setInterval(() => void this.#tick(), TICK_MS);
    this.#unwatch = watchNetwork({
      resumed: () => this.#resumed(),
      moved: () => this.#moved(),
      left: (shown) => {
        this.close();
        shown(() => this.open());
      },
    });
    this.#connects({ name: 'connecting' });
    this.#open();
  }

  /** Shows a camera in slot 0, and connects where that has not been done. */
  connect(camera: string, options: ShowOptions = {}): void {
    this.show(0, camera, options);
    this.open();
  }

  /** Stops watching. open() may be called again, and all slots are as they were. */
  close(): void {
    this.#end({ name: 'ended', why: 'closed' });
  }

  /** The link that changes go to. */
  get #newest(): Link | undefined {
    return this.#coming ?? this.#shown;
  }

  #at(slot: number): Place {
    const place = this.#places[slot];
    if (!place) throw new RangeError(`no slot ${slot}: the viewer has ${this.#places.length}`);
    return place;
  }

  #place(slot: number): Place {
    return new Place(slot, {
      state: (state) => this.emit('state', { slot, state }),
      stats: (stats) => this.emit('stats', { slot, stats }),
      picture: ({ camera, rid }) => {
        this.#attempt = this.#unauthorized = 0;
        this.emit('picture', { slot, camera, rid });
        if (performance.now() - this.#clockMs < CLOCK_MS) return;
        // After the picture, so that it does not stand in its way.
        this.#clockMs = performance.now();
        void this.#clock.measure();
      },
    });
  }

  /** Makes a link with all slots as they are, beside one that still plays. */
  #open(): void {
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#dropComing();
    for (const place of this.#places) place.opened();
    const link: Link = new Link(
      {
        base: this.#base,
        grant: this.options.grant,
        shows: this.#places.map((place) => place.show),
        heard: this.options.audio ? this.#sound.camera : undefined,
      },
      this.#listener(() => link),
    );
    this.#coming = link;
    // With nothing on the screen a track is shown at once: the element then renders its very first frame.
    for (const place of this.#places) if (place.isBlank) this.#use(place, link);
    if (!this.#shown) this.#hear(link);
    void link.open();
  }

  #listener(self: () => Link): LinkListener {
    const mine = (act: (link: Link) => void): void => {
      const link = self();
      if (link === this.#coming || link === this.#shown) act(link);
    };
    const places = (change: Change): Place[] => (change.slots ?? []).map(({ slot }) => this.#at(slot));
    return {
      connected: () => mine((link) => this.#linked(link)),
      searching: (reason) => mine(() => this.#connects({ name: 'reconnecting', attempt: 0, reason })),
      picture: (slot) => mine((link) => this.#pictured(slot, link)),
      event: (event) => mine((link) => link === this.#newest && this.#told(event)),
      sent: (change) => mine(() => places(change).forEach((place) => place.sent())),
      made: (change) =>
        mine((link) => {
          for (const place of places(change)) place.made(link.hears);
          if (link === this.#newest) this.#renewal.plan(link);
        }),
      refused: (change, problem) =>
        mine(() => {
          for (const place of places(change)) place.refused(problem);
          if (change.audio) this.#sounds({ ...this.#sound, state: 'refused', reason: problem });
        }),
      ended: (reason) => mine((link) => this.#ended(reason, link)),
      lost: (reason) => mine((link) => this.#lost(reason, link)),
    };
  }

  #use(place: Place, link: Link): void {
    const track = link.received.video[place.number];
    if (track) place.use(track);
  }

  #hear(link: Link): void {
    const { audio } = link.received;
    for (const old of this.audio.getTracks()) if (old !== audio) this.audio.removeTrack(old);
    if (audio) this.audio.addTrack(audio);
  }

  #linked(link: Link): void {
    this.#connectedMs = performance.now();
    this.#connects({ name: 'connected' });
    if (link === this.#newest) this.#renewal.plan(link);
    if (link !== this.#coming) return;
    if (!this.#shown) this.#promote();
    else this.#takeover = setTimeout(() => this.#promote(), TAKEOVER_MS);
  }

  #pictured(slot: number, link: Link): void {
    const place = this.#at(slot);
    if (link === this.#newest) this.#use(place, link);
    place.pictured();
    const isAll = this.#places.every(
      ({ show, state, track, number }) => !show || state.name === 'paused' || track === link.received.video[number],
    );
    if (link === this.#coming && isAll) this.#promote();
  }

  /** The newest link takes over. Slots whose picture has not come keep the last frame until it does. */
  #promote(): void {
    const link = this.#coming;
    if (!link) return;
    clearTimeout(this.#takeover);
    this.#shown?.close();
    this.#shown = link;
    this.#coming = undefined;
    this.#hear(link);
  }

  #told(event: Exclude<ServerEvent, { type: 'ended' }>): void {
    if (event.type === 'slot') this.#places[event.slot]?.hears(event.camera, event.state);
    else if (event.camera === this.#sound.camera) this.#sounds({ camera: event.camera, state: event.state });
  }

  #ended(reason: EndReason, link: Link): void {
    // The one that is to take over has made the service end the one before.
    if (link === this.#shown && this.#coming) return;
    if (reason === 'replaced') {
      this.#end({ name: 'ended', why: 'replaced' });
      return;
    }
    if (link === this.#coming) this.#dropComing();
    this.#again(endedProblem(reason));
  }

  #lost(reason: Problem, link: Link): void {
    const isAwaited = this.#coming !== undefined || this.#retry !== undefined;
    if (link === this.#coming) this.#dropComing();
    else {
      // It stays until another takes over: its last frames are on the screen.
      for (const place of this.#places) place.lost();
      if (isAwaited) return;
    }
    this.#again(reason);
  }

  /** Tries again after a while, if that may help. What still plays goes on. */
  #again(reason: Problem): void {
    // A grant may have ended on its way: the supplier is asked for another one, once.
    if (!isTransient(reason) && (reason.status !== 401 || this.#unauthorized++ > 0)) {
      this.#end({ name: 'failed', reason });
      return;
    }
    this.#attempt += 1;
    this.#connects({ name: 'reconnecting', attempt: this.#attempt, reason });
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#open(), delayMs(this.#attempt, Math.random(), reason.retryAfterMs));
  }

  #dropComing(): void {
    clearTimeout(this.#takeover);
    this.#coming?.close();
    this.#coming = undefined;
  }

  #end(connection: Connection): void {
    this.#isOpen = false;
    for (const timer of [this.#retry, this.#takeover]) clearTimeout(timer);
    this.#renewal.stop();
    clearInterval(this.#ticker);
    this.#retry = undefined;
    this.#unwatch?.();
    this.#dropComing();
    this.#shown?.close();
    this.#shown = undefined;
    for (const place of this.#places) place.lost();
    this.#connects(connection);
  }

  async #tick(): Promise<void> {
    const nowMs = performance.now();
    const sleptMs = nowMs - this.#tickedMs;
    this.#tickedMs = nowMs;
    if (sleptMs > SLEPT_MS) {
      this.#resumed();
      this.#moved();
    }
    for (const link of [this.#shown, this.#coming]) {
      const readings = await link?.stats();
      for (const place of this.#places) {
        const reading = readings?.get(link?.received.video[place.number]?.id ?? '');
        if (!link || !reading) continue;
        if ((reading.framesDecoded ?? 0) > 0) link.received.seen(place.number);
        if (place.track === link.received.video[place.number]) place.measure(reading);
      }
    }
    for (const place of this.#places) place.tick();
    this.#judge();
  }

  /** Whether the connection is worth keeping. */
  #judge(): void {
    const link = this.#shown;
    if (!link || this.#coming || this.#connection.name !== 'connected') return;
    if (performance.now() - this.#connectedMs > STOOD_MS) this.#attempt = 0;
    // What is paused tells nothing of the connection.
    const asked = this.#places.filter(({ camera, state }) => camera !== null && state.name !== 'paused');
    const starved = asked.map((place) => place.starvedMs());
    // Where one picture moves, or is not sent, the connection is not what is wrong.
    const isStarved = starved.length > 0 && starved.every((ms) => ms !== undefined);
    // Before ICE notices, which takes it some seconds, another way is looked for.
    if (isStarved && !this.#isStarved) link.moved();
    this.#isStarved = isStarved;
    if (!isStarved || !starved.every((ms) => (ms ?? 0) > NO_FRAMES_MS)) return;
    this.#lost(local('no_frames', 'No picture', 'Nothing came through of what is sent.'), link);
  }

  /** Page or network came back: what waited tries at once. */
  #resumed(): void {
    if (this.#retry !== undefined) this.#open();
  }

  /** The network may be another one. In its first second calls often fail: they are made again soon. */
  #moved(): void {
    this.#attempt = 0;
    this.#shown?.moved();
  }

  #connects(connection: Connection): void {
    if (same(connection, this.#connection)) return;
    this.#connection = connection;
    this.emit('connection', connection);
    for (const place of this.#places) place.connection(connection);
  }

  #sounds(sound: Sound): void {
    if (same(sound, this.#sound)) return;
    this.#sound = sound;
    this.emit('sound', sound);
  }
}
