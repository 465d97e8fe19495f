// The page's calls: a grant for this page, and the cameras that it names.
import { ProblemError, audible, problemOf, readProblem, type Rid } from '@sunroom/sdk';

/** One coded stream of a camera. */
export interface Encoding {
  readonly rid: Rid;
  readonly width?: number;
  readonly height?: number;
}

/** A camera that this page may show. */
export interface Camera {
  readonly id: string;
  readonly name: string;
  /** Whether a picture may be had now. */
  readonly live: boolean;
  readonly encodings: readonly Encoding[];
  /** Its sound, where it has one; `live` tells whether it can be heard live. */
  readonly audio?: { readonly codec: string; readonly live: boolean };
}

/** A grant is used until so long before its end, in milliseconds. */
const SPARE_MS = 60_000;
const TIMEOUT_MS = 10_000;

/** This page's session: one grant for all it shows, so that a new connection takes the place of the one before. */
export class Session {
  #held: Promise<{ grant: string; expires: number }> | undefined;
  #audible: ReadonlySet<string> = new Set();

  /** A grant that is still good for a while. Throws ProblemError. */
  readonly grant = async (): Promise<string> => {
    this.#held ??= call('/v1/demo/grant', { method: 'POST' });
    const held = await this.#held.catch((thrown: unknown) => {
      this.forget();
      throw thrown;
    });
    if (held.expires * 1000 - Date.now() > SPARE_MS) return held.grant;
    this.#held = call('/v1/demo/grant', { method: 'POST' });
    return (await this.#held).grant;
  };

  /** The next call asks for a new grant: this one may be why something failed. */
  forget(): void {
    this.#held = undefined;
  }

  /** The cameras of the grant. Throws ProblemError. */
  async cameras(): Promise<readonly Camera[]> {
    const grant = await this.grant();
    this.#audible = audible(grant);
    const headers = { authorization: `Bearer ${grant}` };
    return (await call<{ cameras: Camera[] }>('/v1/cameras', { headers })).cameras;
  }

  /** Whether the grant allows a camera to be heard. */
  mayHear(camera: string): boolean {
    return this.#audible.has(camera);
  }
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  try {
    const response = await fetch(path, { ...init, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!response.ok) throw new ProblemError(await readProblem(response));
    return (await response.json()) as T;
  } catch (thrown) {
    throw new ProblemError(problemOf(thrown));
  }
}
