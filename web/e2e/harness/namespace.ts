// A network namespace with a browser or services in it, on a cable that a test can cut, plug in elsewhere, and make slow.
// Needs root.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CHROMIUM } from './browser';
import { Server } from './process';

/** Passes connections to a port of loopback on to another host. */
const GATE = `
  const { connect, createServer } = require('node:net');
  const [host, port] = process.argv.slice(1);
  const gate = createServer((one) => {
    const other = connect(Number(port), host);
    for (const [from, to] of [[one, other], [other, one]]) from.on('error', () => to.destroy()).pipe(to);
  });
  gate.listen(0, '127.0.0.1', () => console.log('gate at ' + gate.address().port));`;

const ip = (...args: string[]): Promise<unknown> => promisify(execFile)('ip', args);

/** Namespaces made by this process; with its id they tell names and networks apart. */
let made = 0;

/** A namespace, joined to this one by a veth pair of 198.18.0.0/15 (RFC 2544). */
export class Namespace {
  readonly #sockets = new Set<Socket>();
  #gate: TcpServer | undefined;
  #inner: Server | undefined;
  #directory: string | undefined;
  #host = 2;
  #programs = 0;

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
  chromium(origin: string): Promise<string> {
    return this.program(`${CHROMIUM} --unsafely-treat-insecure-origin-as-secure=${origin}`);
  }

  /** A program that is another one in the namespace. */
  async program(command: string): Promise<string> {
    this.#directory ??= await mkdtemp(join(tmpdir(), 'sunroom-netns-'));
    const path = join(this.#directory, `program-${this.#programs++}`);
    await writeFile(path, `#!/bin/sh\nexec ip netns exec ${this.name} ${command} "$@"\n`);
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

  /** The same on the namespace's own loopback, where services are trusted without TLS. */
  async reachLocally(origin: string): Promise<string> {
    const { hostname, port } = new URL(await this.reach(origin));
    const args = ['netns', 'exec', this.name, process.execPath, '-e', GATE, hostname, port];
    const [server, [, bound]] = await Server.start('ip', args, /^gate at (\d+)$/);
    this.#inner = server;
    return `http://127.0.0.1:${bound}`;
  }

  /** Lets no more than so many Mbit/s leave it; 300 ms of them wait at most. */
  async limit(megabits: number): Promise<void> {
    const rate = ['tbf', 'rate', `${megabits}mbit`, 'burst', '16kb', 'latency', '300ms'];
    await promisify(execFile)('tc', ['-n', this.name, 'qdisc', 'replace', 'dev', 'eth0', 'root', ...rate]);
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
    await this.#inner?.stop();
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
