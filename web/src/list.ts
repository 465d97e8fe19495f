// The list of cameras to pick from.
import type { Camera } from './api';
import { element } from './element';
import { label } from './label';
import type { Layout } from './layout';
import { language, text } from './texts';
import { DRAGGED } from './tile';

/** Shows cameras as buttons; the one in the selected tile is marked, and which tiles the others are in. */
export class List {
  readonly root: HTMLElement;
  readonly #items = element('ul');
  readonly #hint = label(element('p', { className: 'hint' }), { text: 'cameras.hint' });
  readonly #empty = label(element('p', { className: 'empty' }), { text: 'cameras.none' });
  #shown = '';

  constructor(private readonly pick: (camera: Camera) => void) {
    const title = label(element('h2', { id: 'cameras' }), { text: 'cameras' });
    this.root = element('nav', { className: 'list' }, title, this.#hint, this.#items, this.#empty);
    this.root.setAttribute('aria-labelledby', 'cameras');
  }

  /** Shows `cameras`. Unchanged ones leave the page, and the reader's focus, alone. */
  show(cameras: readonly Camera[], layout: Layout): void {
    const shown = JSON.stringify([cameras, layout, language()]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset['camera'] : undefined;
    this.#items.replaceChildren(...cameras.map((camera, index) => this.#item(camera, index, layout)));
    this.#empty.hidden = cameras.length > 0;
    this.#hint.hidden = layout.grid === 1 || cameras.length === 0;
    if (focused) this.#items.querySelector<HTMLElement>(`[data-camera="${CSS.escape(focused)}"]`)?.focus();
  }

  #item(camera: Camera, index: number, { grid, tiles, selected }: Layout): HTMLElement {
    const within = grid === 1 ? [] : tiles.flatMap((id, tile) => (id === camera.id ? [tile + 1] : []));
    const badge = element('span', { className: 'badge', textContent: within.join(' · ') });
    badge.title = text('camera.shown', { tiles: within.join(', ') });
    badge.hidden = within.length === 0;
    const button = element(
      'button',
      { type: 'button', className: camera.live ? 'camera on' : 'camera', draggable: true, onclick: () => this.pick(camera) },
      element('span', { className: 'dot' }),
      element('span', { className: 'name', textContent: nameOf(camera, index) }),
      element('span', { className: 'status', textContent: text(camera.live ? 'camera.live' : 'camera.away') }),
      badge,
    );
    button.ondragstart = (event) => event.dataTransfer?.setData(DRAGGED, camera.id);
    button.dataset['camera'] = camera.id;
    if (tiles[selected] === camera.id) button.setAttribute('aria-current', 'true');
    return element('li', {}, button);
  }
}

/** A camera's name; one that nobody has named has its place in the list. */
export function nameOf(camera: Camera, index: number): string {
  return camera.name || text('tile.nowhere', { number: index + 1 });
}
