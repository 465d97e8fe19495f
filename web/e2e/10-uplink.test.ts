// A site whose uplink carries little: every camera's small picture comes without freezing, and the large ones when it carries
// more.
import { expect, it, onTestFailed, onTestFinished } from 'vitest';
import type { Page } from 'playwright-core';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Agent } from './harness/agent';
import { launch } from './harness/browser';
import { Camera, PYTHON } from './harness/camera';
import { figure, say } from './harness/figures';
import { Namespace } from './harness/namespace';
import { ROOT, service, until } from './harness/process';
import { Sunroom } from './harness/sunroom';

const CAMERAS = 3;
const [LARGE, SMALL] = [1280, 640];
/** What the uplink carries, in Mbit/s: the three small pictures are 1.6, with headers; and later. */
const [NARROW, WIDE] = [2, 20];
/** By then it is known what is carried, in milliseconds; the small pictures are looked at for so long after that. */
const [SETTLED_MS, LOOKED_MS] = [8_000, Number(process.env['NETWORK_SECONDS'] ?? 20) * 1_000];
/** A picture that stands for longer does not move, and none may on however slow a machine, in milliseconds. */
const [STILL_MS, STANDS_MS] = [1_000, 3_000];
/** The first large picture may take so long, in milliseconds: a probe waits for 16 s at most, a keyframe for 4. */
const LARGE_MS = 30_000;

/** Frames of the last `ms` milliseconds, by camera. */
function frames(page: Page, ms: number): Promise<readonly (readonly { atMs: number; width: number }[])[]> {
  const slots = Array.from({ length: CAMERAS }, (_, slot) => slot);
  return Promise.all(slots.map((slot) => page.evaluate(([s, m]) => window.measure.frames('site', m, s), [slot, ms] as const)));
}

it('sends every small picture before a large one, and the large ones when the uplink carries them', async () => {
  const site = await Namespace.make();
  onTestFinished(() => site.remove());
  const sunroom = await Sunroom.demo(join(ROOT, 'web/test-results/page'));
  onTestFinished(() => sunroom.stop());
  const camera = await Camera.start(0, await site.program(PYTHON));
  onTestFinished(() => camera.stop());
  const ids = Array.from({ length: CAMERAS }, () => randomUUID());
  const pulled = ids.map((id, at) => ({ id, name: `Camera ${at + 1}`, main: camera.url('main'), sub: camera.url('sub') }));
  const origin = await site.reachLocally(sunroom.origin);
  await site.limit(NARROW);
  const agent = await Agent.publishing(origin, await sunroom.publishGrant(...ids), pulled, await site.program(service('edge-agent')));
  onTestFinished(() => agent.stop());
  onTestFailed(() => say(`${sunroom.log}\n${agent.log}`));
  await sunroom.cameras(...ids);
  await until('all streams', 15_000, () => Promise.resolve((agent.log.match(/stream is up/g) ?? []).length >= 2 * CAMERAS || undefined));

  const browser = await launch();
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  await page.goto(sunroom.origin);
  await page.evaluate(([g, n]) => window.measure.session('site', g, n), [await sunroom.grant(...ids), CAMERAS] as const);
  await page.evaluate((c) => window.measure.wall('site', c.map((id) => [id, 'h'] as const), 0), ids);
  await page.waitForTimeout(SETTLED_MS + LOOKED_MS);
  const small = await frames(page, LOOKED_MS);
  const gaps = small.map((seen) => Math.max(...seen.slice(1).map(({ atMs }, at) => atMs - (seen[at]?.atMs ?? NaN)), seen.length > 1 ? 0 : NaN));
  say(small.map((seen, at) => `${seen.length} frames, ${[...new Set(seen.map(({ width }) => width))].join('/')}, ${gaps[at]?.toFixed(0)} ms`).join('; '));
  figure('uplink_moving', gaps.filter((gap) => gap < STILL_MS).length, 'cameras');
  figure('uplink_freeze_ms', Math.max(...gaps));
  for (const [at, seen] of small.entries()) {
    expect(new Set(seen.map(({ width }) => width)), `pictures of camera ${at + 1}`).toEqual(new Set([SMALL]));
    expect(gaps[at], `longest standstill of camera ${at + 1}`).toBeLessThan(STANDS_MS);
  }

  await site.limit(WIDE);
  const rose = await page.evaluate(() => performance.now());
  const large = (seen: readonly { atMs: number; width: number }[]): number | undefined => seen.find(({ atMs, width }) => atMs > rose && width === LARGE)?.atMs;
  const first = await until('a large picture', LARGE_MS, async () => {
    const found = (await frames(page, 2 * LARGE_MS)).flatMap((seen) => large(seen) ?? []);
    return found.length > 0 ? Math.min(...found) : undefined;
  });
  figure('uplink_large_ms', first - rose);
  const all = await until('large pictures of all cameras', LARGE_MS, async () => {
    const found = (await frames(page, 3 * LARGE_MS)).flatMap((seen) => large(seen) ?? []);
    return found.length === CAMERAS ? Math.max(...found) : undefined;
  });
  figure('uplink_all_large_ms', all - rose);
  say(agent.log.split('\n').filter((line) => line.includes('held back')).join('\n'));
});
