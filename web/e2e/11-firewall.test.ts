// Networks that let no UDP through: the picture comes over the node's TCP port, and where that is closed too, over TURN.
import { expect, it, onTestFailed, onTestFinished } from 'vitest';
import type { Page } from 'playwright-core';
import { join } from 'node:path';
import { launch } from './harness/browser';
import { figure, say } from './harness/figures';
import { Namespace } from './harness/namespace';
import { ROOT } from './harness/process';
import { Sunroom } from './harness/sunroom';
import { TurnServer } from './harness/turn';

const WEB = join(ROOT, 'web/test-results/page');
/** The first picture comes within this, in milliseconds from connect(). */
const LIMIT_MS = 3_000;
/** How long it is watched then, in milliseconds; and how old a frame may be that is live. */
const [WATCHED_MS, STALE_MS] = [5_000, 500];

/** The way that media takes: the local candidate of the selected pair. */
interface Way {
  readonly candidateType?: string;
  readonly protocol?: string;
  readonly relayProtocol?: string;
}

declare global {
  interface Window {
    peers: RTCPeerConnection[];
  }
}

async function made(): Promise<Namespace> {
  const space = await Namespace.make();
  onTestFinished(() => space.remove());
  return space;
}

async function started(args: readonly string[] = []): Promise<Sunroom> {
  const sunroom = await Sunroom.withCamera(WEB, {}, args);
  onTestFinished(() => sunroom.stop());
  onTestFailed(() => say(sunroom.log));
  return sunroom;
}

/** A page behind the firewall, which remembers its peer connections. */
async function opened(space: Namespace, sunroom: Sunroom): Promise<[Page, string]> {
  const origin = await space.reach(sunroom.origin);
  const browser = await launch(await space.chromium(origin));
  onTestFinished(() => browser.close());
  const page = await browser.newPage();
  await page.addInitScript(() => {
    window.peers = [];
    window.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        window.peers.push(this);
      }
    };
  });
  await page.goto(origin);
  return [page, origin];
}

/** Watches the camera; answers the milliseconds to its first picture, once that has moved on, and the way it came. */
async function watched(page: Page, sunroom: Sunroom): Promise<[number, Way]> {
  const [camera] = await sunroom.cameras();
  const grant = await sunroom.grant();
  const first = await page.evaluate(([g, c]) => window.measure.watch('eye', g, c, 'h'), [grant, camera?.id ?? ''] as const);
  await page.waitForTimeout(WATCHED_MS);
  const frames = await page.evaluate((ms) => window.measure.frames('eye', ms), WATCHED_MS / 2);
  expect(frames.length, 'frames of 25 a second').toBeGreaterThan((WATCHED_MS / 2 / 40) * 0.8);
  for (const { ageMs } of frames) if (ageMs !== undefined) expect(ageMs, 'age of a frame').toBeLessThan(STALE_MS);
  const way = await page.evaluate(async () => {
    const stats = [...((await window.peers.at(-1)?.getStats()) ?? new Map()).values()] as Record<string, unknown>[];
    const transport = stats.find((entry) => entry['type'] === 'transport');
    const pair = stats.find((entry) => entry['id'] === transport?.['selectedCandidatePairId']);
    return (stats.find((entry) => entry['id'] === pair?.['localCandidateId']) ?? {}) as Way;
  });
  expect(await page.evaluate(() => window.peers.splice(0).length), 'peer connections').toBe(1);
  await page.evaluate(() => window.measure.close('eye'));
  return [first, way];
}

it('shows the picture over TCP where no UDP comes through', async () => {
  const space = await made();
  const sunroom = await started();
  const [page] = await opened(space, sunroom);
  expect((await watched(page, sunroom))[1], 'before the firewall').toMatchObject({ protocol: 'udp' });
  await space.drop('meta l4proto udp');
  const [first, way] = await watched(page, sunroom);
  figure('tcp_first_ms', first);
  // Peer-reflexive: the connection's port is not the one that was offered.
  expect(way).toMatchObject({ candidateType: 'prflx', protocol: 'tcp' });
  expect(first).toBeLessThan(LIMIT_MS);
});

it('shows the picture over a TURN server where only that and the web are reached', async () => {
  const space = await made();
  const turn = await TurnServer.start(space.outside);
  onTestFinished(() => turn.stop());
  onTestFailed(() => say(turn.log));
  const sunroom = await started(['--turn', turn.url, '--turn-secret', turn.secretFile]);
  const [page, origin] = await opened(space, sunroom);
  expect((await watched(page, sunroom))[1], 'before the firewall').toMatchObject({ protocol: 'udp' });
  await space.drop('meta l4proto udp', `tcp sport != { ${new URL(origin).port}, ${turn.port} }`);
  const [first, way] = await watched(page, sunroom);
  figure('turn_first_ms', first);
  expect(way).toMatchObject({ candidateType: 'relay', relayProtocol: 'tcp' });
  expect(first).toBeLessThan(LIMIT_MS);
});
