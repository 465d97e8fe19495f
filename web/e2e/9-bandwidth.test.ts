// A network that carries less, and then more again: the picture follows it down without freezing and up without pumping.
import { expect, it, onTestFailed, onTestFinished } from 'vitest';
import { join } from 'node:path';
import { launch } from './harness/browser';
import { TRACED, estimates, type Estimate } from './harness/estimates';
import { figure, say } from './harness/figures';
import { Lab } from './harness/lab';
import { plot, type Point } from './harness/plot';
import { ROOT, until } from './harness/process';
import { Sunroom } from './harness/sunroom';

/** When `drop` loses and regains its rate, and how long it is watched, in milliseconds. */
const [DROPS_MS, RISES_MS, WATCHED_MS] = [15_000, 40_000, 65_000];
/** What it carries: 10, 0.6, 10 Mbit/s. */
const LINK: readonly Point[] = [[0, 10], [DROPS_MS, 0.6], [RISES_MS, 10]];
const [LARGE, SMALL] = [1280, 640];
/** Of 1 Mbit/s. */
const MEGABIT = 1e6;

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

it('follows a network from 10 to 0.6 Mbit/s and back', async () => {
  const sunroom = await Sunroom.withCamera(join(ROOT, 'web/test-results/page'), TRACED);
  onTestFinished(() => sunroom.stop());
  onTestFailed(() => say(sunroom.log));
  const said = estimates(sunroom);
  const browser = await launch();
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  const lab = await Lab.before(page, 'drop');
  onTestFinished(async () => void (await lab.stop()));
  await page.goto(sunroom.origin);
  const [camera] = await sunroom.cameras();
  if (!camera) throw new Error('no camera');
  await until('both streams of the camera', 10_000, async () => (sunroom.log.match(/stream is up/g) ?? []).length > 1 || undefined);
  const grant = await sunroom.grant();
  // The relay's time begins with the first datagram, a little later.
  const [beganMs, epochMs] = await page.evaluate(() => [performance.now(), Date.now()] as const);
  await page.evaluate(([g, c]) => window.measure.watch('bus', g, c, 'h'), [grant, camera.id] as const);
  await page.waitForTimeout(WATCHED_MS);
  const all = await page.evaluate((ms) => window.measure.frames('bus', ms), 2 * WATCHED_MS);
  say(await lab.stop());
  const frames = all.map((frame) => ({ ...frame, atMs: frame.atMs - beganMs }));

  const layers = frames.filter((frame, at) => frame.width !== frames[at - 1]?.width);
  const estimated = said.map((each) => ({ ...each, atMs: each.atMs - epochMs }));
  const sent = rates(estimated);
  say(await plot('drop', 'Mbit/s', WATCHED_MS, 6, [
    { name: 'link', points: LINK },
    { name: 'estimate (REMB)', points: estimated.map(({ atMs, estimate }) => [atMs, estimate / MEGABIT]) },
    { name: 'rate', points: estimated.map(({ atMs, rate }) => [atMs, rate / MEGABIT]) },
    { name: 'sent', points: sent },
    { name: 'layer (720p, 360p)', points: layers.map(({ atMs, width }) => [atMs, width === LARGE ? 2 : 0.5]) },
  ]));
  say(layers.map(({ atMs, width }) => `${(atMs / 1_000).toFixed(1)} s: ${width}`).join(', '));

  const down = layers.find(({ atMs, width }) => atMs > DROPS_MS && width === SMALL)?.atMs ?? NaN;
  const up = layers.findLast(({ atMs, width }) => atMs > RISES_MS && width === LARGE)?.atMs ?? NaN;
  const low = frames.filter(({ atMs }) => atMs > DROPS_MS - 1_000);
  const freeze = Math.max(...low.slice(1).map(({ atMs }, at) => atMs - (low[at]?.atMs ?? NaN)));
  figure('step_down_ms', down - DROPS_MS);
  figure('step_up_ms', up - RISES_MS);
  figure('step_freeze_ms', freeze);
  figure('step_switches', layers.length - 1, 'switches');
  expect(layers[0]?.width, 'the large picture first').toBe(LARGE);
  expect(down - DROPS_MS, 'step down').toBeLessThan(4_000);
  expect(freeze, 'longest gap between two frames').toBeLessThan(2_000);
  expect(up - RISES_MS, 'step up').toBeLessThan(20_000);
  expect(layers.length - 1, 'switches').toBeLessThanOrEqual(3);
});
