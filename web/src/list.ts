// The list of cameras to pick from.
import type { Camera } from './api';
import { element } from './element';
import { text } from './texts';

/** Shows cameras as buttons, the chosen one marked. */
export class List {
  readonly root: HTMLElement;
  readonly #items = element('ul');
  readonly #empty = element('p', { className: 'empty', textContent: text('cameras.none') });
  #shown = '';

  constructor(private readonly pick: (camera: Camera) => void) {
    const title = element('h2', { id: 'cameras', textContent: text('cameras') });
    this.root = element('nav', { className: 'list' }, title, this.#items, this.#empty);
    this.root.setAttribute('aria-labelledby', 'cameras');
  }

  /** Shows `cameras`. Unchanged ones leave the page, and the reader's focus, alone. */
  show(cameras: readonly Camera[], chosen: string | undefined): void {
    const shown = JSON.stringify([cameras, chosen]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset['camera'] : undefined;
    this.#items.replaceChildren(...cameras.map((camera) => this.#item(camera, camera.id === chosen)));
    this.#empty.hidden = cameras.length > 0;
    if (focused) this.#items.querySelector<HTMLElement>(`[data-camera="${CSS.escape(focused)}"]`)?.focus();
  }

  #item(camera: Camera, chosen: boolean): HTMLElement {
    const status = text(camera.live ? 'camera.live' : 'camera.away');
    const button = element(
      'button',
      { type: 'button', className: camera.live ? 'camera on' : 'camera', onclick: () => this.pick(camera) },
      element('span', { className: 'dot' }),
      element('span', { className: 'name', textContent: camera.name }),
      element('span', { className: 'status', textContent: status }),
    );
    button.dataset['camera'] = camera.id;
    if (chosen) button.setAttribute('aria-current', 'true');
    return element('li', {}, button);
  }
}
