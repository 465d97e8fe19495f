// One connection of a session: an RTCPeerConnection with its slots, and the service's resource, from offer to end.
// Invariant: after close() or a loss it reports nothing more, and never comes back; the Viewer makes another. The last frame
// stays until close().
import { Changes } from './changes';
import { EventStream, type EndReason, type ServerEvent } from './events';
import { ProblemError, local, problemOf, type Problem } from './problem';
import { receive, type Received } from './receive';
import { IceRestart } from './restart';
import * as sessions from './sessions';
import type { Change, Show } from './sessions';
import { inbound, type Readings } from './stats';

/** What a link is asked for. */
export interface Wish {
  readonly base: string;
  readonly grant: () => Promise<string>;
  /** What the slots show first, one entry for each slot. */
  readonly shows: readonly (Show | null)[];
  /** The camera heard first; undefined for a connection without sound. */
  readonly heard: string | null | undefined;
}

/** What a link tells. */
export interface LinkListener {
  /** Media can flow, for the first time or again. */
  connected(): void;
  /** ICE looks for a way. */
  searching(reason: Problem): void;
  /** The first frame of a slot can be shown. */
  picture(slot: number): void;
  /** The service tells how a slot or the sound is. */
  event(event: Exclude<ServerEvent, { type: 'ended' }>): void;
  /** A change leaves now; it has been made; it is refused. */
  sent(change: Change): void;
  made(change: Change): void;
  refused(change: Change, problem: Problem): void;
  /** The service has ended the session; media may flow for a moment yet. */
  ended(reason: EndReason): void;
  /** Nothing flows any more; close() is yet to be called. */
  lost(reason: Problem): void;
}

/** ICE that has not connected by then will not, in milliseconds from the answer. */
const CONNECT_MS = 8_000;
/** ICE that has not connected by then looks for a way over the TURN servers as well, in milliseconds from the answer. */
const DIRECT_MS = 1_000;
/** When media ends, the service's word why follows within this time, in milliseconds. */
const WHY_MS = 300;

/** One connection. */
export class Link {
  /** What comes in, by slot number. */
  readonly received: Received;
  readonly #pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  readonly #abort = new AbortController();
  readonly #changes: Changes;
  readonly #ice: IceRestart;
  #events: EventStream | undefined;
  #location: string | undefined;
  #grant = '';
  #timer: ReturnType<typeof setTimeout> | undefined;
  #direct: ReturnType<typeof setTimeout> | undefined;
  #connected = false;
  #over = false;

