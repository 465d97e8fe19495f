// What the media node takes a viewer's network to carry, as it says with each estimate of the viewer's.
import type { Sunroom } from './sunroom';

/** Makes the node say it. */
export const TRACED = { RUST_LOG: 'warn,rtc=error,rtc_dtls=error,edge_agent::rtsp=info,sfu_core::shard::feedback=trace', NO_COLOR: '1' };

/** One line of the node's log. */
const LINE = /^(\S+)\s+TRACE .*estimate place=\d+ estimate=(\d+) rate=(\d+) sent=(\d+)/;

/** At one moment. */
export interface Estimate {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  /** What the viewer says that it can take, in bit/s. */
  readonly estimate: number;
  /** What the node sends at most, in bit/s. */
  readonly rate: number;
  /** Bytes sent so far. */
  readonly sent: number;
}

/** Collects what is said from now on; there is one viewer. */
export function estimates(sunroom: Sunroom): readonly Estimate[] {
  const all: Estimate[] = [];
  sunroom.follow((line) => {
    const [, at = '', estimate, rate, sent] = LINE.exec(line) ?? [];
    if (at !== '') all.push({ atMs: Date.parse(at), estimate: Number(estimate), rate: Number(rate), sent: Number(sent) });
  });
  return all;
}
