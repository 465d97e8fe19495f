// What a viewer measures about its picture, read from the inbound-rtp statistics (W3C webrtc-stats, section 8.4).
import { latencyMs } from './clock';

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
  /** From the edge's time stamp to this screen, in milliseconds; undefined until clocks are mapped. */
  readonly latencyMs: number | undefined;
  /** Mean time that frames wait in the jitter buffer since the last reading, in milliseconds. */
  readonly bufferedMs: number | undefined;
}

/** The members used of an inbound-rtp dictionary; browsers leave out what they do not know. */
export interface Inbound {
  readonly timestamp: number;
  readonly bytesReceived?: number;
  readonly framesDecoded?: number;
  readonly framesPerSecond?: number;
  readonly frameWidth?: number;
  readonly frameHeight?: number;
  readonly packetsLost?: number;
  readonly estimatedPlayoutTimestamp?: number;
  readonly jitterBufferDelay?: number;
  readonly jitterBufferEmittedCount?: number;
}

/** The video's inbound-rtp dictionary in a report. */
export function inbound(report: RTCStatsReport): Inbound | undefined {
  let found: Inbound | undefined;
  report.forEach((entry: { type: string; kind?: string } & Inbound) => {
    if (entry.type === 'inbound-rtp' && entry.kind === 'video') found = entry;
  });
  return found;
}

/** A reading from one dictionary and the one before it. */
export function read(now: Inbound, before: Inbound | undefined, serverNowMs: number | undefined): Stats {
  const seconds = before ? (now.timestamp - before.timestamp) / 1000 : 0;
  const emitted = (now.jitterBufferEmittedCount ?? 0) - (before?.jitterBufferEmittedCount ?? 0);
  const delayed = (now.jitterBufferDelay ?? 0) - (before?.jitterBufferDelay ?? 0);
  const bytes = now.bytesReceived ?? 0;
  return {
    bytes,
    bitsPerSecond: seconds > 0 ? ((bytes - (before?.bytesReceived ?? 0)) * 8) / seconds : undefined,
    frames: now.framesDecoded ?? 0,
    fps: now.framesPerSecond,
    width: now.frameWidth,
    height: now.frameHeight,
    packetsLost: now.packetsLost ?? 0,
    latencyMs: serverNowMs === undefined ? undefined : latencyMs(now.estimatedPlayoutTimestamp, serverNowMs),
    bufferedMs: emitted > 0 ? (delayed / emitted) * 1000 : undefined,
  };
}
