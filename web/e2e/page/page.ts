// The page that measures: viewers on request of the test, each with the clock in its pictures and the beeps in its sound.
import { Viewer, type Rid, type Stats } from '@sunroom/sdk';
import { Beeps } from './beeps';
import { Recording, type Frame } from './recording';

export type { Frame } from './recording';

interface Watch {
  readonly viewer: Viewer;
  /** By slot. */
  readonly recordings: readonly Recording[];
  readonly detach: readonly (() => void)[];
  /** Each state of each slot, in the order they came. */
  readonly states: { readonly atMs: number; readonly slot: number; readonly state: string }[];
  stats: Stats | undefined;
  beeps: Beeps | undefined;
  beganMs: number;
}

/** How a slot or the connection stood, in words. */
export interface Told {
  readonly atMs: number;
  readonly slot: number;
  readonly state: string;
}

/** A picture younger than this is live. */
const LIVE_MS = 250;
/** A camera that is not seen by then does not come, in milliseconds. */
const SHOWN_MS = 15_000;
/** The frame of a full second is presented within this time of its beep, in milliseconds. */
const APART_MS = 500;
/** A frame so long after a full second tells as well when that second was presented, in the picture's milliseconds. */
const NEAR_MS = 80;

const watches = new Map<string, Watch>();

function of(name: string): Watch {
  const watch = watches.get(name);
  if (!watch) throw new Error(`no viewer ${name}`);
  return watch;
}

function recording(name: string, slot: number): Recording {
  const found = of(name).recordings[slot];
  if (!found) throw new Error(`viewer ${name} has no slot ${slot}`);
  return found;
}

function begin(name: string, grant: string, slots: number, audio: boolean): Watch {
  const viewer = new Viewer({ grant: () => Promise.resolve(grant), slots, audio });
  const videos = Array.from({ length: slots }, () => document.createElement('video'));
  for (const video of videos) Object.assign(video, { autoplay: true, muted: true, playsInline: true });
  document.body.append(...videos);
  const detach = videos.map((video, slot) => viewer.slot(slot).attach(video));
  const recordings = videos.map((video) => new Recording(video));
  const watch: Watch = { viewer, recordings, detach, states: [], stats: undefined, beeps: undefined, beganMs: performance.now() };
  watches.set(name, watch);
  viewer.on('stats', ({ slot, stats }) => {
    if (slot === 0) watch.stats = stats;
  });
  viewer.on('state', ({ slot, state }) => watch.states.push({ atMs: performance.now(), slot, state: state.name }));
  return watch;
}

/** Fails when the connection does. */
function failure(viewer: Viewer): Promise<never> {
  return new Promise((_, reject) => {
    viewer.on('connection', (connection) => {
      if (connection.name === 'failed' || connection.name === 'reconnecting') reject(new Error(JSON.stringify(connection)));
    });
  });
}

