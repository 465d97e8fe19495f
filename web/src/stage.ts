// The stage: the picture, what is to be said about it, its figures, and the choice of its size.
import type { Stats } from '@sunroom/sdk';
import { element } from './element';
import type { Size } from './size';
import { text, type Key } from './texts';
import type { Words } from './words';

/** The delay shown is the median of so many readings: a figure that people can read. */
const READINGS = 5;

/** The large picture and all around it. */
export class Stage {
  readonly root: HTMLElement;
  readonly video = element('video', { autoplay: true, muted: true, playsInline: true });
  readonly #frame = element('div', { className: 'frame' });
  readonly #pill = element('span', { className: 'pill' });
  readonly #title = element('p', { className: 'title' });
  readonly #detail = element('p', { className: 'detail' });
  readonly #name = element('h2', { className: 'name' });
  readonly #spoken = element('p', { className: 'spoken' });
  readonly #delay = figure('delay');
  readonly #resolution = figure('resolution');
  readonly #rate = figure('rate');
  /** Readings of one kind of delay: two kinds have no median in common. */
  #delays: number[] = [];
  #kind: 'delay' | 'transit' = 'delay';

  constructor(size: Size, resize: (size: Size) => void) {
    // A page without a user's gesture may play muted video; where even that is refused, the next gesture starts it.
    addEventListener('pointerdown', () => void this.video.play().catch(() => undefined), { once: true });
    this.#spoken.setAttribute('role', 'status');
    const said = element('div', { className: 'said' }, element('span', { className: 'spinner' }), this.#title, this.#detail);
    said.setAttribute('aria-hidden', 'true');
    this.#pill.setAttribute('aria-hidden', 'true');
    this.#frame.append(this.video, said, this.#pill, this.#fullscreen());
    const figures = element('dl', { className: 'figures' }, this.#delay.root, this.#resolution.root, this.#rate.root);
    const foot = element('div', { className: 'foot' }, this.#name, figures, sizes(size, resize));
    this.root = element('section', { className: 'stage' }, this.#frame, foot, this.#spoken);
  }

  /** Device pixels across. */
  get pixels(): number {
    return this.#frame.clientWidth * devicePixelRatio;
  }

  /** Shows how the camera `name` stands. */
  say({ mood, title, detail }: Words, name: string): void {
    this.#frame.dataset['mood'] = mood;
    this.#name.textContent = name;
    this.#pill.textContent = title;
    this.#title.textContent = title;
    this.#detail.textContent = detail;
    this.video.setAttribute('aria-label', text('picture', { camera: name }));
    const spoken = text('announce', { camera: name, state: [title, detail].filter(Boolean).join(' – ') });
    if (this.#spoken.textContent !== spoken) this.#spoken.textContent = spoken;
    if (mood !== 'live') this.measure(undefined);
  }

  /** Shows a reading; undefined clears the figures. */
  measure(stats: Stats | undefined): void {
    const delay = stats?.latencyMs ?? stats?.transitMs;
    const kind = stats?.latencyMs === undefined && stats?.transitMs !== undefined ? 'transit' : 'delay';
    if (!stats || kind !== this.#kind) this.#delays = [];
    this.#kind = kind;
    if (delay !== undefined) this.#delays = [...this.#delays, delay].slice(-READINGS);
    this.#delay.name(kind, `${kind}.title`);
    const middle = this.#delays.toSorted((a, b) => a - b)[this.#delays.length >> 1];
    this.#delay.show(middle === undefined ? undefined : text('delay.value', { ms: Math.max(0, Math.round(middle)) }));
    const { width, height, bitsPerSecond: bits } = stats ?? {};
    this.#resolution.show(width && height ? text('resolution.value', { width, height }) : undefined);
    this.#rate.show(bits === undefined ? undefined : text('rate.value', { mbps: (bits / 1e6).toFixed(1) }));
  }

  #fullscreen(): HTMLElement {
    const button = element('button', { type: 'button', className: 'fullscreen', title: text('fullscreen') });
    button.setAttribute('aria-label', text('fullscreen'));
    button.hidden = !document.fullscreenEnabled;
    button.onclick = () => {
      void (document.fullscreenElement ? document.exitFullscreen() : this.#frame.requestFullscreen());
    };
    return button;
  }
}

interface Figure {
  readonly root: HTMLElement;
  readonly name: (label: Key, title: Key) => void;
  readonly show: (value: string | undefined) => void;
}

function figure(key: Key): Figure {
  const label = element('dt', { textContent: text(key) });
  const value = element('dd', { textContent: text('unknown') });
  value.dataset['figure'] = key;
  const root = element('div', {}, label, value);
  return {
    root,
    name: (key, title) => {
      label.textContent = text(key);
      root.title = text(title);
    },
    show: (shown) => (value.textContent = shown ?? text('unknown')),
  };
}

function sizes(size: Size, resize: (size: Size) => void): HTMLElement {
  const choices = (['auto', 'h', 'l'] as const).map((value) =>
    element(
      'label',
      {},
      element('input', { type: 'radio', name: 'size', value, checked: value === size, onchange: () => resize(value) }),
      element('span', { textContent: text(`size.${value}`) }),
    ),
  );
  const legend = element('legend', { className: 'spoken', textContent: text('size') });
  return element('fieldset', { className: 'sizes' }, legend, ...choices);
}