  constructor(
    private readonly wish: Wish,
    private readonly listener: LinkListener,
  ) {
    this.#changes = new Changes((change) => this.#change(change), {
      sent: (change) => listener.sent(change),
      made: (change) => listener.made(change),
      refused: (change, problem) => listener.refused(change, problem),
      gone: () => this.#ended('unknown'),
    });
    this.#ice = new IceRestart(this.#pc, (told) => this.#restart(told), {
      searching: () => listener.searching(local('connection_lost', 'Connection lost', 'The network was interrupted.')),
      found: () => listener.connected(),
      lost: (reason) => this.#lose(reason),
    });
    this.received = receive(this.#pc, wish.shows.length, wish.heard !== undefined, (slot) => {
      if (!this.#closed) listener.picture(slot);
    });
  }

  /** The grant that the session has now; empty before. */
  get grant(): string {
    return this.#grant;
  }

  /** Whether the service tells how the slots are. */
  get hears(): boolean {
    return this.#events?.hears ?? false;
  }

  /** Offers, and takes the answer. What goes wrong reaches the listener as a loss. */
  async open(): Promise<void> {
    try {
      const pc = this.#pc;
      this.received.prefer();
      pc.onconnectionstatechange = () => this.#changed();
      pc.oniceconnectionstatechange = () => {
        if (this.#connected) this.#ice.changed();
      };
      // The offer needs no candidates (the node is ICE-lite and names its own), so nothing waits for gathering.
      const [offer, grant] = await Promise.all([pc.createOffer(), this.wish.grant()]);
      this.#grant = grant;
      const [made] = await Promise.all([this.#open(offer.sdp ?? ''), pc.setLocalDescription(offer)]);
      this.#location = made.location;
      if (this.#closed) return this.#release();
      await pc.setRemoteDescription({ type: 'answer', sdp: made.answer });
      this.received.hurry();
      this.received.transport()?.addEventListener('statechange', () => this.#changed());
      const reason = local('ice_timeout', 'No way for the picture', 'The network lets no video through.');
      if (!this.#connected) this.#timer = setTimeout(() => this.#lose(reason), CONNECT_MS);
      this.#relay(made.iceServers);
      this.#changes.start();
      this.#events = new EventStream(made.location, () => this.#grant, {
        event: (event) => {
          if (event.type === 'ended') this.#ended(event.reason);
          else if (!this.#closed) this.listener.event(event);
        },
        gone: () => this.#ended('unknown'),
      });
    } catch (thrown) {
      this.#lose(problemOf(thrown));
    }
  }

  /** Shows something in a slot, or nothing. */
  show(slot: number, show: Show | null): void {
    this.#changes.show(slot, show);
  }

  /** Lets a camera be heard, or none. */
  listen(camera: string | null): void {
    this.#changes.listen(camera);
  }

  /** Renews the session with a fresh grant. */
  async renew(): Promise<void> {
    const grant = await this.wish.grant();
    if (this.#closed) return;
    this.#grant = grant;
    this.#changes.renew();
  }

  /** The network may be another one. */
  moved(): void {
    if (this.#connected && !this.#over) this.#ice.moved();
  }

  /** The statistics of what comes in, by track; empty while nothing is received. */
  async stats(): Promise<Map<string, Readings>> {
    if (this.#closed) return new Map();
    const readings = inbound(await this.#pc.getStats());
    return this.#closed ? new Map() : readings;
  }

  /** Ends the connection, here and at the service. */
  close(): void {
    this.#retire();
    this.#pc.close();
  }

  /** Ends all but what is on the screen: closing a peer connection turns the last frame black. */
  #retire(): void {
    if (this.#closed) return;
    this.#abort.abort();
    clearTimeout(this.#timer);
    this.#forget();
    this.received.close();
    this.#release();
  }

  get #closed(): boolean {
    return this.#abort.signal.aborted;
  }

  async #open(offer: string): Promise<sessions.Made> {
    const { base, shows, heard } = this.wish;
    const post = (slots: readonly (Show | null)[]): Promise<sessions.Made> =>
      sessions.open(
        base,
        this.#grant,
        { offer, slots, ...(heard === undefined ? {} : { audio: heard }) },
        this.#abort.signal,
      );
    try {
      return await post(shows);
    } catch (thrown) {
      // One camera that is not granted must not keep the others away: the slots are asked for one by one.
      const { status, code } = problemOf(thrown);
      if (status !== 403 || code !== 'camera_not_granted' || shows.filter((show) => show !== null).length < 2) throw thrown;
      const made = await post([]);
      shows.forEach((show, slot) => {
        if (show) this.#changes.show(slot, show);
      });
      return made;
    }
  }

  /** Makes one change; a grant that does not suffice any more is replaced by a fresh one, once. */
  async #change(change: Change): Promise<void> {
    const location = this.#location ?? '';
    try {
      await sessions.change(location, this.#grant, change, this.#abort.signal);
    } catch (thrown) {
      const { status } = problemOf(thrown);
      if (status !== 401 && status !== 403) throw thrown;
      const fresh = await this.wish.grant();
      if (fresh === this.#grant) throw thrown;
      await sessions.change(location, fresh, change, this.#abort.signal);
      this.#grant = fresh;
    }
  }

  /** Few need a relay and it costs its owner, so it is asked for only where there seems to be no other way. */
  #relay(servers: readonly RTCIceServer[]): void {
    if (servers.length === 0) return;
    const pc = this.#pc;
    try {
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers: [...servers] });
    } catch {
      // A browser that does not take these servers still has the direct way.
      return;
    }
    this.#direct = setTimeout(() => {
      const isUnderWay = pc.iceConnectionState === 'connected' || pc.iceConnectionState === 'completed';
      if (!isUnderWay && !this.#over) this.#ice.moved();
    }, DIRECT_MS);
  }

  #restart(told: string): Promise<string> {
    if (this.#location === undefined) throw new ProblemError(local('no_session', 'No session', ''));
    return sessions.restart(this.#location, this.#grant, told, this.#abort.signal);
  }

  /** The session is no more: nothing is asked of it. What still flows may be watched until another takes over. */
  #ended(reason: EndReason): void {
    if (this.#closed || this.#over) return;
    this.#forget();
    this.listener.ended(reason);
  }

  #forget(): void {
    this.#over = true;
    clearTimeout(this.#direct);
    this.#changes.close();
    this.#ice.close();
    this.#events?.close();
  }

  #release(): void {
    if (this.#location) void sessions.end(this.#location, this.#grant);
    this.#location = undefined;
  }

  #lose(reason: Problem): void {
    if (this.#closed) return;
    this.#retire();
    this.listener.lost(reason);
  }

  #changed(): void {
    if (this.#closed) return;
    const state = this.#pc.connectionState;
    if (state === 'connected' && !this.#connected) {
      clearTimeout(this.#timer);
      this.#connected = true;
      this.listener.connected();
    }
    const transport = this.received.transport()?.state;
    if (transport !== 'closed' && transport !== 'failed' && state !== 'closed') return;
    // The node has said good-bye; why, the service tells, if it can.
    const lost = local('connection_lost', 'Connection lost', 'The connection to the video service was lost.');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lose(lost), WHY_MS);
  }
}
