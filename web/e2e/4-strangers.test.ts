// Other people's software: what speaks WHIP, WHEP or RTSP by the standards is served, whoever made it.
import { afterAll, beforeAll, expect, it, onTestFailed, onTestFinished } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Agent } from './harness/agent';
import * as aiortc from './harness/aiortc';
import { launch } from './harness/browser';
import { Camera, vlc } from './harness/camera';
import { say } from './harness/figures';
import { ROOT, until } from './harness/process';
import { publish } from './harness/simulcast';
import { Sunroom } from './harness/sunroom';

/** How long pictures are looked at, in seconds. */
const WATCHED_S = 3;
/** The clock in the picture turns over after this many milliseconds. */
const LOOP_MS = 60_000;

let camera: Camera;
let sunroom: Sunroom;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  camera = await Camera.start();
  sunroom = await Sunroom.pulling(join(ROOT, 'web/test-results/page'), camera);
  browser = await launch();
  page = await browser.newPage();
  await page.goto(sunroom.origin);
  // Until the main stream's first keyframe has come, up to 4 s after the camera's start, viewers are shown the sub stream.
  await until('the camera in its large size', 30_000, async () => {
    const [listed] = await sunroom.cameras();
    const { sizes } = await aiortc.watch(`${sunroom.origin}/whep/${listed?.id}`, await sunroom.grant(), 1);
    return sizes.length === 1 && sizes[0] === '1280x720' ? true : undefined;
  });
});

afterAll(async () => {
  await browser?.close();
  await sunroom?.stop();
  await camera?.stop();
});

/** Readings of a clock go forward, and by as much as time does, to a picture or two. */
function expectMoving(clocks: readonly number[], seconds: number): void {
  const steps = clocks.slice(1).map((ms, i) => (ms - (clocks[i] ?? 0) + LOOP_MS) % LOOP_MS);
  expect(steps.filter((step) => step > LOOP_MS / 2), 'steps back').toEqual([]);
  expect(steps.reduce((sum, step) => sum + step, 0), 'milliseconds that the clock went on').toBeGreaterThan(seconds * 800);
}

for (const [srtp, agreed] of [[undefined, 'SRTP_AEAD_AES_128_GCM'], ['SRTP_AES128_CM_SHA1_80', 'SRTP_AES128_CM_SHA1_80']] as const) {
  it(`is watched by aiortc with ${agreed}`, async () => {
    const [listed] = await sunroom.cameras();
    const url = `${sunroom.origin}/whep/${listed?.id}`;
    const watched = await aiortc.watch(url, await sunroom.grant(), WATCHED_S, srtp);
    expect(watched).toMatchObject({ profile: agreed, sizes: ['1280x720'], cameras: [0] });
    expect(watched.clocks.length, 'pictures with a readable clock').toBe(watched.frames);
    expectMoving(watched.clocks, WATCHED_S);
  });
}

it('carries what aiortc publishes, to aiortc and to Chromium', async () => {
  const id = randomUUID();
  const publisher = await aiortc.publish(`${sunroom.origin}/whip/${id}`, await sunroom.publishGrant(id), 7);
  onTestFinished(() => publisher.stop());
  const watched = await aiortc.watch(`${sunroom.origin}/whep/${id}`, await sunroom.grant(id), WATCHED_S);
  expect(watched).toMatchObject({ sizes: ['640x360'], cameras: [7] });
  expectMoving(watched.clocks, WATCHED_S);
  await expectWatched(id, 'h', 640);
});

it('carries both layers of what Chromium publishes', async () => {
  const id = randomUUID();
  const publisher = await browser.newPage();
  onTestFinished(() => publisher.close());
  await publisher.goto(sunroom.origin);
  await publish(publisher, `${sunroom.origin}/whip/${id}`, await sunroom.publishGrant(id), 8);
  await expectWatched(id, 'l', 640);
  await expectWatched(id, 'h', 1280);
});

it('pulls a camera that VLC plays', async () => {
  const [server, main] = await vlc();
  onTestFinished(() => server.stop());
  const id = randomUUID();
  const agent = await Agent.start(sunroom.origin, await sunroom.publishGrant(id), { id, main, transport: 'udp' });
  onTestFinished(() => agent.stop());
  onTestFailed(() => say(agent.log));
  await sunroom.cameras(id);
  await expectWatched(id, 'h', 640);
});

/** Chromium shows that camera at that width, its clock readable and going forward. */
async function expectWatched(id: string, rid: 'h' | 'l', width: number): Promise<void> {
  const name = `${id} ${rid}`;
  const grant = await sunroom.grant(id);
  await page.evaluate(([n, g, c, r]) => window.measure.watch(n, g, c, r), [name, grant, id, rid] as const);
  onTestFinished(() => page.evaluate((n) => window.measure.close(n), name));
  // A publisher that adapts to its path begins small.
  await until(`${rid} of ${width} pixels`, 20_000, async () => {
    const frames = await page.evaluate((n) => window.measure.frames(n, 1_000), name);
    return frames.length > 10 && frames.every((frame) => frame.width === width) ? true : undefined;
  });
  await page.waitForTimeout(WATCHED_S * 1_000);
  const frames = await page.evaluate(([n, ms]) => window.measure.frames(n, ms), [name, WATCHED_S * 1_000] as const);
  expect(new Set(frames.map((frame) => frame.width)), 'widths').toEqual(new Set([width]));
  expectMoving(frames.flatMap((frame) => frame.timecode ?? []), WATCHED_S);
}
