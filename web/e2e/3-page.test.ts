// The viewing page as people meet it, with the demo's synthetic cameras.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { launch } from './harness/browser';
import { ROOT } from './harness/process';
import { Sunroom } from './harness/sunroom';
import { decode, type Timecode } from './timecode';

const RESULTS = join(ROOT, 'web/test-results');

let sunroom: Sunroom;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  sunroom = await Sunroom.demo(join(ROOT, 'web/dist'));
  browser = await launch();
  page = await browser.newPage({ viewport: { width: 1360, height: 820 } });
  await sunroom.cameras();
  await mkdir(RESULTS, { recursive: true });
});

afterAll(async () => {
  await browser?.close();
  await sunroom?.stop();
});

/** The picture, small, as numbers. */
function pixels(): Promise<number[]> {
  return page.evaluate(() => {
    const video = document.querySelector('video');
    const context = new OffscreenCanvas(64, 36).getContext('2d');
    if (!video || !context) return [];
    context.drawImage(video, 0, 0, 64, 36);
    return [...context.getImageData(0, 0, 64, 36).data];
  });
}

/** The clock in the picture, where it can be read. */
async function clock(): Promise<Timecode | undefined> {
  const row = await page.evaluate(() => {
    const video = document.querySelector('video');
    const context = new OffscreenCanvas(160, 1).getContext('2d');
    if (!video || !context) return [];
    const cell = video.videoWidth / 40;
    context.drawImage(video, 0, cell / 4, video.videoWidth, cell / 2, 0, 0, 160, 1);
    return [...context.getImageData(0, 0, 160, 1).data];
  });
  return decode(Uint8ClampedArray.from(row));
}

async function moves(): Promise<void> {
  const before = await pixels();
  await expect.poll(async () => (await pixels()).some((v, i) => Math.abs(v - (before[i] ?? 0)) > 24), { timeout: 5_000 }).toBe(true);
}

async function plays(): Promise<void> {
  await page.locator('.frame[data-mood=live]').waitFor({ timeout: 15_000 });
  await moves();
  expect(await clock(), 'the clock in the picture').toBeDefined();
}

/** Waits for all figures; the delay is the one from the camera, not from the server. */
async function measures(): Promise<void> {
  const delay = page.locator('.figures div').filter({ has: page.getByText('Delay', { exact: true }) });
  await delay.locator('[data-figure=delay]', { hasText: /^\d+ ms$/ }).waitFor({ timeout: 10_000 });
  await page.locator('[data-figure=resolution]', { hasText: /^\d+ × \d+$/ }).waitFor({ timeout: 10_000 });
  await page.locator('[data-figure=rate]', { hasText: 'Mbit/s' }).waitFor({ timeout: 10_000 });
}

it('shows a moving picture, its delay and its size', async () => {
  await page.goto(sunroom.origin);
  expect(await page.title()).toBe('Sunroom');
  await plays();
  await measures();
  await page.screenshot({ path: join(RESULTS, 'page.png') });
});

it('shows the other camera when it is picked', async () => {
  const other = page.locator('.camera:not([aria-current])').first();
  const name = await other.locator('.name').textContent();
  await other.click();
  await page.locator('.foot .name', { hasText: name ?? '' }).waitFor();
  await plays();
  expect(await page.locator('.camera[aria-current] .name').textContent()).toBe(name);
  await page.locator('[role=status]', { hasText: `${name}: Live` }).waitFor({ state: 'attached' });
});

it('shows the small picture when asked', async () => {
  await page.getByLabel('Small', { exact: true }).check();
  await page.locator('[data-figure=resolution]', { hasText: '640 × 360' }).waitFor({ timeout: 10_000 });
  await moves();
});

it('suits a phone and the dark', async () => {
  // Without motion, so that no screenshot is taken in the middle of a transition.
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  await measures();
  await page.screenshot({ path: join(RESULTS, 'page-dark.png') });
  await page.setViewportSize({ width: 390, height: 844 });
  await plays();
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(overflow, 'pixels that stick out sideways').toBeLessThanOrEqual(0);
  await page.screenshot({ path: join(RESULTS, 'page-phone.png') });
});

it('asks for nothing while it is hidden, and shows the picture again when it is not', async () => {
  const shown = (await page.locator('.camera[aria-current] .name').textContent()) ?? '';
  const camera = (await sunroom.cameras()).find(({ name }) => name === shown)?.id ?? '';
  const turn = (state: string): Promise<void> =>
    page.evaluate((visibilityState) => {
      Object.defineProperty(document, 'visibilityState', { configurable: true, value: visibilityState });
      document.dispatchEvent(new Event('visibilitychange'));
    }, state);
  await turn('hidden');
  for (const rid of ['h', 'l'] as const) await sunroom.sending(camera, rid, false);
  await turn('visible');
  await plays();
});

it('says what to do when watching is refused', async () => {
  const stranger = await browser.newPage();
  const problem = { status: 403, title: 'Forbidden', code: 'not_local', detail: 'Demo grants are for this machine.' };
  await stranger.route('**/v1/demo/grant', (route) =>
    route.fulfill({ status: 403, contentType: 'application/problem+json', body: JSON.stringify(problem) }),
  );
  await stranger.goto(sunroom.origin);
  await stranger.getByRole('alert').getByText('Watching is not open from here').waitFor();
  await stranger.getByText(problem.detail).waitFor();
  await stranger.close();
});
