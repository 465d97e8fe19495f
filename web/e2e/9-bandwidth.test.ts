// A network that carries less, and then more again: the picture follows it down without freezing and up without pumping.
import { expect, it, onTestFailed, onTestFinished } from 'vitest';
import type { Page } from 'playwright-core';
import { join } from 'node:path';
import { launch } from './harness/browser';
import { TRACED, estimates, type Estimate } from './harness/estimates';
import { figure, percentile, say } from './harness/figures';
import { Lab } from './harness/lab';
import { plot, type Point } from './harness/plot';
import { ROOT, until } from './harness/process';
import { Sunroom } from './harness/sunroom';

/** When `drop` loses and regains its rate, and how long it is watched, in milliseconds. */
const [DROPS_MS, RISES_MS, WATCHED_MS] = [15_000, 40_000, 66_000];
/** What it carries: 10, 0.6, 10 Mbit/s. */
const LINK: readonly Point[] = [[0, 10], [DROPS_MS, 0.6], [RISES_MS, 10]];
const [LARGE, SMALL] = [1280, 640];
/** No step may take longer on however slow a machine, down and up, and no gap be longer, in milliseconds. */
const [DOWN_MS, UP_MS, GAP_MS] = [4_000, 24_000, 2_000];
/** Up where the page tells when packets come, in milliseconds. */
const TOLD_UP_MS = 14_000;
/** Of 1 Mbit/s. */
const MEGABIT = 1e6;

/** When `wall` loses most of its rate, 8 to 1 Mbit/s, and how long it is watched, in milliseconds. */
const [NARROWS_MS, WALL_MS] = [40_000, 80_000];
/** The slots of the wall, and the one that is watched in the first place. */
const [SLOTS, FIRST] = [9, 4];
/** The wall is looked at for so long at the end of each part, in milliseconds. */
const LOOKED_MS = 20_000;
/** A picture that stands for longer does not move, in milliseconds; and how long none may stand on however slow a machine. */
const [STILL_MS, STANDS_MS] = [1_500, 6_000];

/** No picture may be older on however slow a machine, but for one in twenty, in milliseconds. */
const LATE_MS = 500;

/** How a slot of the wall was. */
interface Tile {
  readonly state: string;
  readonly width: number | undefined;
  /** Its longest standstill, in milliseconds. */
  readonly standsMs: number;
  readonly ages: readonly number[];
}

/** What was sent, in Mbit/s, over spans of at least half a second. */
function rates(said: readonly Estimate[]): Point[] {
  const points: Point[] = [];
  let since = said[0];
  for (const each of said) {
    if (!since || each.atMs - since.atMs < 500) continue;
    points.push([since.atMs, (8_000 * (each.sent - since.sent)) / (each.atMs - since.atMs) / MEGABIT]);
    since = each;
  }
  return points;
}

/** A page behind a network, and cameras whose streams are all up. */
interface Scene {
  readonly page: Page;
  readonly lab: Lab;
  readonly grant: string;
  readonly cameras: readonly string[];
  /** What the node says of the page's network. */
  readonly said: readonly Estimate[];
}

const PAGES = join(ROOT, 'web/test-results/page');

async function before(network: string, starts: Promise<Sunroom>, streams: number): Promise<Scene> {
  const sunroom = await starts;
  onTestFinished(() => sunroom.stop());
  onTestFailed(() => say(sunroom.log));
  const said = estimates(sunroom);
  const browser = await launch();
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  const lab = await Lab.before(page, network);
  onTestFinished(async () => void (await lab.stop()));
  await page.goto(sunroom.origin);
  const cameras = (await sunroom.cameras()).map((camera) => camera.id);
  await until(`${streams} streams`, 10_000, () => {
    const up = sunroom.log.match(/stream is up/g) ?? [];
    return Promise.resolve(up.length >= streams || undefined);
  });
  return { page, lab, grant: await sunroom.grant(), cameras, said };
}

