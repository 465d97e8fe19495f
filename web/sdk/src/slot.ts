// One slot: the camera asked for, the track that comes in, what is seen of it, and the state that follows.
// Invariant: `stream` is one object for the slot's whole life; it is empty while nothing may be seen.
import type { Said } from './events';
import { LatencyMeter } from './latency';
import { Picture } from './picture';
import type { Problem } from './problem';
import type { Show } from './sessions';
import { same, stateOf, type Connection, type State } from './state';
import { read, type Readings, type Stats } from './stats';

/** A place for one picture. */
export interface Slot {
  /** From 0. */
  readonly number: number;
  /** What attach() shows; for elements other than the attached one too. */
  readonly stream: MediaStream;
  /** What it shows, or is to show. */
  readonly camera: string | null;
  /** How it stands. */
  readonly state: State;
  /**
   * Shows the picture in a video element, whatever is shown, and measures its latency there, until the function it returns
   * is called. With several elements the last one measures.
   */
  attach(video: HTMLVideoElement): () => void;
}

/** Who is told. */
export interface PlaceListener {
  state(state: State): void;
  stats(stats: Stats): void;
  /** The first frame of what was asked for can be shown. */
  picture(show: Show): void;
}

/** A browser that does not say when a frame arrived is taken to have held it for so long, in milliseconds. */
const HELD_MS = 100;

/** Browsers take so long to learn how another source's clock stands to theirs, in milliseconds. */
const CLOCKS_MS = 5_000;

/** A slot, with what the Viewer tells it. */
export class Place implements Slot {
  readonly stream = new MediaStream();
  readonly #picture = new Picture();
  readonly #elements = new Set<HTMLVideoElement>();
  #show: Show | null = null;
  #connection: Connection = { name: 'idle' };
  #said: Said | undefined;
  #saidMs = -Infinity;
  #refused: Problem | undefined;
  /** Whether the service has been asked for the camera. */
  #sent = false;
  /** Counts the cameras asked for; the count when the newest link was made. */
  #asked = 0;
  #opened = 0;
  #track: MediaStreamTrack | undefined;
  #meter: LatencyMeter | undefined;
  #before: Readings | undefined;
  #state: State = { name: 'idle' };

  constructor(
    readonly number: number,
    private readonly listener: PlaceListener,
  ) {}

  get camera(): string | null {
    return this.#show?.camera ?? null;
  }

  get state(): State {
    return this.#state;
  }

  /** What is asked for. */
  get show(): Show | null {
    return this.#show;
  }

  /** The track it shows. */
  get track(): MediaStreamTrack | undefined {
    return this.#track;
  }

  /** Whether nothing is on the screen that is worth keeping. */
  get isBlank(): boolean {
    return this.#picture.view === 'none';
  }