/** What the test calls. */
export const measure = {
  /** Watches a camera; answers the milliseconds from the call of connect() to the first frame presented. */
  async watch(name: string, grant: string, camera: string, rid: Rid): Promise<number> {
    const watch = begin(name, grant, 1, false);
    const failed = failure(watch.viewer);
    const presented = recording(name, 0).next('the first frame', SHOWN_MS, () => true);
    watch.beganMs = performance.now();
    watch.viewer.connect(camera, { rid });
    const first = await Promise.race([presented, failed]);
    return first.atMs - watch.beganMs;
  },

  /** Opens a viewer with so many slots, all empty, and sound; answers the milliseconds until it is connected. */
  async session(name: string, grant: string, slots: number): Promise<number> {
    const watch = begin(name, grant, slots, true);
    const connected = new Promise<void>((resolve) => {
      watch.viewer.on('connection', (connection) => connection.name === 'connected' && resolve());
    });
    watch.viewer.open();
    await Promise.race([connected, failure(watch.viewer)]);
    return performance.now() - watch.beganMs;
  },

  /**
   * Shows a camera in a slot; answers the milliseconds from the call to the first presented frame whose clock has the
   * camera's number.
   */
  async show(name: string, slot: number, camera: string, number: number, rid?: Rid): Promise<number> {
    const what = `camera ${number} in slot ${slot}`;
    const seen = recording(name, slot).next(what, SHOWN_MS, (frame) => frame.camera === number);
    const beganMs = performance.now();
    of(name).viewer.show(slot, camera, rid ? { rid } : {});
    return (await seen).atMs - beganMs;
  },

  /** Shows a camera in each slot, that in the slot `first` before the others where the network does not carry all. */
  wall(name: string, shows: readonly (readonly [camera: string, rid: Rid])[], first: number): void {
    const { viewer } = of(name);
    for (const [slot, [camera, rid]] of shows.entries()) viewer.show(slot, camera, { rid, priority: slot === first ? 1 : 0 });
  },

  /** Shows nothing in a slot. */
  empty(name: string, slot: number): void {
    of(name).viewer.show(slot, null);
  },

  /** Milliseconds from the call of connect() to the first live frame: by then the cached GOP has been caught up with. */
  liveMs(name: string): number {
    const { beganMs } = of(name);
    const live = recording(name, 0).frames.find((frame) => frame.ageMs !== undefined && frame.ageMs < LIVE_MS);
    return live ? live.atMs - beganMs : NaN;
  },

  /** The frames of the last `ms` milliseconds in a slot. */
  frames(name: string, ms: number, slot = 0): readonly Frame[] {
    return recording(name, slot).last(ms);
  },

  /** The next frame that is presented in a slot within `ms` and can be read. */
  next(name: string, slot: number, ms: number): Promise<Frame> {
    return recording(name, slot).next('a frame', ms, (frame) => frame.timecode !== undefined);
  },

  /** State of slot 0, and the last reading of its statistics. */
  status(name: string): { state: string; stats: Stats | undefined } {
    return { state: of(name).viewer.state.name, stats: of(name).stats };
  },

  /** The state of each slot, and of the connection. */
  states(name: string): { connection: string; slots: string[] } {
    const { viewer, recordings } = of(name);
    return { connection: viewer.connection.name, slots: recordings.map((_, slot) => viewer.slot(slot).state.name) };
  },

  /** All states that the slots have had. */
  told(name: string): readonly Told[] {
    return of(name).states;
  },

  /** Listens to a camera and records its beeps from now on. */
  async sound(name: string, camera: string): Promise<void> {
    const watch = of(name);
    watch.viewer.listen(camera);
    watch.beeps ??= await Beeps.to(watch.viewer.audio);
  },

  /** How the sound is, and how many beeps have been heard. */
  heard(name: string): { state: string; beeps: number } {
    const { viewer, beeps } = of(name);
    return { state: viewer.sound.state, beeps: beeps?.heardMs.length ?? 0 };
  },

  /**
   * For each beep, the milliseconds by which it was heard after the picture of its full second was presented in a slot;
   * below zero where it was heard before. Beeps without such a picture are left out.
   */
  offsets(name: string, slot = 0): number[] {
    // Of each second the first frame counts: the one of the full second, unless it was dropped.
    let second = NaN;
    const seconds = recording(name, slot).frames.flatMap(({ timecode = NaN, atMs }) => {
      const after = timecode % 1000;
      if (!(after <= NEAR_MS) || second === timecode - after) return [];
      second = timecode - after;
      return [atMs - after];
    });
    return (of(name).beeps?.heardMs ?? []).flatMap((heardMs) => {
      const offsets = seconds.map((atMs) => heardMs - atMs).sort((a, b) => Math.abs(a) - Math.abs(b));
      return offsets[0] !== undefined && Math.abs(offsets[0]) < APART_MS ? [offsets[0]] : [];
    });
  },

  /** Stops watching. */
  close(name: string): void {
    const { viewer, recordings, detach, beeps } = of(name);
    viewer.close();
    beeps?.close();
    recordings.forEach((recorded) => recorded.stop());
    detach.forEach((stop) => stop());
    for (const { video } of recordings) video.remove();
    watches.delete(name);
  },
};

declare global {
  interface Window {
    measure: typeof measure;
  }
}
window.measure = measure;
