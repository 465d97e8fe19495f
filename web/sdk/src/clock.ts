// The server's clock, as seen from the page: an offset measured over HTTP.

/** One exchange: page time before and after, server time in between; all in milliseconds since 1970. */
export interface Exchange {
  readonly sentMs: number;
  readonly serverMs: number;
  readonly receivedMs: number;
}

/** The page's clock: finer than Date.now(), and it does not jump. */
function pageNowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Milliseconds to add to page time to have server time: the midpoint of the quickest exchange (least queueing). */
export function offsetMs(exchanges: readonly Exchange[]): number | undefined {
  let best: Exchange | undefined;
  for (const e of exchanges) {
    if (best === undefined || e.receivedMs - e.sentMs < best.receivedMs - best.sentMs) best = e;
  }
  return best && best.serverMs - (best.sentMs + best.receivedMs) / 2;
}

/** Measures and keeps the offset to one server's clock. */
export class ServerClock {
  #offset: number | undefined;

  /** `base` is the server's origin, as in `new URL(...).origin`. */
  constructor(private readonly base: string) {}

  /** Server time in milliseconds since 1970; undefined until measured. */
  now(): number | undefined {
    return this.#offset === undefined ? undefined : pageNowMs() + this.#offset;
  }

  /** Measures the offset anew from several exchanges. An unreachable server leaves the old one in place. */
  async measure(samples = 5): Promise<void> {
    const exchanges: Exchange[] = [];
    for (let i = 0; i < samples; i++) {
      const exchange = await this.#exchange().catch(() => undefined);
      if (exchange) exchanges.push(exchange);
    }
    this.#offset = offsetMs(exchanges) ?? this.#offset;
  }

  async #exchange(): Promise<Exchange | undefined> {
    const sentMs = pageNowMs();
    const response = await fetch(`${this.base}/v1/time`, { cache: 'no-store', signal: AbortSignal.timeout(10_000) });
    const receivedMs = pageNowMs();
    if (!response.ok) return undefined;
    const { unix_us: us } = (await response.json()) as { unix_us: number };
    return { sentMs, serverMs: us / 1000, receivedMs };
  }
}
