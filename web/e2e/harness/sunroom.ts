// A whole Sunroom for a test: an RTSP camera with a clock in its picture, and `standalone` on top.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Camera, four } from './camera';
import { Server, service, until } from './process';

/** A camera as `GET /v1/cameras` lists it. */
export interface Listed {
  readonly id: string;
  readonly name: string;
  readonly live: boolean;
}

const STANDALONE = service('standalone');
/** Seconds that a node keeps an encoding wanted after its last viewer; short, so that tests see it cold again. */
const LINGER_S = '1';

/** What ends with the services: a server of a camera. */
interface Ends {
  readonly log: string;
  stop(): Promise<void>;
}

/** Services under test. */
export class Sunroom {
  private constructor(
    readonly origin: string,
    readonly data: string,
    private readonly servers: readonly [Server, ...Ends[]],
  ) {}

  /** One RTSP camera that asks for a password (digest), main and sub stream, served with the pages in `web`. */
  static async withCamera(
    web: string,
    env: Readonly<Record<string, string>> = {},
    args: readonly string[] = [],
  ): Promise<Sunroom> {
    const camera = await Camera.start();
    return Sunroom.#start(web, [camera], [...pulled(camera), ...args], env);
  }

  /** That camera, which is the caller's to end; by way of `port` where something stands between. */
  static pulling(web: string, camera: Camera, port = camera.port): Promise<Sunroom> {
    return Sunroom.#start(web, [], pulled(camera, port));
  }

  /** Four small cameras, of one stream each, whose clocks have the numbers 1 to 4; listed in that order. */
  static async withFour(web: string): Promise<Sunroom> {
    const [urls, servers] = await four();
    return Sunroom.#start(web, servers, urls.flatMap((url) => ['--camera', url]));
  }

  /** That camera and the four small ones, listed in that order. */
  static async withFive(web: string, env: Readonly<Record<string, string>>): Promise<Sunroom> {
    const camera = await Camera.start();
    const [urls, servers] = await four();
    return Sunroom.#start(web, [camera, ...servers], [...pulled(camera), ...urls.flatMap((url) => ['--camera', url])], env);
  }

  /** The demo with its synthetic cameras. */
  static demo(web: string): Promise<Sunroom> {
    return Sunroom.#start(web, [], []);
  }

  static async #start(
    web: string,
    cameras: readonly Ends[],
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Sunroom> {
    const data = await mkdtemp(join(tmpdir(), 'sunroom-e2e-'));
    const fixed = ['demo', '--listen', '127.0.0.1:0', '--data', data, '--linger', LINGER_S, '--web', web];
    try {
      const ready = /at (http:\/\/127\.0\.0\.1:\d+)\//;
      const [server, [, origin]] = await Server.start(STANDALONE, [...fixed, ...args], ready, undefined, env);
      return new Sunroom(origin ?? '', data, [server, ...cameras]);
    } catch (error) {
      await Promise.all(cameras.map((camera) => camera.stop()));
      throw error;
    }
  }

  /** A fresh grant, which opens a session of its own: for all cameras, or for some that need not be known yet. */
  grant(...cameras: readonly string[]): Promise<string> {
    return this.#signed(named(cameras));
  }

  /** A fresh grant for all cameras and their sound. */
  soundGrant(): Promise<string> {
    return this.#signed(['--audio']);
  }

  /** A grant to publish cameras, for a publisher of its own. */
  publishGrant(...cameras: readonly string[]): Promise<string> {
    return this.#signed(['--publish', ...named(cameras)]);
  }

  async #signed(args: readonly string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(STANDALONE, ['grant', '--data', this.data, ...args]);
    return stdout.trim();
  }

  /** The cameras of the demo, or those, once all of them are live. */
  async cameras(...wanted: readonly string[]): Promise<readonly Listed[]> {
    const headers = { authorization: `Bearer ${await this.grant(...wanted)}` };
    return until('live cameras', 20_000, async () => {
      const response = await fetch(`${this.origin}/v1/cameras`, { headers });
      const { cameras } = (await response.json()) as { cameras: Listed[] };
      return cameras.length > 0 && cameras.every((camera) => camera.live) ? cameras : undefined;
    });
  }

  /** A sample of /metrics with these labels; undefined where there is none. */
  async metric(name: string, labels: Readonly<Record<string, string>>): Promise<number | undefined> {
    const text = await (await fetch(`${this.origin}/metrics`)).text();
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const line = text.split('\n').find((l) => l.startsWith(`${name}{`) && wanted.every((w) => l.includes(w)));
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf('}') + 1));
  }

  /** Waits until the edge sends an encoding, or no longer does. */
  async sending(camera: string, rid: 'h' | 'l', wanted: boolean): Promise<void> {
    await until(`${rid} ${wanted ? 'sent' : 'not sent'} by the edge`, 15_000, async () => {
      const sending = (await this.metric('sunroom_edge_sending', { camera, rid })) ?? 0;
      return sending === Number(wanted) ? true : undefined;
    });
  }

  /** Hears each line that the services print from now on. */
  follow(listener: (line: string) => void): void {
    this.servers[0].follow(listener);
  }

  /** What the servers printed last. */
  get log(): string {
    return this.servers.map((server) => server.log).join('\n---\n');
  }

  /** Tells the services to end; answers their exit code once they have. */
  async terminate(): Promise<number | null> {
    await this.servers[0].stop();
    return this.servers[0].exitCode;
  }

  /** Ends all of it. */
  async stop(): Promise<void> {
    for (const server of this.servers) await server.stop();
    await rm(this.data, { recursive: true, force: true });
  }
}

function named(cameras: readonly string[]): string[] {
  return cameras.flatMap((camera) => ['--camera', camera]);
}

function pulled(camera: Camera, port = camera.port): string[] {
  return ['--camera', camera.url('main', port), '--camera-sub', camera.url('sub', port)];
}
