// An edge agent as a process of its own, with its cameras, beside the services that it publishes to.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, service } from './process';

const PROGRAM = service('edge-agent');

/** What an agent is told of a camera. */
export interface Pulled {
  readonly id: string;
  readonly name?: string;
  readonly main: string;
  readonly sub?: string;
  readonly transport?: 'tcp' | 'udp';
}

/** A running agent. */
export class Agent {
  private constructor(
    private server: Server,
    private readonly directory: string,
    private readonly program: string,
  ) {}

  /** Publishes a camera to the signaling at `origin`, by this grant. */
  static start(origin: string, grant: string, camera: Pulled): Promise<Agent> {
    return Agent.publishing(origin, grant, [camera]);
  }

  /** Publishes cameras; where it is not to run here, `program` starts it elsewhere. */
  static async publishing(origin: string, grant: string, cameras: readonly Pulled[], program = PROGRAM): Promise<Agent> {
    const directory = await mkdtemp(join(tmpdir(), 'sunroom-agent-'));
    const grantFile = join(directory, 'grant');
    await writeFile(grantFile, grant, { mode: 0o600 });
    const named = cameras.map((camera) => ({ name: 'Porch', ...camera }));
    const config = { signaling: origin, grant_file: grantFile, cameras: named };
    // JSON is YAML.
    await writeFile(join(directory, 'edge-agent.yaml'), JSON.stringify(config));
    try {
      return new Agent(await run(program, directory), directory, program);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Ends it at once, as a power cut does. */
  kill(): Promise<void> {
    return this.server.kill();
  }

  /** Starts it again, once it has ended. */
  async restart(): Promise<void> {
    this.server = await run(this.program, this.directory);
  }

  get log(): string {
    return this.server.log;
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await rm(this.directory, { recursive: true, force: true });
  }
}

async function run(program: string, directory: string): Promise<Server> {
  const args = ['run', '--config', join(directory, 'edge-agent.yaml')];
  const [server] = await Server.start(program, args, /edge agent started/);
  return server;
}
