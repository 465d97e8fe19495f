// Restarts ICE where the network has changed or fallen silent, within one connection: DTLS and media go on.
// Invariant: one restart at a time; a connection is given up only after GIVE_UP_MS without a way, or by the service's word.
import { delayMs } from './backoff';
import { ProblemError, isTransient, local, problemOf, type Problem } from './problem';
import { fragment, restarted } from './sdpfrag';

/** What is used of a peer connection. */
export type Restartable = Pick<
  RTCPeerConnection,
  'createOffer' | 'setLocalDescription' | 'setRemoteDescription' | 'restartIce' | 'iceConnectionState' | 'currentRemoteDescription'
>;

/** Who is told. */
export interface RestartListener {
  /** There is no way to the service at the moment. */
  searching(): void;
  /** There is one again. */
  found(): void;
  /** There is none. */
  lost(reason: Problem): void;
}

/** Without a way for so long, another connection is made, in milliseconds. */
export const GIVE_UP_MS = 5_000;

/** Keeps one connection's ICE. */
export class IceRestart {
  #running = false;
  #again = false;
  #closed = false;
  #giveUp: ReturnType<typeof setTimeout> | undefined;

  /** `send` brings the service a fragment and answers with its own; it throws ProblemError, or what fetch throws. */
  constructor(
    private readonly pc: Restartable,
    private readonly send: (fragment: string) => Promise<string>,
    private readonly listener: RestartListener,
  ) {}

  /** The state of ICE has changed. */
  changed(): void {
    if (this.#closed) return;
    switch (this.pc.iceConnectionState) {
      case 'connected':
      case 'completed':
        if (this.#giveUp === undefined) return;
        this.#settle();
        this.listener.found();
        break;
      case 'disconnected':
      case 'failed':
        this.#search();
        break;
    }
  }

  /** The network may be another one: whatever ICE believes, it is asked. */
  moved(): void {
    if (!this.#closed) void this.#restart();
  }

  /** Ends it. */
  close(): void {
    this.#closed = true;
    this.#settle();
  }

  #search(): void {
    if (this.#giveUp === undefined) {
      const reason = local('connection_lost', 'Connection lost', 'The connection to the video service was lost.');
      this.#giveUp = setTimeout(() => this.#lose(reason), GIVE_UP_MS);
      this.listener.searching();
    }
    void this.#restart();
  }

  #settle(): void {
    clearTimeout(this.#giveUp);
    this.#giveUp = undefined;
  }

  #lose(reason: Problem): void {
    if (this.#closed) return;
    this.close();
    this.listener.lost(reason);
  }

  async #restart(): Promise<void> {
    this.#again = this.#running;
    if (this.#running) return;
    this.#running = true;
    do {
      this.#again = false;
      await this.#once().catch((thrown: unknown) => this.#lose(problemOf(thrown)));
    } while (this.#again && !this.#closed);
    this.#running = false;
  }

  async #once(): Promise<void> {
    const answer = this.pc.currentRemoteDescription?.sdp;
    if (answer === undefined) return;
    this.pc.restartIce();
    const offer = await this.pc.createOffer({ iceRestart: true });
    await this.pc.setLocalDescription(offer);
    const told = await this.#persist(fragment(offer.sdp ?? ''));
    if (told === undefined) return;
    const sdp = restarted(answer, told);
    if (sdp === undefined) throw new ProblemError(local('bad_fragment', 'Incomplete answer', 'The service named no way.'));
    await this.pc.setRemoteDescription({ type: 'answer', sdp });
  }

  /** Sends until it is answered: without a network it cannot be. What the service refuses is over. */
  async #persist(told: string): Promise<string | undefined> {
    for (let attempt = 1; !this.#closed; attempt++) {
      try {
        return await this.send(told);
      } catch (thrown) {
        const problem = problemOf(thrown);
        if (problem.status === 404 || !isTransient(problem)) throw thrown;
        await new Promise((resolve) => setTimeout(resolve, delayMs(attempt, Math.random(), problem.retryAfterMs)));
      }
    }
    return undefined;
  }
}
