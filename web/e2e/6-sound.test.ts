// Sound: it is heard, and with the picture it belongs to. The camera beeps at each full second of the clock in its
// picture.
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { join } from 'node:path';
import { launch } from './harness/browser';
import { figure, percentile, say } from './harness/figures';
import { ROOT, until } from './harness/process';
import { Sunroom } from './harness/sunroom';

/** Beeps that are compared, after some in which picture and sound find together. */
const BEEPS = 15;
const SETTLED = 5;
/** More, on however slow a machine, is no lip-sync (ITU-R BT.1359 finds 125 ms detectable). */
const LIMIT_MS = 250;

let sunroom: Sunroom;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  sunroom = await Sunroom.withCamera(join(ROOT, 'web/test-results/page'));
  browser = await launch();
  page = await browser.newPage();
  await page.goto(sunroom.origin);
});

afterAll(async () => {
  await browser?.close();
  await sunroom?.stop();
});

async function open(name: string, grant: string): Promise<string> {
  const [camera] = await sunroom.cameras();
  if (!camera) throw new Error('no camera');
  await page.evaluate(([n, g]) => window.measure.session(n, g, 1), [name, grant] as const);
  onTestFinished(() => page.evaluate((n) => window.measure.close(n), name));
  await page.evaluate(([n, c]) => window.measure.show(n, 0, c, 0, 'l'), [name, camera.id] as const);
  await page.evaluate(([n, c]) => window.measure.sound(n, c), [name, camera.id] as const);
  return camera.id;
}

it('is heard with its picture', async () => {
  await open('listener', await sunroom.soundGrant());
  await until('beeps', (BEEPS + SETTLED + 20) * 1_000, async () => {
    const { beeps } = await page.evaluate(() => window.measure.heard('listener'));
    return beeps >= BEEPS + SETTLED ? true : undefined;
  });
  const offsets = (await page.evaluate(() => window.measure.offsets('listener'))).slice(SETTLED);
  say(`sound after picture: ${offsets.map(Math.round).join(' ')} ms`);
  expect(offsets.length, 'beeps with a picture').toBeGreaterThanOrEqual(BEEPS * 0.8);
  const apart = Math.abs(percentile(offsets, 0.5));
  figure('av_offset_ms', apart);
  expect(apart).toBeLessThan(LIMIT_MS);
});

it('is not heard without a grant for it', async () => {
  await open('deaf', await sunroom.grant());
  await until('the refusal', 5_000, async () => {
    const { state } = await page.evaluate(() => window.measure.heard('deaf'));
    return state === 'withdrawn' ? true : undefined;
  });
  expect((await page.evaluate(() => window.measure.heard('deaf'))).beeps).toBe(0);
});
