// What breaks on the way from the camera to the eye: the picture comes back by itself, without a reload.
import { expect, it, onTestFailed, onTestFinished } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Agent } from './harness/agent';
import { launch } from './harness/browser';
import { Camera } from './harness/camera';
import { figure, say } from './harness/figures';
import { Namespace } from './harness/namespace';
import { ROOT, until } from './harness/process';
import { Skew } from './harness/skew';
import { Sunroom } from './harness/sunroom';

const WEB = join(ROOT, 'web/test-results/page');
const GOP_MS = 4_000;
/** A picture this old, in milliseconds, is not live. */
const STALE_MS = 1_000;
/** No picture takes longer to come back once what broke is whole, in milliseconds. */
const BACK_MS = 15_000;
/** The end of a service is heard within this, in milliseconds: it is told, not found out. */
const TOLD_MS = 1_000;

/** A page that watches one camera in one viewer, and nothing else. */
class Eye {
  /** Sessions that the page has asked for. */
  asked = 0;

  private constructor(readonly page: Page) {
    page.on('request', (request) => {
      if (request.method() === 'POST' && /\/(whep|v1\/sessions)/.test(new URL(request.url()).pathname)) this.asked += 1;
    });
  }

  /** Opens the page in a browser and waits for that camera's live picture. */
  static async open(sunroom: Sunroom, camera: string): Promise<Eye> {
    const browser = await opened();
    return Eye.#watch(await browser.newPage(), sunroom, camera, sunroom.origin);
  }

  /**
   * The same in a namespace. A page that may use the camera or the microphone has its sockets bound to the machine's
   * addresses; without that they are bound to none, and do not mind when the address changes.
   */
  static async inside(space: Namespace, sunroom: Sunroom, camera: string, bound = false): Promise<Eye> {
    const origin = await space.reach(sunroom.origin);
    const browser = await opened(await space.chromium(origin));
    const page = await browser.newPage({ permissions: bound ? ['camera', 'microphone'] : [] });
    return Eye.#watch(page, sunroom, camera, origin);
  }

  static async #watch(page: Page, sunroom: Sunroom, camera: string, origin: string): Promise<Eye> {
    const eye = new Eye(page);
    await page.goto(origin);
    const grant = await sunroom.grant(camera);
    await page.evaluate(([g, c]) => window.measure.watch('eye', g, c, 'h'), [grant, camera] as const);
    await eye.live(BACK_MS);
    return eye;
  }

  /** Waits for frames, all of them young; answers for how long, in milliseconds. */
  async live(withinMs: number): Promise<number> {
    const began = performance.now();
    await until('a live picture', withinMs, async () => {
      const frames = await this.page.evaluate(() => window.measure.frames('eye', 400));
      const young = frames.filter((frame) => frame.ageMs !== undefined && frame.ageMs < STALE_MS);
      return young.length >= 5 && young.length === frames.length ? true : undefined;
    });
    return performance.now() - began;
  }

  /** Waits until no frame has come for a second. */
  async still(): Promise<void> {
    await until('a still picture', 10_000, async () => {
      const frames = await this.page.evaluate(() => window.measure.frames('eye', 1_000));
      return frames.length === 0 ? true : undefined;
    });
  }

  /** The viewer's state, as the SDK has it. */
  state(): Promise<string> {
    return this.page.evaluate(() => window.measure.status('eye').state);
  }
}

async function opened(program?: string): Promise<Browser> {
  const browser = await launch(program);
  onTestFinished(() => browser.close());
  return browser;
}

async function namespace(): Promise<Namespace> {
  const space = await Namespace.make();
  onTestFinished(() => space.remove());
  return space;
}

async function started(): Promise<Camera> {
  const camera = await Camera.start();
  onTestFinished(() => camera.stop());
  return camera;
}

/** Services that pull a camera, and its id; by way of `port` where something stands between. */
async function pulling(camera: Camera, port = camera.port): Promise<[Sunroom, string]> {
  const sunroom = await Sunroom.pulling(WEB, camera, port);
  onTestFinished(() => sunroom.stop());
  onTestFailed(() => say(sunroom.log));
  const [listed] = await sunroom.cameras();
  return [sunroom, listed?.id ?? ''];
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

it('shows a camera again that was away for 10 s', async () => {
  const camera = await started();
  const [sunroom, id] = await pulling(camera);
  const eye = await Eye.open(sunroom, id);
  await camera.kill();
  await eye.still();
  await pause(10_000);
  await camera.restart();
  const back = await eye.live(BACK_MS);
  figure('camera_back_ms', back);
  expect(back).toBeLessThan(3_000 + GOP_MS);
});

it('shows the camera of an agent again that was killed', async () => {
  const camera = await started();
  const [sunroom] = await pulling(camera);
  const id = randomUUID();
  const agent = await Agent.start(sunroom.origin, await sunroom.publishGrant(id), { id, main: camera.url('main') });
  onTestFinished(() => agent.stop());
  onTestFailed(() => say(agent.log));
  await sunroom.cameras(id);
  const eye = await Eye.open(sunroom, id);
  await agent.kill();
  await eye.still();
  await agent.restart();
  figure('agent_back_ms', await eye.live(BACK_MS));
});

for (const seconds of [3, 30]) {
  it(`goes on for a viewer whose network was away for ${seconds} s`, async () => {
    const space = await namespace();
    const [sunroom, id] = await pulling(await started());
    const eye = await Eye.inside(space, sunroom, id);
    await space.cut();
    await eye.still();
    await pause(seconds * 1_000);
    await space.mend();
    figure(`network_back_${seconds}s_ms`, await eye.live(BACK_MS));
  });
}

for (const bound of [false, true]) {
  it(`goes on in the same session for a viewer whose address changes, its sockets ${bound ? '' : 'not '}bound to it`, async () => {
    const space = await namespace();
    const [sunroom, id] = await pulling(await started());
    const eye = await Eye.inside(space, sunroom, id, bound);
    const { asked } = eye;
    await space.move();
    if (bound) await eye.still();
    // Where nothing stands still, a picture this long after the change has come to the new address.
    else await pause(2 * STALE_MS);
    const back = await eye.live(BACK_MS);
    if (bound) figure('moved_back_ms', back);
    expect(eye.asked, 'sessions asked for').toBe(asked);
  });
}

for (const [what, happen] of [
  ['jump by an hour', (skew: Skew) => skew.jump(3_600)],
  ['fall to zero', (skew: Skew) => skew.restart()],
] as const) {
  it(`shows a camera on whose timestamps ${what}`, async () => {
    const camera = await started();
    const skew = await Skew.before(camera.port);
    onTestFinished(() => skew.stop());
    const [sunroom, id] = await pulling(camera, skew.port);
    const eye = await Eye.open(sunroom, id);
    happen(skew);
    // What it does to the picture, it has done by the end of a GOP.
    await pause(GOP_MS);
    await eye.live(BACK_MS);
  });
}

it('tells its viewers when the services end, and ends within 5 s', async () => {
  const [sunroom, id] = await pulling(await started());
  const eye = await Eye.open(sunroom, id);
  const began = performance.now();
  const ended = sunroom.terminate();
  await until('the viewer to be told', TOLD_MS, async () => ((await eye.state()) === 'playing' ? undefined : true));
  expect(await ended, 'exit code').toBe(0);
  expect(performance.now() - began).toBeLessThan(5_000);
});
