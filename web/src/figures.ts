// A slot's figures, made fit to be read: a delay that does not jump.
import type { Stats } from '@sunroom/sdk';

/** The delay shown is the median of so many readings. */
const READINGS = 5;

/** The median of the latest delays of one slot. */
export class Delay {
  /** Readings of one kind: two kinds have no median in common. */
  #readings: number[] = [];
  #kind: 'delay' | 'transit' = 'delay';

  /** From the camera (`delay`), or from the server only, where the browser knows no more. */
  get kind(): 'delay' | 'transit' {
    return this.#kind;
  }

  /** In milliseconds; undefined until known. */
  get ms(): number | undefined {
    const middle = this.#readings.toSorted((a, b) => a - b)[this.#readings.length >> 1];
    return middle === undefined ? undefined : Math.max(0, Math.round(middle));
  }

  /** Takes in a reading. */
  add({ latencyMs, transitMs }: Stats): void {
    const kind = latencyMs === undefined && transitMs !== undefined ? 'transit' : 'delay';
    if (kind !== this.#kind) this.#readings = [];
    this.#kind = kind;
    const ms = latencyMs ?? transitMs;
    if (ms !== undefined) this.#readings = [...this.#readings, ms].slice(-READINGS);
  }

  /** Forgets all readings. */
  clear(): void {
    this.#readings = [];
  }
}
