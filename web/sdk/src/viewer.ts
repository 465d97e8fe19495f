// A viewer of one camera at a time: keeps a Link up, replaces it without a gap, and tells the page how it stands.
// Invariant: `stream` is one object for the viewer's whole life and holds at most the one track that is shown.
import { delayMs } from './backoff';
import { ServerClock } from './clock';
import { Emitter } from './emitter';
import { expiryMs } from './grant';
import { LatencyMeter } from './latency';
import { Link, type LinkListener } from './link';
import { isTransient, local, type Problem } from './problem';
import { next, type Happening, type State } from './state';
import type { Stats } from './stats';
import type { Rid } from './whep';

/** How to make a viewer. */
export interface ViewerOptions {
  /** Supplies the grant of each connection. */
  readonly grant: () => Promise<string>;
  /** Origin of the service; the page's own when left out. */
  readonly base?: string;
}

/** What to watch of a camera. */
export interface ConnectOptions {
  /** Encoding; the service chooses when left out. */
  readonly rid?: Rid;
}

/** The events of a viewer. */
export interface ViewerEvents {
  /** The state changed. */
  state: State;
  /** The first frame of what connect() asked for can be shown. */
  picture: { readonly camera: string; readonly rid: Rid | undefined };
  /** A reading of the statistics, once a second while connected. */
  stats: Stats;
}

/** Statistics are read so often, in milliseconds. */
const TICK_MS = 1_000;
/** A picture that stands still for so long has stalled; for the longer time, another connection is tried. */
const STALLED_MS = 2_500;
const NO_FRAMES_MS = 10_000;
/** Timers that come so late mean that page or machine slept. */
const SLEPT_MS = 10_000;
/** A grant is renewed so long before its end. */
const RENEW_MS = 20_000;
/** The server's clock is measured again after this time: clocks drift. */
const CLOCK_MS = 60_000;

interface Target extends ConnectOptions {
  readonly camera: string;
}

/** Shows one camera at a time in `stream`. */
export class Viewer extends Emitter<ViewerEvents> {
  /** What attach() shows; for elements other than the attached one too. */
  readonly stream = new MediaStream();
  readonly #base: string;
  readonly #clock: ServerClock;
  #state: State = { name: 'idle' };
  #target: Target | undefined;
  /** The link whose picture is shown, and what it was asked for. */
  #shown: { readonly link: Link; readonly target: Target } | undefined;
  /** The link that is to take over with its first frame, and its track. */
  #coming: Link | undefined;
  #track: MediaStreamTrack | undefined;
  #meter: LatencyMeter | undefined;
  #attempt = 0;
  #unauthorized = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #ticker: ReturnType<typeof setInterval> | undefined;
  #tickedMs = 0;
  #clockMs = -Infinity;
  #frames = 0;
  #movedMs = 0;

  constructor(private readonly options: ViewerOptions) {
    super();
    this.#base = options.base ?? location.origin;
    this.#clock = new ServerClock(this.#base);
  }

  /** Where it stands. */
  get state(): State {
    return this.#state;
  }

