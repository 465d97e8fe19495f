// A TURN server (coturn) for a test, which takes clients by TCP alone and relays by UDP.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server } from './process';

/** A running server. */
export class TurnServer {
  private constructor(
    private readonly server: Server,
    private readonly directory: string,
    /** Where it takes clients. */
    readonly port: number,
    /** Its address (RFC 7065). */
    readonly url: string,
    /** The file with its secret. */
    readonly secretFile: string,
  ) {}

  /** Starts one at an address of this machine. */
  static async start(ip: string): Promise<TurnServer> {
    const directory = await mkdtemp(join(tmpdir(), 'sunroom-turn-'));
    const [port, secret, secretFile] = [await freePort(ip), crypto.randomUUID(), join(directory, 'secret')];
    await writeFile(secretFile, secret);
    const options = {
      'listening-ip': ip,
      'listening-port': port,
      'relay-ip': ip,
      'static-auth-secret': secret,
      realm: 'sunroom',
      userdb: join(directory, 'turndb'),
      pidfile: join(directory, 'pid'),
      'log-file': 'stdout',
    };
    const flags = ['-n', '--use-auth-secret', '--no-udp', '--no-tls', '--no-dtls', '--no-cli', '--simple-log', '--verbose'];
    const args = [...flags, ...Object.entries(options).map(([name, value]) => `--${name}=${value}`)];
    const [server] = await Server.start('turnserver', args, /TCP listener opened on/);
    return new TurnServer(server, directory, port, `turn:${ip}:${port}?transport=tcp`, secretFile);
  }

  /** What it printed last. */
  get log(): string {
    return this.server.log;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function freePort(ip: string): Promise<number> {
  const probe = createServer().listen(0, ip);
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
