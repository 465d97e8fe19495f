// What is to change in a session, on its way to the service.
// Invariant: one call at a time, in order; of several wishes for one slot the newest is sent, and only that one.
import { delayMs } from './backoff';
import { isTransient, problemOf, type Problem } from './problem';
import type { Change, Show, SlotChange } from './sessions';

/** Who is told how it went. */
export interface ChangesListener {
  /** A change leaves now. */
  sent(change: Change): void;
  /** It has been made. */
  made(change: Change): void;
  /** The service refuses it, for the one slot or the sound that it names; another wish may be granted. */
  refused(change: Change, problem: Problem): void;
  /** The session is no more. */
  gone(problem: Problem): void;
}

/** Sends changes from start() to close(). */
export class Changes {
  readonly #slots = new Map<number, Show | null>();
  #audio: string | null | undefined;
  #renew = false;
  #started = false;
  #running = false;
  #closed = false;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `send` makes one call; it throws ProblemError, or what fetch throws. */
  constructor(
    private readonly send: (change: Change) => Promise<void>,
    private readonly listener: ChangesListener,
  ) {}

  /** The session is there: what was wished before is sent. */
  start(): void {
    this.#started = true;
    this.#soon();
  }

  /** Ends it; what was not sent is dropped. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Wishes that a slot shows something, or nothing. */
  show(slot: number, show: Show | null): void {
    this.#slots.set(slot, show);
    this.#soon();
  }

  /** Wishes that a camera is heard, or none. */
  listen(camera: string | null): void {
    this.#audio = camera;
    this.#soon();
  }

  /** Renews the session: with the next change, or alone. */
  renew(): void {
    this.#renew = true;
    this.#soon();
  }

  /** After this tick: calls within one tick make one change. */
  #soon(): void {
    if (!this.#started || this.#running || this.#closed) return;
    this.#running = true;
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const change = this.#take();
      if (!change) break;
      const problem = await this.#try(change);
      if (this.#closed) return;
      if (!problem) continue;
      this.#putBack(change);
      this.#attempt += 1;
      await new Promise<void>((resolve) => {
        this.#timer = setTimeout(resolve, delayMs(this.#attempt, Math.random(), problem.retryAfterMs));
      });
    }
    this.#running = false;
  }

  /** Makes one change. Answers the problem of one that is worth another attempt. */
  async #try(change: Change): Promise<Problem | undefined> {
    this.listener.sent(change);
    try {
      await this.send(change);
      this.#attempt = 0;
      if (!this.#closed) this.listener.made(change);
      return undefined;
    } catch (thrown) {
      const problem = problemOf(thrown);
      if (this.#closed) return undefined;
      if (problem.status === 404) this.listener.gone(problem);
      else if (isTransient(problem)) return problem;
      else return this.#apart(change, problem);
      return undefined;
    }
  }

  /** A refused change changes nothing: its parts are tried one by one, so that one camera does not stop the others. */
  async #apart(change: Change, problem: Problem): Promise<Problem | undefined> {
    const parts: Change[] = (change.slots ?? []).map((slot) => ({ slots: [slot] }));
    if (change.audio) parts.push({ audio: change.audio });
    if (parts.length < 2) {
      this.listener.refused(change, problem);
      return undefined;
    }
    let again: Problem | undefined;
    for (const part of parts) {
      if (this.#closed || this.#outdated(part)) continue;
      const worth = await this.#try(part);
      if (!worth) continue;
      this.#putBack(part);
      again = worth;
    }
    return again;
  }

  #outdated(part: Change): boolean {
    const slot = part.slots?.[0];
    return slot ? this.#slots.has(slot.slot) : this.#audio !== undefined;
  }

  #take(): Change | undefined {
    const slots = [...this.#slots].map(([slot, show]): SlotChange => ({ slot, camera: null, ...show }));
    const audio = this.#audio;
    if (slots.length === 0 && audio === undefined && !this.#renew) return undefined;
    this.#slots.clear();
    this.#audio = undefined;
    this.#renew = false;
    return { ...(slots.length > 0 ? { slots } : {}), ...(audio === undefined ? {} : { audio: { camera: audio } }) };
  }

  /** To be sent again, but for what has been wished since. */
  #putBack({ slots, audio }: Change): void {
    for (const { slot, camera, ...rest } of slots ?? []) {
      if (!this.#slots.has(slot)) this.#slots.set(slot, camera === null ? null : { camera, ...rest });
    }
    if (audio && this.#audio === undefined) this.#audio = audio.camera;
    if (!slots && !audio) this.#renew = true;
  }
}
