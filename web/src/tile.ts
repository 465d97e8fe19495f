// One tile of the wall: a picture, what is to be said about it, and what may be done with it.
import { element } from './element';
import { icon, type Icon } from './icons';
import { label } from './label';
import { text, type Key } from './texts';
import type { Words } from './words';

/** What people do to a tile. */
export interface TileActions {
  select(): void;
  clear(): void;
  sound(): void;
  /** The action that its words offer. */
  act(): void;
  /** A camera was dropped on it. */
  drop(camera: string): void;
}

/** How a tile's sound button stands. */
export interface SoundButton {
  readonly isOn: boolean;
  /** Why there is nothing to be heard. */
  readonly silence: string | undefined;
}

/** What a camera is dragged as. */
export const DRAGGED = 'application/x-sunroom-camera';
/** A note is shown so long, in milliseconds. */
const NOTE_MS = 5_000;

/** A tile. */
export class Tile {
  readonly video = element('video', { autoplay: true, muted: true, playsInline: true });
  readonly root: HTMLElement;
  readonly #pill = element('span', { className: 'pill' });
  readonly #name = element('span', { className: 'tile-name' });
  readonly #delay = element('span', { className: 'tile-delay' });
  readonly #title = element('p', { className: 'title' });
  readonly #detail = element('p', { className: 'detail' });
  readonly #action = element('button', { type: 'button', className: 'action' });
  readonly #note = element('p', { className: 'note', hidden: true });
  readonly #pick = element('button', { type: 'button', className: 'pick' });
  readonly #sound = tool('mute', 'sound.on');
  readonly #full = tool('fullscreen', 'fullscreen');
  readonly #clear = tool('clear', 'tile.clear');
  #silence: string | undefined;
  #noted: ReturnType<typeof setTimeout> | undefined;

  /** The tile with this number, from 0. */
  constructor(
    private readonly number: number,
    private readonly actions: TileActions,
  ) {
    const said = element('div', { className: 'said' }, element('span', { className: 'spinner' }), this.#title, this.#detail);
    said.setAttribute('aria-hidden', 'true');
    const plate = element('div', { className: 'plate' }, this.#pill, this.#name, this.#delay);
    plate.setAttribute('aria-hidden', 'true');
    const tools = element('div', { className: 'tools' }, this.#sound, this.#full, this.#clear);
    this.#note.setAttribute('role', 'status');
    this.root = element('article', { className: 'frame' });
    this.root.append(this.video, said, plate, this.#pick, this.#action, tools, this.#note);
    this.#listen();
  }

  /** Device pixels across. */
  get pixels(): number {
    return this.root.clientWidth * devicePixelRatio;
  }

  /** Whether it fills the screen. */
  get isFull(): boolean {
    return document.fullscreenElement === this.root || this.root.classList.contains('expanded');
  }

  /** Shows how it stands. `camera` is the camera's name; undefined for an empty tile. */
  say({ mood, title, detail, action }: Words, isBusy: boolean, camera: string | undefined): void {
    const { root } = this;
    root.dataset['mood'] = mood;
    root.dataset['busy'] = String(isBusy);
    root.dataset['empty'] = String(camera === undefined);
    this.#pill.textContent = title;
    this.#name.textContent = camera ?? '';
    this.#title.textContent = title;
    this.#detail.textContent = detail;
    this.#action.textContent = action ?? '';
    this.#action.hidden = action === undefined;
    this.#sound.hidden = this.#full.hidden = this.#clear.hidden = camera === undefined;
    this.video.setAttribute('aria-label', text('picture', { camera: camera ?? '' }));
    const number = this.number + 1;
    const named =
      camera === undefined ? text('tile.label.empty', { number }) : text('tile.label', { number, camera, state: title });
    this.#pick.setAttribute('aria-label', named);
    root.setAttribute('aria-label', named);
  }

  /** Marks it as the one that the list fills. */
  select(isSelected: boolean): void {
    this.#pick.setAttribute('aria-pressed', String(isSelected));
    this.root.classList.toggle('selected', isSelected);
  }

  /** Shows the delay; undefined for none. */
  delay(ms: number | undefined): void {
    this.#delay.textContent = ms === undefined ? '' : text('delay.value', { ms });
  }

  /** Shows whether it is heard. */
  hear({ isOn, silence }: SoundButton): void {
    this.#silence = silence;
    this.#sound.setAttribute('aria-pressed', String(isOn));
    this.#sound.setAttribute('aria-disabled', String(silence !== undefined));
    this.#sound.replaceChildren(icon(isOn ? 'sound' : 'mute'));
    const named = silence ?? text(isOn ? 'sound.off' : 'sound.on');
    this.#sound.title = named;
    this.#sound.setAttribute('aria-label', named);
  }

  /** Fills the screen, or no longer does. */
  fill(): void {
    const leave = this.isFull;
    if (!document.fullscreenEnabled) {
      // Phones that keep full screen to themselves get the page's own.
      this.#expand(!leave);
    } else if (leave) void document.exitFullscreen();
    else void this.root.requestFullscreen().catch(() => this.#expand(true));
  }

  #listen(): void {
    const { root, actions } = this;
    this.#pick.onclick = () => actions.select();
    this.#pick.ondblclick = () => this.fill();
    this.#action.onclick = () => actions.act();
    this.#clear.onclick = () => actions.clear();
    this.#full.onclick = () => this.fill();
    this.#sound.onclick = () => {
      if (this.#silence) this.#say(this.#silence);
      else actions.sound();
    };
    root.onkeydown = (event) => this.#key(event);
    root.addEventListener('fullscreenchange', () => this.#filled());
    root.ondragover = (event) => {
      if (!event.dataTransfer?.types.includes(DRAGGED)) return;
      event.preventDefault();
      root.classList.add('dropping');
    };
    root.ondragleave = () => root.classList.remove('dropping');
    root.ondrop = (event) => {
      root.classList.remove('dropping');
      const camera = event.dataTransfer?.getData(DRAGGED);
      if (!camera) return;
      event.preventDefault();
      actions.drop(camera);
    };
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey || this.#full.hidden) return;
    if (event.key === 'f') this.fill();
    else if (event.key === 'm') this.#sound.click();
    else if (event.key === 'Delete') this.actions.clear();
    else if (event.key === 'Escape') this.#expand(false);
    else return;
    event.preventDefault();
  }

  #expand(isExpanded: boolean): void {
    if (this.root.classList.toggle('expanded', isExpanded) === isExpanded) this.#filled();
  }

  #filled(): void {
    const key: Key = this.isFull ? 'fullscreen.leave' : 'fullscreen';
    this.#full.replaceChildren(icon(this.isFull ? 'leave' : 'fullscreen'));
    label(this.#full, { title: key, name: key });
  }

  /** Shows a note for a while. */
  #say(note: string): void {
    clearTimeout(this.#noted);
    this.#note.textContent = note;
    this.#note.hidden = false;
    this.#noted = setTimeout(() => (this.#note.hidden = true), NOTE_MS);
  }
}

function tool(shown: Icon, key: Key): HTMLButtonElement {
  const button = element('button', { type: 'button', className: `tool ${shown}` }, icon(shown));
  return label(button, { title: key, name: key });
}
