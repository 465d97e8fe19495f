// aiortc as a viewer and as a publisher: a WebRTC stack that shares no code with ours or with Chromium's.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, Server } from './process';

const PYTHON = join(ROOT, 'target/strangers-venv/bin/python');
const PEER = join(ROOT, 'tools/strangers/aiortc_peer.py');

/** What a viewer has decoded. */
export interface Watched {
  /** The SRTP protection profile. */
  readonly profile: string;
  /** Sizes of the pictures, as in 640x360. */
  readonly sizes: readonly string[];
  readonly frames: number;
  /** Numbers of the cameras whose clock was read. */
  readonly cameras: readonly number[];
  /** Each picture's clock in milliseconds, where it could be read. */
  readonly clocks: readonly number[];
}

/** Decodes a camera by WHEP for `seconds`; offers that protection profile alone where one is given. */
export async function watch(url: string, grant: string, seconds: number, srtp?: string): Promise<Watched> {
  const args = [PEER, 'watch', url, '--seconds', String(seconds), ...(srtp === undefined ? [] : ['--srtp', srtp])];
  const { stdout } = await promisify(execFile)(PYTHON, args, { env: { ...process.env, GRANT: grant }, timeout: 60_000 });
  return JSON.parse(stdout) as Watched;
}

/** Publishes a clock by WHIP, which calls itself camera `number`. */
export async function publish(url: string, grant: string, number: number): Promise<Server> {
  const args = [PEER, 'publish', url, '--camera', String(number)];
  const [server] = await Server.start(PYTHON, args, /^publishing by /, 20_000, { GRANT: grant });
  return server;
}