it.each([['remb', 'step', UP_MS], ['twcc', 'step_twcc', TOLD_UP_MS]] as const)('follows a network from 10 to 0.6 Mbit/s and back, by %s', async (estimation, name, upMs) => {
  const starts = Sunroom.withCamera(PAGES, TRACED, ['--estimation', estimation]);
  const { page, lab, grant, cameras, said } = await before('drop', starts, 2);
  // The relay's time begins with the first datagram, a little later.
  const [beganMs, epochMs] = await page.evaluate(() => [performance.now(), Date.now()] as const);
  await page.evaluate(([g, c]) => window.measure.watch('bus', g, c, 'h'), [grant, cameras[0] ?? ''] as const);
  await page.waitForTimeout(WATCHED_MS);
  const all = await page.evaluate((ms) => window.measure.frames('bus', ms), 2 * WATCHED_MS);
  say(await lab.stop());
  const frames = all.map((frame) => ({ ...frame, atMs: frame.atMs - beganMs }));

  const layers = frames.filter((frame, at) => frame.width !== frames[at - 1]?.width);
  const estimated = said.map((each) => ({ ...each, atMs: each.atMs - epochMs }));
  const sent = rates(estimated);
  say(`${said.length} estimates`);
  say(await plot(estimation === 'remb' ? 'drop' : 'drop-twcc', 'Mbit/s', WATCHED_MS, 6, [
    { name: 'link', points: LINK },
    { name: estimation === 'remb' ? 'estimate (REMB)' : 'arrives (TWCC)', points: estimated.map(({ atMs, estimate }) => [atMs, estimate / MEGABIT]) },
    { name: 'rate', points: estimated.map(({ atMs, rate }) => [atMs, rate / MEGABIT]) },
    { name: 'sent', points: sent },
    { name: 'layer (720p, 360p)', points: layers.map(({ atMs, width }) => [atMs, width === LARGE ? 2 : 0.5]) },
  ]));
  say(layers.map(({ atMs, width }) => `${(atMs / 1_000).toFixed(1)} s: ${width}`).join(', '));

  const down = layers.find(({ atMs, width }) => atMs > DROPS_MS && width === SMALL)?.atMs ?? NaN;
  const up = layers.findLast(({ atMs, width }) => atMs > RISES_MS && width === LARGE)?.atMs ?? NaN;
  const low = frames.filter(({ atMs }) => atMs > DROPS_MS - 1_000);
  const freeze = Math.max(...low.slice(1).map(({ atMs }, at) => atMs - (low[at]?.atMs ?? NaN)));
  figure(`${name}_down_ms`, down - DROPS_MS);
  figure(`${name}_up_ms`, up - RISES_MS);
  figure(`${name}_freeze_ms`, freeze);
  figure(`${name}_switches`, layers.length - 1, 'switches');
  expect(layers[0]?.width, 'the large picture first').toBe(LARGE);
  expect(down - DROPS_MS, 'step down').toBeLessThan(DOWN_MS);
  expect(freeze, 'longest gap between two frames').toBeLessThan(GAP_MS);
  expect(up - RISES_MS, 'step up').toBeLessThan(upMs);
  expect(layers.length - 1, 'switches').toBeLessThanOrEqual(3);
});

it('shows of nine cameras what a network carries, the first one before the others, and says what it does not', async () => {
  const { page, lab, grant, cameras } = await before('wall', Sunroom.withFive(PAGES, TRACED), 6);
  await page.evaluate(([g, n]) => window.measure.session('wall', g, n), [grant, SLOTS] as const);
  const beganMs = await page.evaluate(() => performance.now());
  // One camera has a large picture too, for the first slot; it and the others are small elsewhere, as a page has them.
  const shown = Array.from({ length: SLOTS }, (_, slot) => {
    const number = slot % 4;
    return [cameras[number] ?? '', slot === FIRST || number > 0 ? 'h' : 'l'] as const;
  });
  await page.evaluate(([c, first]) => window.measure.wall('wall', c, first), [shown, FIRST] as const);

  const look = async (): Promise<readonly Tile[]> => {
    const { slots } = await page.evaluate(() => window.measure.states('wall'));
    const looked = slots.map(async (state, slot): Promise<Tile> => {
      const frames = await page.evaluate(([s, ms]) => window.measure.frames('wall', ms, s), [slot, LOOKED_MS] as const);
      const gaps = frames.slice(1).map((frame, at) => frame.atMs - (frames[at]?.atMs ?? NaN));
      return { state, width: frames.at(-1)?.width, standsMs: Math.max(...gaps), ages: frames.flatMap((f) => f.ageMs ?? []) };
    });
    return Promise.all(looked);
  };
  await page.waitForTimeout(NARROWS_MS - 1_000);
  const wide = await look();
  await page.waitForTimeout(WALL_MS - NARROWS_MS);
  const narrow = await look();
  say(await lab.stop());
  for (const tiles of [wide, narrow]) say(tiles.map(({ state, width, standsMs }) => `${state} ${width} ${standsMs.toFixed(0)}`).join(', '));
  const told = await page.evaluate(() => window.measure.told('wall'));
  const changes = told.filter(({ atMs, state }) => atMs > beganMs + NARROWS_MS && state === 'paused');

  const glass = (tiles: readonly Tile[]): number => percentile(tiles[FIRST]?.ages ?? [], 0.95);
  const first = await page.evaluate(([s, ms]) => window.measure.frames('wall', ms, s), [FIRST, 2 * WALL_MS] as const);
  const seen = first.filter(({ atMs }) => atMs < beganMs + NARROWS_MS);
  const large = (100 * seen.filter(({ width }) => width === LARGE).length) / seen.length;
  figure('wall8_large_pct', large, '%');
  figure('wall8_moving', wide.filter((tile) => tile.standsMs < STILL_MS).length, 'slots');
  figure('wall8_glass_p95_ms', glass(wide));
  figure('wall1_moving', narrow.filter((tile) => tile.state === 'playing' && tile.standsMs < STILL_MS).length, 'slots');
  figure('wall1_paused', narrow.filter((tile) => tile.state === 'paused').length, 'slots');
  figure('wall1_pauses', changes.length, 'pauses');
  figure('wall1_glass_p95_ms', glass(narrow));
  expect(large, 'the first slot has a large picture, where all of them are carried').toBeGreaterThan(0);
  const others = wide.filter((tile, slot) => slot !== FIRST && tile.width === LARGE).length;
  expect(others === 0 || wide[FIRST]?.width === LARGE, 'the first slot has a large picture before others do').toBe(true);
  for (const [slot, tile] of wide.entries()) expect(tile.standsMs, `longest standstill of slot ${slot}`).toBeLessThan(STANDS_MS);
  expect(narrow[FIRST]?.state).toBe('playing');
  for (const [slot, tile] of narrow.entries()) {
    expect(tile.state === 'paused' || tile.standsMs < STANDS_MS, `slot ${slot} moves or says why not`).toBe(true);
  }
  expect(glass(narrow), 'glass to glass').toBeLessThan(LATE_MS);
});
