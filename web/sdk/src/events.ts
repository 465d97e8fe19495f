// What the service tells of a session, as it comes (server-sent events, WHATWG HTML, section 9.2), read by fetch so that
// the grant stays out of addresses.
// Invariant: after close(), `ended` or `gone` nothing more is told; any other end of the stream is followed by another.
import { createParser } from 'eventsource-parser';
import { delayMs } from './backoff';
import { readProblem } from './problem';

/** How the service says a slot, or the sound, is. */
export type Said = 'empty' | 'waiting' | 'live' | 'no_signal' | 'paused' | 'withdrawn';

/** Why a session ended. */
export type EndReason =
  | 'left'
  | 'replaced'
  | 'never_connected'
  | 'silent'
  | 'handshake'
  | 'grant_over'
  | 'node_stopping'
  | 'unknown';

/** One event. */
export type ServerEvent =
  | { readonly type: 'slot'; readonly slot: number; readonly camera: string | null; readonly state: Said }
  | { readonly type: 'audio'; readonly camera: string | null; readonly state: Said }
  | { readonly type: 'ended'; readonly reason: EndReason };

/** Who is told. */
export interface EventListener {
  event(event: ServerEvent): void;
  /** The service knows the session no more. */
  gone(): void;
}

const STATES: readonly string[] = ['empty', 'waiting', 'live', 'no_signal', 'paused', 'withdrawn'];
const REASONS: readonly string[] = ['left', 'replaced', 'never_connected', 'silent', 'handshake', 'grant_over', 'node_stopping'];
/** The service sends something every 10 s; a stream that is silent for longer than two of them is dead. In ms. */
const SILENT_MS = 25_000;
/** Characters that one event may have. */
const LONGEST = 65_536;

/** The event in one `data`; undefined for what this version does not know. */
export function parseEvent(data: string): ServerEvent | undefined {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, slot, camera, state, reason } = value as Record<string, unknown>;
  if (type === 'ended') {
    return { type, reason: typeof reason === 'string' && REASONS.includes(reason) ? (reason as EndReason) : 'unknown' };
  }
  if (typeof state !== 'string' || !STATES.includes(state)) return undefined;
  if (camera !== null && typeof camera !== 'string') return undefined;
  if (type === 'audio') return { type, camera, state: state as Said };
  if (type !== 'slot' || typeof slot !== 'number') return undefined;
  return { type, slot, camera, state: state as Said };
}

/** Reads one session's events until close(). */
export class EventStream {
  readonly #abort = new AbortController();
  #attempt = 0;
  #hears = false;

  /** `grant` answers the grant that is good now. */
  constructor(
    private readonly session: string,
    private readonly grant: () => string,
    private readonly listener: EventListener,
  ) {
    void this.#run();
  }

  /** Whether it is heard from the service right now. */
  get hears(): boolean {
    return this.#hears;
  }

  /** Ends it. */
  close(): void {
    this.#abort.abort();
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      await this.#read().catch(() => undefined);
      this.#hears = false;
      if (this.#abort.signal.aborted) return;
      this.#attempt += 1;
      await sleep(delayMs(this.#attempt, Math.random()), this.#abort.signal);
    }
  }

  /** Reads one answer to its end. */
  async #read(): Promise<void> {
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENT_MS);
    try {
      const response = await fetch(`${this.session}/events`, {
        headers: { authorization: `Bearer ${this.grant()}`, accept: 'text/event-stream' },
        cache: 'no-store',
        signal: AbortSignal.any([this.#abort.signal, silence.signal]),
      });
      if (response.status === 404) return this.#over(() => this.listener.gone());
      if (!response.ok || !response.body) {
        await readProblem(response);
        return;
      }
      const text = new TextDecoder();
      const parser = createParser({ onEvent: ({ data }) => this.#tell(data), maxBufferSize: LONGEST });
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), SILENT_MS);
        parser.feed(text.decode(value, { stream: true }));
      }
    } finally {
      clearTimeout(timer);
      silence.abort();
    }
  }

  #tell(data: string): void {
    if (this.#abort.signal.aborted) return;
    const event = parseEvent(data);
    if (!event) return;
    this.#attempt = 0;
    this.#hears = true;
    if (event.type === 'ended') this.#over(() => this.listener.event(event));
    else this.listener.event(event);
  }

  #over(tell: () => void): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    tell();
  }
}

/** Waits, or until `signal`. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const stop = (): void => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', stop, { once: true });
  });
}