  attach(video: HTMLVideoElement): () => void {
    this.#meter?.stop();
    const meter = (this.#meter = new LatencyMeter(video, (frame) => this.#framed(frame)));
    this.#elements.add(video);
    video.srcObject = this.stream;
    return () => {
      meter.stop();
      if (this.#meter === meter) this.#meter = undefined;
      this.#elements.delete(video);
      video.srcObject = null;
    };
  }

  /** Something is asked for, or nothing. Answers whether the service has to hear of it. */
  ask(show: Show | null): boolean {
    const before = this.#show;
    const isOther = show?.camera !== before?.camera || this.#refused !== undefined;
    const isSame = show?.rid === before?.rid && (show?.priority ?? 0) === (before?.priority ?? 0);
    if (!isOther && isSame) return false;
    this.#show = show;
    if (isOther) {
      this.#asked += 1;
      this.#said = this.#refused = undefined;
      this.#sent = false;
      this.#picture.asked();
      if (!show) this.#picture.cleared();
      this.#display();
      this.#derive();
    }
    return true;
  }

  /** How the connection stands. */
  connection(connection: Connection): void {
    this.#connection = connection;
    this.#derive();
  }

  /** A link is made with what is asked for. */
  opened(): void {
    this.#opened = this.#asked;
    this.#sent = true;
    this.#said = this.#refused = undefined;
  }

  /** The link is gone: what it said counts no more, and no frame comes. The last one stays on the screen. */
  lost(): void {
    this.#said = undefined;
    this.#picture.stopped();
    this.#derive();
  }

  /** Shows a link's track from now on. */
  use(track: MediaStreamTrack): void {
    if (track === this.#track) return;
    this.#track = track;
    this.#before = undefined;
    this.#meter?.restart();
    if (this.#opened === this.#asked) this.#picture.begins();
    else this.#picture.asked();
    this.#picture.cleared();
    this.#display();
    this.#derive();
  }

  /** The first frame of the track can be shown. */
  pictured(): void {
    if (this.#show && this.#opened === this.#asked) this.#moved(Infinity);
  }

  /** The change that asks for the camera leaves. */
  sent(): void {
    this.#sent = true;
  }

  /** It has been made, and the service will not tell (`hears`) when the picture comes. */
  made(hears: boolean): void {
    if (this.#sent && !hears) this.#picture.answered(performance.now());
  }

  /** It is refused. */
  refused(problem: Problem): void {
    if (!this.#sent) return;
    this.#refused = problem;
    this.#picture.cleared();
    this.#display();
    this.#derive();
  }

  /** The service tells how it is. What it says of another camera is of the past. */
  hears(camera: string | null, said: Said): void {
    if (!this.#sent || camera === null || camera !== this.camera) return;
    this.#said = said;
    this.#saidMs = performance.now();
    if (said === 'live') this.#picture.live(this.#saidMs);
    else this.#picture.stopped();
    if (said === 'withdrawn') this.#picture.cleared();
    this.#display();
    this.#derive();
  }

  /** A reading of the track's statistics. */
  measure(readings: Readings): void {
    const nowMs = performance.now();
    const decoded = readings.framesDecoded ?? 0;
    const isSwitch = this.#picture.view === 'former';
    if (this.#show && this.#picture.decoded(decoded, nowMs)) this.#first(isSwitch);
    // Another encoding has another clock.
    const width = this.#before?.frameWidth;
    if (width !== undefined && width !== readings.frameWidth) this.#meter?.restart(nowMs + CLOCKS_MS);
    const isMoving = this.#picture.view === 'moving';
    const stats = read(readings, this.#before, isMoving ? this.#meter?.latencyMs(nowMs) : undefined);
    this.#before = readings;
    if (this.#show) this.listener.stats(stats);
    this.#derive();
  }

  /** Time has passed. */
  tick(): void {
    const nowMs = performance.now();
    if (this.#said === 'live') this.#picture.live(nowMs);
    this.#picture.tick(nowMs);
    this.#derive();
  }

  /** For how long the service has sent and nothing moved, in milliseconds; undefined when that is not so. */
  starvedMs(): number | undefined {
    if (this.#said !== 'live' || this.#picture.view === 'moving') return undefined;
    return performance.now() - Math.max(this.#saidMs, this.#picture.movedMs);
  }

  #framed({ receiveTime, expectedDisplayTime }: VideoFrameCallbackMetadata): void {
    // The black frame that ends a track is no picture.
    if (this.#show && this.#track?.readyState === 'live') this.#moved(receiveTime ?? expectedDisplayTime - HELD_MS);
  }

  #moved(receivedMs: number): void {
    const isSwitch = this.#picture.view === 'former';
    if (this.#picture.frame(receivedMs, performance.now())) this.#first(isSwitch);
    this.#derive();
  }

  /** The first frame of the camera asked for; in a stream that showed another before, its clock is not known yet. */
  #first(isSwitch: boolean): void {
    this.#meter?.restart(isSwitch ? performance.now() + CLOCKS_MS : undefined);
    if (this.#show) this.listener.picture(this.#show);
  }

  /** Nothing of what may not be seen stays in the stream. */
  #display(): void {
    const isHidden = !this.#show || this.#said === 'withdrawn' || this.#refused !== undefined;
    const track = isHidden ? undefined : this.#track;
    for (const old of this.stream.getTracks()) if (old !== track) this.stream.removeTrack(old);
    if (!track || this.stream.getTracks().includes(track)) return;
    this.stream.addTrack(track);
    // An element whose last track ended waits to be told.
    for (const video of this.#elements) if (video.paused) void video.play().catch(() => undefined);
  }

  #derive(): void {
    const state = stateOf({
      connection: this.#connection,
      camera: this.camera,
      refused: this.#refused,
      said: this.#said,
      view: this.#picture.view,
    });
    if (same(state, this.#state)) return;
    this.#state = state;
    this.listener.state(state);
  }
}
