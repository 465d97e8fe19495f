// Below the wall: the selected tile's camera, its figures, and the choice of its size.
import type { Stats } from '@sunroom/sdk';
import { element } from './element';
import type { Delay } from './figures';
import { label } from './label';
import type { Size } from './size';
import { text, type Key } from './texts';
import type { Words } from './words';

/** The foot. */
export class Foot {
  readonly root: HTMLElement;
  readonly #name = element('h2', { className: 'name' });
  readonly #spoken = element('p', { className: 'spoken' });
  readonly #delay = new Figure('delay');
  readonly #resolution = new Figure('resolution');
  readonly #rate = new Figure('rate');
  readonly #sizes: ReadonlyMap<Size, HTMLInputElement>;

  constructor(resize: (size: Size) => void) {
    this.#spoken.setAttribute('role', 'status');
    const inputs = (['auto', 'h', 'l'] as const).map((value) => {
      const input = element('input', { type: 'radio', name: 'size', value, onchange: () => resize(value) });
      return [value, input] as const;
    });
    this.#sizes = new Map(inputs);
    const choices = inputs.map(([value, input]) => element('label', {}, input, label(element('span'), { text: `size.${value}` })));
    const legend = label(element('legend', { className: 'spoken' }), { text: 'size' });
    const sizes = element('fieldset', { className: 'sizes' }, legend, ...choices);
    const figures = element('dl', { className: 'figures' }, this.#delay.root, this.#resolution.root, this.#rate.root);
    this.root = element('div', { className: 'foot' }, this.#name, figures, sizes, this.#spoken);
  }

  /** Shows which camera is selected and how it stands; undefined for an empty tile. */
  say(camera: string | undefined, { title, detail }: Words, size: Size): void {
    this.#name.textContent = camera ?? title;
    const state = [title, detail].filter(Boolean).join(' – ');
    const spoken = camera === undefined ? state : text('announce', { camera, state });
    if (this.#spoken.textContent !== spoken) this.#spoken.textContent = spoken;
    const input = this.#sizes.get(size);
    if (input) input.checked = true;
  }

  /** Shows its figures; undefined for none. */
  measure(stats: Stats | undefined, delay: Delay): void {
    this.#delay.name(delay.kind, `${delay.kind}.title`);
    const ms = stats && delay.ms;
    this.#delay.show(ms === undefined ? undefined : text('delay.value', { ms }));
    const { width, height, bitsPerSecond: bits } = stats ?? {};
    this.#resolution.show(width && height ? text('resolution.value', { width, height }) : undefined);
    this.#rate.show(bits === undefined ? undefined : text('rate.value', { mbps: (bits / 1e6).toFixed(1) }));
  }
}

/** A figure and what it is of. */
class Figure {
  readonly root: HTMLElement;
  readonly #label: HTMLElement;
  readonly #value = element('dd', { textContent: text('unknown') });

  constructor(key: Key) {
    this.#label = label(element('dt'), { text: key });
    this.#value.dataset['figure'] = key;
    this.root = element('div', {}, this.#label, this.#value);
  }

  name(key: Key, title: Key): void {
    label(this.#label, { text: key });
    label(this.root, { title });
  }

  show(value: string | undefined): void {
    this.#value.textContent = value ?? text('unknown');
  }
}