  /**
   * Shows the picture in a video element and measures its latency there, whatever is connected to, until the function it
   * returns is called. With several elements the last one measures.
   */
  attach(video: HTMLVideoElement): () => void {
    this.#meter?.stop();
    const meter = (this.#meter = new LatencyMeter(video));
    video.srcObject = this.stream;
    return () => {
      meter.stop();
      if (this.#meter === meter) this.#meter = undefined;
      video.srcObject = null;
    };
  }

  /** Watches a camera. A picture that is shown stays until the first frame of the new one. */
  connect(camera: string, options: ConnectOptions = {}): void {
    this.#target = { ...options, camera };
    this.#attempt = 0;
    this.#unauthorized = 0;
    this.#happened({ is: 'asked' });
    if (this.#ticker === undefined) {
      this.#tickedMs = performance.now();
      this.#ticker = setInterval(() => void this.#tick(), TICK_MS);
      document.addEventListener('visibilitychange', this.#resumed);
      window.addEventListener('online', this.#resumed);
      window.addEventListener('pagehide', this.#left);
    }
    this.#open();
  }

  /** Stops watching. connect() may be called again. */
  close(): void {
    this.#target = undefined;
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    document.removeEventListener('visibilitychange', this.#resumed);
    window.removeEventListener('online', this.#resumed);
    window.removeEventListener('pagehide', this.#left);
    this.#drop();
    this.#happened({ is: 'closed' });
  }

  /** Makes a link for the target beside the one that is shown, which it replaces with its first frame. */
  #open(): void {
    const target = this.#target;
    if (!target) return;
    clearTimeout(this.#retry);
    clearTimeout(this.#renewal);
    this.#coming?.close();
    const { camera, rid } = target;
    const mine = (): boolean => this.#coming === link || this.#shown?.link === link;
    const listener: LinkListener = {
      track: (track) => {
        if (mine()) this.#tracked(track);
      },
      connected: () => {
        if (mine()) this.#happened({ is: 'connected' });
      },
      picture: () => {
        if (mine()) this.#pictured(link, target);
      },
      lost: (reason) => {
        if (mine()) this.#lost(reason, link);
      },
    };
    const link = new Link({ base: this.#base, camera, rid, grant: this.options.grant }, listener);
    this.#coming = link;
    this.#waitAnew();
    void link.open();
  }

  #tracked(track: MediaStreamTrack): void {
    this.#track = track;
    // With nothing on the screen the track is shown at once: the element then renders its very first frame.
    if (!this.#shown) this.#swap(track);
  }

  #swap(track: MediaStreamTrack): void {
    for (const old of this.stream.getTracks()) if (old !== track) this.stream.removeTrack(old);
    this.stream.addTrack(track);
    this.#meter?.restart();
  }

  #pictured(link: Link, target: Target): void {
    if (link === this.#coming) {
      if (this.#track) this.#swap(this.#track);
      this.#shown?.link.close();
      this.#shown = { link, target };
      this.#coming = undefined;
    }
    this.#attempt = 0;
    this.#unauthorized = 0;
    this.#waitAnew();
    this.#renewBefore(expiryMs(link.grant));
    this.#happened({ is: 'picture' });
    this.emit('picture', { camera: target.camera, rid: target.rid });
    if (performance.now() - this.#clockMs > CLOCK_MS) {
      // After the picture, so that it does not stand in its way.
      this.#clockMs = performance.now();
      void this.#clock.measure();
    }
  }

  #renewBefore(endMs: number | undefined): void {
    clearTimeout(this.#renewal);
    if (endMs === undefined) return;
    const inMs = endMs - (this.#clock.now() ?? Date.now()) - RENEW_MS;
    // setTimeout cannot wait longer than 2^31 ms; a grant never lasts so long.
    this.#renewal = setTimeout(() => this.#open(), Math.max(RENEW_MS, inMs));
  }

  #lost(reason: Problem, link: Link | undefined): void {
    // A grant may have ended on its way: the supplier is asked for another one, once.
    const again = isTransient(reason) || (reason.status === 401 && this.#unauthorized++ === 0);
    if (again && link === this.#coming && this.#showsTarget) {
      // Only the renewal went wrong: the picture plays on while its grant lasts.
      this.#coming = undefined;
      this.#attempt += 1;
      this.#again(reason);
      return;
    }
    this.#drop();
    if (!again) {
      this.#happened({ is: 'refused', reason });
      return;
    }
    this.#attempt += 1;
    this.#happened({ is: 'lost', attempt: this.#attempt, reason });
    this.#again(reason);
  }

  #again(reason: Problem): void {
    this.#retry = setTimeout(() => this.#open(), delayMs(this.#attempt, Math.random(), reason.retryAfterMs));
  }

  /** Whether the picture shown is the one asked for, not what was watched before. */
  get #showsTarget(): boolean {
    return this.#shown !== undefined && this.#shown.target === this.#target;
  }

  #drop(): void {
    clearTimeout(this.#retry);
    clearTimeout(this.#renewal);
    this.#coming?.close();
    this.#shown?.link.close();
    this.#coming = this.#shown = undefined;
    this.#track = undefined;
    for (const track of this.stream.getTracks()) this.stream.removeTrack(track);
  }

  #waitAnew(): void {
    this.#frames = 0;
    this.#movedMs = performance.now();
  }

  async #tick(): Promise<void> {
    const sleptMs = performance.now() - this.#tickedMs;
    this.#tickedMs = performance.now();
    if (sleptMs > SLEPT_MS) this.#resumed();
    const measured = (): Link | undefined => (this.#showsTarget ? this.#shown?.link : this.#coming);
    const link = measured();
    // The screen may still show what was watched before: its latency is not that of the link to come.
    const meter = link === this.#shown?.link ? this.#meter : undefined;
    const stats = await link?.stats(meter?.latencyMs(performance.now()));
    if (!link || link !== measured()) return;
    if (stats) {
      if (stats.frames !== this.#frames) {
        this.#movedMs = performance.now();
        if (this.#state.name === 'waiting') this.#happened({ is: 'picture' });
      }
      this.#frames = stats.frames;
      this.emit('stats', stats);
    }
    const stillMs = performance.now() - this.#movedMs;
    if (stillMs > STALLED_MS) this.#happened({ is: 'stalled' });
    if (stillMs > NO_FRAMES_MS && this.#state.name === 'waiting') {
      this.#lost(local('no_frames', 'No signal', 'The camera sends no picture.'), link);
    }
  }

  /** Page or network came back: what waited tries at once, and what seems alive is asked to prove it. */
  readonly #resumed = (): void => {
    if (document.visibilityState === 'hidden') return;
    if (this.#state.name === 'reconnecting') this.#open();
    if (this.#state.name === 'playing') {
      this.#movedMs = Math.min(this.#movedMs, performance.now() - NO_FRAMES_MS + 2 * TICK_MS);
    }
  };

  /** The page is being left: the service hears of it, and if the page is shown again from the cache it starts anew. */
  readonly #left = (): void => {
    const target = this.#target;
    if (!target) return;
    this.close();
    window.addEventListener('pageshow', () => this.connect(target.camera, target), { once: true });
  };

  #happened(happening: Happening): void {
    const state = next(this.#state, happening);
    if (state === this.#state) return;
    this.#state = state;
    this.emit('state', state);
  }
}
