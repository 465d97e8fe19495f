// Servers of a test: started with what they print, known to be ready by a line of it, ended with the test.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root. */
export const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** One of our services, as cargo built it; the directory SUNROOM_BIN stands in for cargo's. */
export function service(name: string): string {
  return join(process.env['SUNROOM_BIN'] ?? join(ROOT, 'target/release'), name);
}

/** Lines of a server's output that a failure shows. */
const REMEMBERED = 60;

/** A running server. */
export class Server {
  readonly #log: string[] = [];
  readonly #listeners: ((line: string) => void)[] = [];

  private constructor(private readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface(stream).on('line', (line) => this.#remember(line));
    }
  }

  /** Starts `command` and waits for a line of its output that matches `ready`; answers the match too. */
  static async start(
    command: string,
    args: readonly string[],
    ready: RegExp,
    withinMs = 20_000,
    env: Readonly<Record<string, string>> = {},
  ): Promise<[Server, RegExpExecArray]> {
    const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    const server = new Server(child);
    const said = new Promise<RegExpExecArray>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on('line', (line) => {
          const match = ready.exec(line);
          if (match) resolve(match);
        });
      }
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${command} ended (${code}) before it was ready\n${server.log}`)));
      setTimeout(() => reject(new Error(`${command} is not ready in ${withinMs} ms\n${server.log}`)), withinMs).unref();
    });
    try {
      return [server, await said];
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** The last lines it printed. */
  get log(): string {
    return this.#log.join('\n');
  }

  /** Hears each line that it prints from now on. */
  follow(listener: (line: string) => void): void {
    this.#listeners.push(listener);
  }

  /** Ends it: asks, and insists after 5 s. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Ends it without asking. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Its exit code; null while it runs, and where a signal ended it. */
  get exitCode(): number | null {
    return this.child.exitCode;
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.child.pid === undefined || this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = once(this.child, 'exit');
    this.child.kill(signal);
    const insist = setTimeout(() => this.child.kill('SIGKILL'), 5_000);
    await gone;
    clearTimeout(insist);
  }

  #remember(line: string): void {
    this.#log.push(line);
    if (this.#log.length > REMEMBERED) this.#log.shift();
    for (const listener of this.#listeners) listener(line);
  }
}

/** Waits until `probe` answers something; fails with what was awaited. */
export async function until<T>(what: string, withinMs: number, probe: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`waited ${withinMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
