// A network namespace with a browser in it, on a cable that a test can cut and plug in elsewhere. Needs root.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CHROMIUM } from './browser';

const ip = (...args: string[]): Promise<unknown> => promisify(execFile)('ip', args);

/** Namespaces made by this process; with its id they tell names and networks apart. */
let made = 0;

/** A namespace, joined to this one by a veth pair of 198.18.0.0/15 (RFC 2544). */
export class Namespace {
  readonly #sockets = new Set<Socket>();
  #gate: Server | undefined;
  #directory: string | undefined;
  #host = 2;

  private constructor(
    private readonly name: string,
    /** This side's end of the cable. */
    private readonly end: string,
    private readonly network: string,
  ) {}

  /** Makes it. Services that are to be reached from it start afterwards: they advertise the addresses they find. */
  static async make(): Promise<Namespace> {
    if (process.getuid?.() !== 0) throw new Error('network namespaces are for root: run the end-to-end tests as root');
    const id = `${process.pid}x${made++}`;
    const network = `198.18.${(process.pid + made) % 256}`;
    const space = new Namespace(`sunroom${id}`, `sr${id}`, network);
    try {
      await ip('netns', 'add', space.name);
      await ip('link', 'add', space.end, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space.name);
      await ip('addr', 'add', `${network}.1/24`, 'dev', space.end);
      await ip('link', 'set', space.end, 'up');
      await space.#inside('link', 'set', 'lo', 'up');
      await space.#inside('link', 'set', 'eth0', 'up');
      await space.#address();
    } catch (error) {
      await space.remove();
      throw error;
    }
    return space;
  }

  /** A program that is Chromium in the namespace; pages of `origin` may be given what only secure ones are. */
  async chromium(origin: string): Promise<string> {
    this.#directory = await mkdtemp(join(tmpdir(), 'sunroom-netns-'));
    const path = join(this.#directory, 'chromium');
    const program = `ip netns exec ${this.name} ${CHROMIUM} --unsafely-treat-insecure-origin-as-secure=${origin}`;
    await writeFile(path, `#!/bin/sh\nexec ${program} "$@"\n`);
    await chmod(path, 0o755);
    return path;
  }

  /** Where the services at `origin`, which listen on loopback, are reached from inside. */
  async reach(origin: string): Promise<string> {
    const gate = createServer((socket) => this.#pass(socket, connect(Number(new URL(origin).port), '127.0.0.1')));
    this.#gate = gate;
    gate.listen(0, `${this.network}.1`);
    await once(gate, 'listening');
    return `http://${this.network}.1:${(gate.address() as AddressInfo).port}`;
  }

  /** This side's address. */
  get outside(): string {
    return `${this.network}.1`;
  }

  /** Drops what comes in by the cable and meets one of these expressions (nft(8)), from now on. */
  async drop(...what: readonly string[]): Promise<void> {
    const rules = what.map((expression) => `iifname eth0 ${expression} drop;`).join(' ');
    const table = `table inet firewall { chain input { type filter hook input priority filter; ${rules} }; }`;
    await ip('netns', 'exec', this.name, 'nft', table);
  }

  /** Pulls the cable. */
  async cut(): Promise<void> {
    await ip('link', 'set', this.end, 'down');
  }

  /** Plugs it in again. */
  async mend(): Promise<void> {
    await ip('link', 'set', this.end, 'up');
  }

  /** Takes the address away and gives another one, as from one network to the next. */
  async move(): Promise<void> {
    await this.#inside('addr', 'flush', 'dev', 'eth0', 'scope', 'global');
    this.#host += 1;
    await this.#address();
  }

  /** Takes it away, with all in it that belongs to this side. */
  async remove(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#gate?.close();
    if (this.#directory !== undefined) await rm(this.#directory, { recursive: true, force: true });
    // The pair goes with the namespace, unless a process still holds that.
    await ip('link', 'del', this.end).catch(() => undefined);
    await ip('netns', 'del', this.name).catch(() => undefined);
  }

  async #address(): Promise<void> {
    await this.#inside('addr', 'add', `${this.network}.${this.#host}/24`, 'dev', 'eth0');
    // A browser asks by which address it would leave for the internet, and offers that.
    await this.#inside('route', 'replace', 'default', 'via', `${this.network}.1`);
  }

  #inside(...args: string[]): Promise<unknown> {
    return ip('-n', this.name, ...args);
  }

  #pass(one: Socket, other: Socket): void {
    for (const [from, to] of [[one, other], [other, one]] as const) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
