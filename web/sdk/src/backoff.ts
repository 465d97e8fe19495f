// How long to wait before the next attempt: exponential with jitter, so that a thousand viewers who lost the same node
// do not come back in the same instant.

/** The first attempt comes about so soon, in milliseconds. */
export const FIRST_MS = 500;
/** No wait is longer, in milliseconds, unless the service asks for it. */
export const LONGEST_MS = 15_000;

/**
 * Milliseconds before attempt `attempt` (from 1): evenly between half and all of an exponentially growing span, after
 * the time that the service asked for. `random` is a number in [0, 1).
 */
export function delayMs(attempt: number, random: number, retryAfterMs = 0): number {
  const span = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt - 1, 16));
  return retryAfterMs + span * (0.5 + random / 2);
}
