// The load-test harness's impairment lab between a page and the media nodes: the page is told that they are where a relay is.
import type { Page } from 'playwright-core';
import { join } from 'node:path';
import { ROOT, Server, service } from './process';

/** An IPv4 candidate of a node: as far as its address, that, its port, and the rest. */
const CANDIDATE = /(a=candidate:\S+ 1 udp \d+ )(\d+\.\d+\.\d+\.\d+) (\d+)( typ host)/g;

/** Any other, which would lead past the relays: of IPv6, or of TCP. */
const OTHER = /a=candidate:\S+ 1 (?:udp \d+ \S*:\S*|tcp \d+ \S+) \d+ typ host.*\r\n/g;

/** Relays of one network, in front of one page. */
export class Lab {
  /** By the address that they stand for. */
  readonly #relays = new Map<string, Promise<readonly [Server, string]>>();

  private constructor(private readonly network: string) {}

  /** Puts a network of `loadtest/networks` before a page; connections made from now on lead through it. */
  static async before(page: Page, name: string): Promise<Lab> {
    const lab = new Lab(join(ROOT, 'loadtest/networks', `${name}.yaml`));
    await page.route('**/v1/sessions', async (route) => {
      const response = await route.fetch();
      const made = (await response.json()) as { answer?: string };
      const json = made.answer === undefined ? made : { ...made, answer: await lab.#lead(made.answer) };
      await route.fulfill({ response, json });
    });
    // An ICE restart is answered with candidates too (RFC 8840).
    await page.route('**/v1/sessions/*', async (route) => {
      const response = await route.fetch();
      const body = await response.text();
      await route.fulfill({ response, body: await lab.#lead(body) });
    });
    return lab;
  }

  /** Ends the relays, if they still run; answers what each says of its datagrams. */
  async stop(): Promise<string> {
    const relays = await Promise.all(this.#relays.values());
    for (const [server] of relays) await server.stop();
    return relays.map(([server]) => server.log).join('\n');
  }

  /** An answer whose candidates are the relays. */
  async #lead(answer: string): Promise<string> {
    const found = [...answer.matchAll(CANDIDATE)].map(([, , ip = '', port = '']) => ({ ip, port }));
    const ports = new Map<string, string>();
    for (const { ip, port } of found) {
      const address = `${ip}:${port}`;
      const relay = this.#relays.get(address) ?? this.#start(ip, address);
      this.#relays.set(address, relay);
      ports.set(address, (await relay)[1]);
    }
    return answer.replace(OTHER, '').replace(CANDIDATE, (_, before: string, ip: string, port: string, after: string) =>
      `${before}${ip} ${ports.get(`${ip}:${port}`)}${after}`);
  }

  async #start(ip: string, to: string): Promise<readonly [Server, string]> {
    const args = ['relay', '--listen', `${ip}:0`, '--to', to, '--network', this.network];
    const [server, [, port = '']] = await Server.start(service('loadtest'), args, /^relay .*:(\d+)$/);
    return [server, port];
  }
}
