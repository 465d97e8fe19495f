// A whole Sunroom for a test: an RTSP camera with a clock in its picture, and `standalone` on top.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, Server, until } from './process';

/** A camera as `GET /v1/cameras` lists it. */
export interface Listed {
  readonly id: string;
  readonly name: string;
  readonly live: boolean;
}

const STANDALONE = join(ROOT, 'target/release/standalone');
const CREDENTIALS = 'admin:s3cret';
/** Seconds that a node keeps an encoding wanted after its last viewer; short, so that tests see it cold again. */
const LINGER_S = '1';

/** Services under test. */
export class Sunroom {
  private constructor(
    readonly origin: string,
    private readonly data: string,
    private readonly servers: readonly Server[],
  ) {}

  /** One RTSP camera that asks for a password (digest), main and sub stream, served with the pages in `web`. */
  static async withCamera(web: string): Promise<Sunroom> {
    const args = ['tools/camera/rtspcam.py', '--port', '0', '--auth', CREDENTIALS];
    const [camera, [, port]] = await Server.start('/usr/bin/python3', args, /rtsp:\/\/127\.0\.0\.1:(\d+)\//);
    const stream = (name: string): string => `rtsp://${CREDENTIALS}@127.0.0.1:${port}/${name}`;
    return Sunroom.#start(web, [camera], ['--camera', stream('main'), '--camera-sub', stream('sub')]);
  }

  /** The demo with its synthetic cameras. */
  static demo(web: string): Promise<Sunroom> {
    return Sunroom.#start(web, [], []);
  }

  static async #start(web: string, cameras: readonly Server[], args: readonly string[]): Promise<Sunroom> {
    const data = await mkdtemp(join(tmpdir(), 'sunroom-e2e-'));
    const fixed = ['demo', '--listen', '127.0.0.1:0', '--data', data, '--linger', LINGER_S, '--web', web];
    try {
      const [server, [, origin]] = await Server.start(STANDALONE, [...fixed, ...args], /at (http:\/\/127\.0\.0\.1:\d+)\//);
      return new Sunroom(origin ?? '', data, [server, ...cameras]);
    } catch (error) {
      await Promise.all(cameras.map((camera) => camera.stop()));
      throw error;
    }
  }

  /** A fresh grant, which opens a session of its own. */
  async grant(): Promise<string> {
    const { stdout } = await promisify(execFile)(STANDALONE, ['grant', '--data', this.data]);
    return stdout.trim();
  }

  /** The cameras, once all of them are live. */
  async cameras(): Promise<readonly Listed[]> {
    const headers = { authorization: `Bearer ${await this.grant()}` };
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

  /** What the servers printed last. */
  get log(): string {
    return this.servers.map((server) => server.log).join('\n---\n');
  }

  /** Ends all of it. */
  async stop(): Promise<void> {
    for (const server of this.servers) await server.stop();
    await rm(this.data, { recursive: true, force: true });
  }
}
