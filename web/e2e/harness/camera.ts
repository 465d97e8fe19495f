// RTSP cameras with a clock in their picture, on this machine: GStreamer's server, and VLC's.
import { connect, createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT, Server, until } from './process';

const CREDENTIALS = 'admin:s3cret';
/** Where GStreamer's bindings are. */
export const PYTHON = '/usr/bin/python3';

/** From keyframe to keyframe; GOP_SECONDS chooses the films, of which there are those of 4 and of 10 s. */
export const GOP_MS = 1_000 * Number(process.env['GOP_SECONDS'] ?? 4);
const FILMS = GOP_MS > 4_000 ? 'media/long-' : 'media/';

/** A camera that can be cut off, and comes back where it was. */
export class Camera {
  private constructor(
    private server: Server,
    readonly port: number,
    private readonly python: string,
  ) {}

  /** On a free port: main and sub stream, a password asked for (digest); where it is not to run here, by another Python. */
  static async start(port = 0, python = PYTHON): Promise<Camera> {
    const [server, bound] = await serve(port, python);
    return new Camera(server, bound, python);
  }

  /** The address of `main` or `sub`, by way of another port where one is given. */
  url(stream: 'main' | 'sub', port = this.port): string {
    return `rtsp://${CREDENTIALS}@127.0.0.1:${port}/${stream}`;
  }

  /** Ends it without a word to its clients. */
  kill(): Promise<void> {
    return this.server.kill();
  }

  /** Comes back on the same port, once it has ended. */
  async restart(): Promise<void> {
    [this.server] = await serve(this.port, this.python);
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  get log(): string {
    return this.server.log;
  }
}

async function serve(port: number, python: string): Promise<[Server, number]> {
  const films = ['--main', `${FILMS}main.h264`, '--sub', `${FILMS}sub.h264`];
  const args = ['tools/camera/rtspcam.py', '--port', String(port), '--auth', CREDENTIALS, ...films];
  const [server, [, bound]] = await Server.start(python, args, /rtsp:\/\/127\.0\.0\.1:(\d+)\//);
  return [server, Number(bound)];
}

/**
 * Four small cameras, of one stream each, whose clocks have the numbers 1 to 4: two servers with two streams each. Ends
 * them by what it answers last.
 */
export async function four(): Promise<[readonly string[], readonly Server[]]> {
  const servers: Server[] = [];
  const urls: string[] = [];
  for (const [first, second] of [[1, 2], [3, 4]]) {
    const films = ['--main', `${FILMS}camera-${first}.h264`, '--sub', `${FILMS}camera-${second}.h264`];
    const args = ['tools/camera/rtspcam.py', '--port', '0', '--audio', 'none', ...films];
    const [server, [, port]] = await Server.start('/usr/bin/python3', args, /rtsp:\/\/127\.0\.0\.1:(\d+)\//);
    servers.push(server);
    urls.push(`rtsp://127.0.0.1:${port}/main`, `rtsp://127.0.0.1:${port}/sub`);
  }
  return [urls, servers];
}

/** VLC with the film of the sub stream, over UDP only. Answers its address too. */
export async function vlc(): Promise<[Server, string]> {
  const port = await freePort();
  const args = [String(port), join(ROOT, 'media/sub.h264'), 'sub'];
  const [server] = await Server.start(join(ROOT, 'tools/camera/vlccam.sh'), args, /rtsp:/);
  await until('VLC to serve', 10_000, () => answers(port));
  return [server, `rtsp://127.0.0.1:${port}/sub`];
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function answers(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(undefined));
  });
}
