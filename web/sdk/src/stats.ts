// What a viewer measures about its picture, read from the inbound-rtp statistics (W3C webrtc-stats, section 8.4).

/** One reading. Totals count from the start of the connection. */
export interface Stats {
  /** RTP payload bytes received. */
  readonly bytes: number;
  /** Received payload rate since the last reading, in bits per second. */
  readonly bitsPerSecond: number | undefined;
  /** Frames decoded. */
  readonly frames: number;
  /** Frames decoded in the last second. */
  readonly fps: number | undefined;
  /** Size of the decoded picture in pixels. */
  readonly width: number | undefined;
  readonly height: number | undefined;
  /** Packets that never came. */
  readonly packetsLost: number;
  /**
   * From the camera to this screen, in milliseconds: the median of the frames shown lately, each from its capture by the
   * publisher's sender reports. Their one-way time from the publisher to the media node is not in it. Undefined without
   * an attached video element, and until the browser has mapped the clocks: a second or two.
   */
  readonly latencyMs: number | undefined;
  /**
   * From the media node to this screen, in milliseconds: half the round trip, and from a frame's first packet until it
   * is decoded. For browsers that map no clocks.
   */
  readonly transitMs: number | undefined;
  /** Mean time that frames wait in the jitter buffer since the last reading, in milliseconds. */
  readonly bufferedMs: number | undefined;
}

/**
 * A picture cannot be younger on the screen than its way from the node took, but for what both are wrong by; in
 * milliseconds. Browsers that are still learning a source's clock believe so.
 */
const IMPOSSIBLE_MS = 15;

/** The members used of an inbound-rtp dictionary; browsers leave out what they do not know. */
export interface Inbound {
  readonly timestamp: number;
  readonly bytesReceived?: number;
  readonly framesDecoded?: number;
  readonly framesPerSecond?: number;
  readonly frameWidth?: number;
  readonly frameHeight?: number;
  readonly packetsLost?: number;
  readonly jitterBufferDelay?: number;
  readonly jitterBufferEmittedCount?: number;
  readonly totalProcessingDelay?: number;
}

/** What is used of a report. */
export interface Readings extends Inbound {
  /** Round trip of the candidate pair in use, in seconds. */
  readonly roundTrip?: number;
}

/** The inbound-rtp dictionary of each track in a report, by the track's id, with the round trip of the candidate pair in use. */
export function inbound(report: RTCStatsReport): Map<string, Readings> {
  const found: (Inbound & { trackIdentifier?: string })[] = [];
  let roundTrip: number | undefined;
  type Entry = Inbound & { type: string; trackIdentifier?: string; nominated?: boolean; currentRoundTripTime?: number };
  report.forEach((entry: Entry) => {
    if (entry.type === 'inbound-rtp') found.push(entry);
    if (entry.type === 'candidate-pair' && entry.nominated) roundTrip = entry.currentRoundTripTime;
  });
  const way = roundTrip === undefined ? {} : { roundTrip };
  return new Map(found.map((entry) => [entry.trackIdentifier ?? '', { ...entry, ...way }]));
}

/** A reading from one dictionary and the one before it, and the latency that the screen shows. */
export function read(now: Readings, before: Inbound | undefined, latencyMs: number | undefined): Stats {
  const seconds = before ? (now.timestamp - before.timestamp) / 1000 : 0;
  const emitted = (now.jitterBufferEmittedCount ?? 0) - (before?.jitterBufferEmittedCount ?? 0);
  const delayed = (now.jitterBufferDelay ?? 0) - (before?.jitterBufferDelay ?? 0);
  const decoded = (now.framesDecoded ?? 0) - (before?.framesDecoded ?? 0);
  const processed = (now.totalProcessingDelay ?? NaN) - (before?.totalProcessingDelay ?? 0);
  const transitMs = ((now.roundTrip ?? NaN) / 2 + processed / decoded) * 1000;
  const bytes = now.bytesReceived ?? 0;
  return {
    bytes,
    bitsPerSecond: seconds > 0 ? ((bytes - (before?.bytesReceived ?? 0)) * 8) / seconds : undefined,
    frames: now.framesDecoded ?? 0,
    fps: now.framesPerSecond,
    width: now.frameWidth,
    height: now.frameHeight,
    packetsLost: now.packetsLost ?? 0,
    latencyMs: transitMs - (latencyMs ?? NaN) > IMPOSSIBLE_MS ? undefined : latencyMs,
    transitMs: Number.isFinite(transitMs) ? transitMs : undefined,
    bufferedMs: emitted > 0 ? (delayed / emitted) * 1000 : undefined,
  };
}
