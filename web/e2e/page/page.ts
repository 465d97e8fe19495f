// The page that measures: viewers on request of the test, each with the first frame's time and the clock in its picture.
import { Viewer, type Rid, type Stats } from '@sunroom/sdk';
import { TimecodeReader, ageMs, nowMs } from '../timecode';

/** The film's length, which the clock in the picture counts to. */
const LOOP_MS = 60_000;

/** A frame as it was presented. */
export interface Frame {
  /** When, in milliseconds since the page began. */
  readonly atMs: number;
  readonly width: number;
  /** The clock's reading; undefined where it could not be read. */
  readonly timecode: number | undefined;
  /** Age of the picture in milliseconds. */
  readonly ageMs: number | undefined;
}

interface Watch {
  readonly viewer: Viewer;
  readonly video: HTMLVideoElement;
  readonly detach: () => void;
  readonly frames: Frame[];
  stats: Stats | undefined;
  beganMs: number;
}

/** A picture younger than this is live. */
const LIVE_MS = 250;

const reader = new TimecodeReader();
const watches = new Map<string, Watch>();

function of(name: string): Watch {
  const watch = watches.get(name);
  if (!watch) throw new Error(`no viewer ${name}`);
  return watch;
}

function record({ video, frames }: Watch): void {
  video.requestVideoFrameCallback(() => {
    const now = nowMs();
    const timecode = reader.read(video);
    const age = timecode && ageMs(now, timecode.ms, LOOP_MS);
    frames.push({ atMs: performance.now(), width: video.videoWidth, timecode: timecode?.ms, ageMs: age });
    const watch = [...watches.values()].find((w) => w.video === video);
    if (watch) record(watch);
  });
}

/** What the test calls. */
export const measure = {
  /** Watches a camera; answers the milliseconds from the call of connect() to the first frame presented. */
  async watch(name: string, grant: string, camera: string, rid: Rid): Promise<number> {
    const viewer = new Viewer({ grant: () => Promise.resolve(grant) });
    const video = document.createElement('video');
    Object.assign(video, { autoplay: true, muted: true, playsInline: true });
    document.body.append(video);
    const watch: Watch = { viewer, video, detach: viewer.attach(video), frames: [], stats: undefined, beganMs: 0 };
    watches.set(name, watch);
    viewer.on('stats', (stats) => (watch.stats = stats));
    const failed = new Promise<never>((_, reject) => {
      viewer.on('state', (state) => {
        if (state.name === 'failed' || state.name === 'reconnecting') reject(new Error(JSON.stringify(state)));
      });
    });
    const presented = new Promise<number>((resolve) => {
      video.requestVideoFrameCallback(() => resolve(performance.now()));
    });
    watch.beganMs = performance.now();
    viewer.connect(camera, { rid });
    const first = await Promise.race([presented, failed]);
    record(watch);
    return first - watch.beganMs;
  },

  /** Milliseconds from the call of connect() to the first live frame: by then the cached GOP has been caught up with. */
  liveMs(name: string): number {
    const { frames, beganMs } = of(name);
    const live = frames.find((frame) => frame.ageMs !== undefined && frame.ageMs < LIVE_MS);
    return live ? live.atMs - beganMs : NaN;
  },

  /** The frames of the last `ms` milliseconds. */
  frames(name: string, ms: number): readonly Frame[] {
    return of(name).frames.filter((frame) => frame.atMs > performance.now() - ms);
  },

  /** State, and the last reading of the statistics. */
  status(name: string): { state: string; stats: Stats | undefined } {
    return { state: of(name).viewer.state.name, stats: of(name).stats };
  },

  /** Stops watching. */
  close(name: string): void {
    const { viewer, video, detach } = of(name);
    viewer.close();
    detach();
    video.remove();
    watches.delete(name);
  },
};

declare global {
  interface Window {
    measure: typeof measure;
  }
}
window.measure = measure;
