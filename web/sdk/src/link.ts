// One connection to one camera: an RTCPeerConnection and its WHEP resource, from offer to end.
// Invariant: after close() or a loss it reports nothing more, and never comes back; the Viewer makes another.
import * as whep from './whep';
import type { Rid } from './whep';
import { ProblemError, local, problemOf, type Problem } from './problem';
import { inbound, read, type Inbound, type Stats } from './stats';

/** What a link is asked to show. */
export interface Wish {
  readonly base: string;
  readonly camera: string;
  readonly rid: Rid | undefined;
  readonly grant: () => Promise<string>;
}

/** What a link tells. Each of track, connected and picture comes once. */
export interface LinkListener {
  track(track: MediaStreamTrack): void;
  connected(): void;
  picture(): void;
  lost(reason: Problem): void;
}

/** ICE that has not connected by then will not, in milliseconds from the answer. */
const CONNECT_MS = 8_000;
/** A pause of ICE that is forgiven: Wi-Fi roams within it. In milliseconds. */
const DISCONNECTED_MS = 3_000;

/** One connection. */
export class Link {
  readonly #pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  readonly #abort = new AbortController();
  readonly #probe = document.createElement('video');
  #resource: whep.Resource | undefined;
  #grant = '';
  #timer: ReturnType<typeof setTimeout> | undefined;
  #before: Inbound | undefined;
  #connected = false;
  #pictured = false;

  constructor(
    private readonly wish: Wish,
    private readonly listener: LinkListener,
  ) {}

  /** The grant that the connection was made with; empty before. */
  get grant(): string {
    return this.#grant;
  }

  /** Offers, and takes the answer. What goes wrong reaches the listener as a loss. */
  async open(): Promise<void> {
    try {
      const pc = this.#pc;
      const transceiver = pc.addTransceiver('video', { direction: 'recvonly' });
      transceiver.setCodecPreferences(preferredCodecs());
      pc.ontrack = ({ track }) => this.#tracked(track);
      pc.onconnectionstatechange = () => this.#changed();
      // The offer needs no candidates (the node is ICE-lite and names its own), so nothing waits for gathering.
      const [offer, grant] = await Promise.all([pc.createOffer(), this.wish.grant()]);
      this.#grant = grant;
      const { base, camera, rid } = this.wish;
      const [resource] = await Promise.all([
        whep.open(base, camera, rid, grant, offer.sdp ?? '', this.#abort.signal),
        pc.setLocalDescription(offer),
      ]);
      this.#resource = resource;
      if (this.#closed) return this.#release();
      await pc.setRemoteDescription({ type: 'answer', sdp: resource.answer });
      lowDelay(transceiver.receiver);
      const reason = local('ice_timeout', 'No way for the picture', 'The network lets no video through (UDP).');
      if (!this.#connected) this.#timer = setTimeout(() => this.#lose(reason), CONNECT_MS);
    } catch (thrown) {
      this.#lose(problemOf(thrown));
    }
  }

  /** A reading of the statistics, with the latency of what is shown; undefined while nothing is received. */
  async stats(latencyMs: number | undefined): Promise<Stats | undefined> {
    if (this.#closed) return undefined;
    const now = inbound(await this.#pc.getStats());
    if (!now || this.#closed) return undefined;
    const stats = read(now, this.#before, latencyMs);
    this.#before = now;
    if (stats.frames > 0) this.#pictureCame();
    return stats;
  }

  /** Ends the connection, here and at the service. */
  close(): void {
    if (this.#closed) return;
    this.#abort.abort();
    clearTimeout(this.#timer);
    this.#probe.srcObject = null;
    this.#pc.close();
    this.#release();
  }

  get #closed(): boolean {
    return this.#abort.signal.aborted;
  }

  #release(): void {
    if (this.#resource) void whep.end(this.#resource, this.#grant);
    this.#resource = undefined;
  }

  #lose(reason: Problem): void {
    if (this.#closed) return;
    this.close();
    this.listener.lost(reason);
  }

  #tracked(track: MediaStreamTrack): void {
    // An element of its own tells the first frame, whether or not the page shows the track yet.
    this.#probe.muted = true;
    this.#probe.playsInline = true;
    this.#probe.onloadeddata = () => this.#pictureCame();
    this.#probe.srcObject = new MediaStream([track]);
    this.listener.track(track);
  }

  #pictureCame(): void {
    if (this.#pictured || this.#closed) return;
    this.#pictured = true;
    this.#probe.srcObject = null;
    this.listener.picture();
  }

  #changed(): void {
    if (this.#closed) return;
    const lost = local('connection_lost', 'Connection lost', 'The connection to the video service was lost.');
    switch (this.#pc.connectionState) {
      case 'connected':
        clearTimeout(this.#timer);
        if (!this.#connected) this.listener.connected();
        this.#connected = true;
        break;
      case 'disconnected':
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#lose(lost), DISCONNECTED_MS);
        break;
      case 'failed':
      case 'closed':
        this.#lose(lost);
        break;
    }
  }
}

/** H.264 with packetization mode 1, the cameras' codec, and its retransmissions. */
function preferredCodecs(): RTCRtpCodec[] {
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const h264 = codecs.filter((c) => /^video\/h264$/i.test(c.mimeType) && /packetization-mode=1/.test(c.sdpFmtpLine ?? ''));
  if (h264.length === 0) {
    throw new ProblemError(local('unsupported', 'Browser not supported', 'This browser cannot play H.264 over WebRTC.'));
  }
  return [...h264, ...codecs.filter((c) => /^video\/rtx$/i.test(c.mimeType))];
}

/**
 * Asks the jitter buffer to hold no more than the network makes it. It adds nothing where `playout-delay` is negotiated,
 * and brings the picture 2 to 3 ms sooner where it is not (median in Chromium 156).
 */
function lowDelay(receiver: RTCRtpReceiver): void {
  if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
}
