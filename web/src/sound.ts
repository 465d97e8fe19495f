// The sound of one camera at a time: whether it can be heard, and the element that plays it.
// Invariant: the page is silent until somebody asks for sound by a gesture, as browsers want it.
import type { Viewer } from '@sunroom/sdk';
import type { Camera } from './api';
import { element } from './element';
import { text } from './texts';

/** Whether a camera can be heard; where not, why, for people. Pure. */
export function silence(camera: Camera | undefined, mayHear: boolean, isRefused: boolean): string | undefined {
  if (!camera?.audio) return text('sound.none');
  if (!camera.audio.live) return text('sound.codec', { codec: codecName(camera.audio.codec) });
  if (!mayHear) return text('sound.forbidden');
  return isRefused ? text('sound.refused') : undefined;
}

/** What people call a codec that RTP calls otherwise. */
function codecName(codec: string): string {
  return /^(mpeg4-generic|mp4a-latm)$/i.test(codec) ? 'AAC' : codec.toUpperCase();
}

/** Plays what one tile's camera sends. */
export class Ears {
  readonly #audio = element('audio', { muted: true, autoplay: true });
  #tile: number | undefined;
  #camera: string | undefined;

  constructor(private readonly viewer: Viewer) {}

  /** The tile that is heard. */
  get tile(): number | undefined {
    return this.#tile;
  }

  /** Whether a camera was asked for and cannot be heard all the same. */
  isRefused(camera: string): boolean {
    const { camera: heard, state } = this.viewer.sound;
    return heard === camera && (state === 'withdrawn' || state === 'refused');
  }

  /** Hears a tile's camera instead of all others; to be called from a gesture. */
  hear(tile: number, camera: string): void {
    this.#tile = tile;
    this.#camera = camera;
    this.viewer.listen(camera);
    this.#audio.srcObject ??= this.viewer.audio;
    this.#audio.muted = false;
    void this.#audio.play().catch(() => this.hush());
  }

  /** Hears nothing. */
  hush(): void {
    this.#tile = this.#camera = undefined;
    this.#audio.muted = true;
    this.viewer.listen(null);
  }

  /** What the tiles show has changed: sound whose picture is gone ends. */
  keepTo(tiles: readonly (string | null)[]): void {
    if (this.#tile !== undefined && tiles[this.#tile] !== this.#camera) this.hush();
  }
}
