// Renews a session in time: a fresh grant before the one in use ends.
import { expiryMs } from './grant';

/** What is renewed. */
export interface Renewable {
  /** The grant in use. */
  readonly grant: string;
  /** Takes a fresh one. Throws where there is none to be had. */
  renew(): Promise<void>;
}

/** A grant is renewed so long before its end; one that cannot be had is asked for again after the other time. In ms. */
const EARLY_MS = 20_000;
const AGAIN_MS = 5_000;

/** The renewal of one session at a time. */
export class Renewal {
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `now` is the service's time in milliseconds since 1970, as well as it is known. */
  constructor(private readonly now: () => number) {}

  /** Renews `session` before its grant ends, instead of any other. */
  plan(session: Renewable): void {
    this.stop();
    const endMs = expiryMs(session.grant);
    // setTimeout cannot wait longer than 2^31 ms; a grant never lasts so long.
    if (endMs !== undefined) this.#in(Math.max(AGAIN_MS, endMs - this.now() - EARLY_MS), session);
  }

  /** Renews nothing any more. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #in(ms: number, session: Renewable): void {
    this.#timer = setTimeout(() => {
      session.renew().catch(() => this.#in(AGAIN_MS, session));
    }, ms);
  }
}
