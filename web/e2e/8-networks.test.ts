// Poor networks between a page and the node: the picture goes on, and stays young.
import { expect, it, onTestFailed, onTestFinished } from 'vitest';
import { join } from 'node:path';
import { launch } from './harness/browser';
import { figure, percentile, say } from './harness/figures';
import { Lab } from './harness/lab';
import { ROOT } from './harness/process';
import { Sunroom } from './harness/sunroom';

/** How long a network is watched. */
const WATCHED_MS = Number(process.env['NETWORK_SECONDS'] ?? 20) * 1_000;
/** Until the node knows of the loss, and the page's buffer has followed. */
const SETTLED_MS = 10_000;
/** A gap between two frames that is longer is a freeze, in milliseconds. */
const FREEZE_MS = 200;
/** No figure may be worse on however slow a machine: percent of the time, milliseconds. */
const [LIMIT_PCT, LIMIT_MS] = [5, 500];

it.each([1, 5])('goes on where %i percent of the packets are lost each way', async (lost) => {
  const sunroom = await Sunroom.withCamera(join(ROOT, 'web/test-results/page'));
  onTestFinished(() => sunroom.stop());
  onTestFailed(() => say(sunroom.log));
  const browser = await launch();
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  const lab = await Lab.before(page, `lossy-${lost}`);
  onTestFinished(async () => void (await lab.stop()));
  await page.goto(sunroom.origin);
  const [camera] = await sunroom.cameras();
  if (!camera) throw new Error('no camera');
  const grant = await sunroom.grant();
  await page.evaluate(([g, c]) => window.measure.watch('lossy', g, c, 'l'), [grant, camera.id] as const);
  await page.waitForTimeout(SETTLED_MS + WATCHED_MS);
  const frames = await page.evaluate((ms) => window.measure.frames('lossy', ms), WATCHED_MS);
  const gaps = frames.slice(1).map((frame, at) => frame.atMs - (frames[at]?.atMs ?? NaN));
  const freezes = gaps.filter((gap) => gap > FREEZE_MS);
  const ages = frames.flatMap((frame) => frame.ageMs ?? []);
  // 25 frames a second.
  expect(ages.length, 'frames with a readable clock').toBeGreaterThan((WATCHED_MS / 40) * 0.8);
  const freeze = (100 * freezes.reduce((sum, gap) => sum + gap, 0)) / WATCHED_MS;
  const glass = percentile(ages, 0.95);
  say(`glass to glass: median ${percentile(ages, 0.5).toFixed(1)} ms; longest gap ${Math.max(...gaps).toFixed(0)} ms`);
  figure(`loss${lost}_freezes`, freezes.length, 'freezes');
  figure(`loss${lost}_freeze_pct`, freeze, '%');
  figure(`loss${lost}_glass_p95_ms`, glass);
  expect(freeze, 'freezes').toBeLessThan(LIMIT_PCT);
  expect(glass, 'glass to glass').toBeLessThan(LIMIT_MS);
  const said = await lab.stop();
  say(said);
  const [, down = ''] = /^down [\d,]{4,} datagrams, ([\d.]+) % lost/m.exec(said) ?? [];
  expect(Math.abs(Number(down) - lost), `lost by the network: ${said}`).toBeLessThan(lost / 2);
});
