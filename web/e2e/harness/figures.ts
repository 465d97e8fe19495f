// Percentiles, and how figures are printed: one alone on a line, so that scripts find them.
import { writeSync } from 'node:fs';

/** The value that the share `p` (0 to 1) of `values` does not exceed (nearest rank). */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? NaN;
}

/** Prints `figure NAME VALUE UNIT`. */
export function figure(name: string, value: number, unit = 'ms'): void {
  say(`figure ${name} ${value.toFixed(1)} ${unit}`);
}

/** Prints a line past the test runner's own output. */
export function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** Numbers in [0, 1) that a seed repeats (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
