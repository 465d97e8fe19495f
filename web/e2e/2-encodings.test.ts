// What is sent is what is watched, and one camera is watched in both its sizes at once.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { join } from 'node:path';
import { launch } from './harness/browser';
import { ROOT, until } from './harness/process';
import { Sunroom } from './harness/sunroom';

let sunroom: Sunroom;
let browser: Browser;
let page: Page;
let camera: string;

beforeAll(async () => {
  sunroom = await Sunroom.withCamera(join(ROOT, 'web/test-results/page'));
  browser = await launch();
  page = await browser.newPage();
  await page.goto(sunroom.origin);
  camera = (await sunroom.cameras())[0]?.id ?? '';
});

afterAll(async () => {
  await browser?.close();
  await sunroom?.stop();
});

async function watch(rid: 'h' | 'l'): Promise<void> {
  const grant = await sunroom.grant();
  await page.evaluate(([r, g, c]) => window.measure.watch(r, g, c, r), [rid, grant, camera] as const);
}

async function sent(rid: 'h' | 'l'): Promise<number> {
  return (await sunroom.metric('sunroom_edge_sent_bytes_total', { camera, rid })) ?? 0;
}

it('does not send an encoding that nobody watches', async () => {
  await sunroom.sending(camera, 'h', false);
  await sunroom.sending(camera, 'l', false);
  const before = { h: await sent('h'), l: await sent('l') };
  await watch('l');
  await page.waitForTimeout(3_000);
  expect(await sent('h')).toBe(before.h);
  // The sub stream has 500 kbit/s.
  expect(await sent('l')).toBeGreaterThan(before.l + 100_000);
  await page.evaluate(() => window.measure.close('l'));
  await sunroom.sending(camera, 'l', false);
  const after = await sent('l');
  await page.waitForTimeout(2_000);
  expect(await sent('l')).toBe(after);
});

it('shows one camera at 640x360 and at 1280x720 at once, both moving', async () => {
  await Promise.all([watch('l'), watch('h')]);
  await page.waitForTimeout(4_000);
  for (const [rid, width] of [['l', 640], ['h', 1280]] as const) {
    const frames = await page.evaluate((r) => window.measure.frames(r, 2_000), rid);
    expect(new Set(frames.map((frame) => frame.width)), rid).toEqual(new Set([width]));
    const clocks = new Set(frames.map((frame) => frame.timecode).filter((ms) => ms !== undefined));
    expect(clocks.size, `different readings of the clock of ${rid}`).toBeGreaterThan(35);
    const { state, stats } = await page.evaluate((r) => window.measure.status(r), rid);
    expect(state).toBe('playing');
    expect(stats).toMatchObject({ width });
    await until(`latency of ${rid} by the SDK`, 5_000, () => page.evaluate((r) => window.measure.status(r).stats?.latencyMs, rid));
  }
});
