// A plot of what a test saw, to be looked at: lines over time, as an SVG.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from './process';

/** A value at a moment, in milliseconds. */
export type Point = readonly [atMs: number, value: number];

/** A line of a plot; it keeps a value until the next one. */
export interface Line {
  readonly name: string;
  readonly points: readonly Point[];
}

const [WIDTH, HEIGHT, MARGIN] = [960, 360, 48];
const COLOURS = ['#9aa5b1', '#d97706', '#2563eb', '#059669', '#7c3aed'];

/** Writes `web/test-results/NAME.svg`: lines from 0 to `spanMs`, with values from 0 to `top` of `unit`; answers its path. */
export async function plot(name: string, unit: string, spanMs: number, top: number, lines: readonly Line[]): Promise<string> {
  const x = (atMs: number): number => MARGIN + ((WIDTH - 2 * MARGIN) * Math.min(Math.max(atMs, 0), spanMs)) / spanMs;
  const y = (value: number): number => HEIGHT - MARGIN - ((HEIGHT - 2 * MARGIN) * Math.min(value, top)) / top;
  const text = (at: readonly [number, number], words: string, more = ''): string =>
    `<text x="${at[0]}" y="${at[1]}" font-family="sans-serif" font-size="12" ${more}>${words}</text>`;
  const marks = Array.from({ length: 6 }, (_, at) => at / 5).flatMap((part) => [
    text([x(part * spanMs), HEIGHT - MARGIN + 18], `${((part * spanMs) / 1_000).toFixed(0)} s`, 'text-anchor="middle"'),
    text([MARGIN - 6, y(part * top)], (part * top).toFixed(1), 'text-anchor="end"'),
  ]);
  const drawn = lines.flatMap(({ name: label, points }, at) => {
    const colour = COLOURS[at % COLOURS.length];
    const steps = points.map(([atMs, value], n) => (n === 0 ? `M${x(atMs)} ${y(value)}` : `H${x(atMs)}V${y(value)}`));
    return [
      `<path d="${steps.join('')}H${x(spanMs)}" fill="none" stroke="${colour}" stroke-width="2"/>`,
      text([MARGIN + 170 * at, MARGIN - 20], label, `fill="${colour}"`),
    ];
  });
  const ground = `<rect width="100%" height="100%" fill="white"/>${text([4, MARGIN - 4], unit)}`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}">${ground}${[...marks, ...drawn].join('')}</svg>`;
  const folder = join(ROOT, 'web/test-results');
  await mkdir(folder, { recursive: true });
  const path = join(folder, `${name}.svg`);
  await writeFile(path, svg);
  return path;
}
