// The viewing page: a wall of tiles, the list that fills it, and one viewer behind all of it.
// Invariant: each slot of the viewer shows what the tile of its number has; slots of tiles that nobody sees, and those beyond
// the grid, are empty.
import { ProblemError, Viewer, watchVisibility, type Problem, type State, type Stats } from '@sunroom/sdk';
import { Session, type Camera } from './api';
import { Bar } from './bar';
import { element } from './element';
import { Delay } from './figures';
import { Foot } from './foot';
import * as layouts from './layout';
import { MOST_TILES, type Grid, type Layout } from './layout';
import { List, nameOf } from './list';
import { encodingFor, type Size } from './size';
import { Ears, silence } from './sound';
import { text, type Language } from './texts';
import { Tile } from './tile';
import { PATIENCE_MS, isUnderWay, problemWords, words, type Words } from './words';

/** What is kept from visit to visit. */
export interface Memory {
  readonly layout: Layout | undefined;
  keep(layout: Layout): void;
}

/** The list of cameras is read again so often, in milliseconds. */
const LIST_MS = 5_000;
/** A tile that is drawn larger or smaller has its new size when it has kept it for so long, in milliseconds. */
const SETTLED_MS = 400;

/** One tile with all that is known of it. */
interface Cell {
  readonly tile: Tile;
  readonly delay: Delay;
  stats: Stats | undefined;
  size: Size;
  /** What nobody sees is not asked for. */
  isSeen: boolean;
  /** When its state began, in page time. */
  sinceMs: number;
  patience: ReturnType<typeof setTimeout> | undefined;
}

/** The page. */
export class Page {
  readonly #session = new Session();
  readonly #viewer = new Viewer({ grant: this.#session.grant, slots: MOST_TILES, audio: true });
  readonly #ears = new Ears(this.#viewer);
  readonly #cells: readonly Cell[];
  readonly #tiles = element('div', { className: 'tiles' });
  readonly #wall: HTMLElement;
  readonly #list = new List((camera) => this.#arrange(layouts.placed(this.#layout, camera.id)));
  readonly #foot = new Foot((size) => {
    this.#selected.size = size;
    this.#show();
  });
  readonly #bar: Bar;
  #layout: Layout;
  #cameras: readonly Camera[] = [];
  #isFilled: boolean;
  #settled: ReturnType<typeof setTimeout> | undefined;

  /** Fills `main`, and `header` with its controls. */
  constructor(
    private readonly main: HTMLElement,
    header: HTMLElement,
    private readonly memory: Memory,
    speak: (language: Language) => void,
  ) {
    this.#isFilled = memory.layout !== undefined;
    this.#layout = memory.layout ?? layouts.EMPTY;
    this.#cells = Array.from({ length: MOST_TILES }, (_, i) => this.#cell(i));
    this.#wall = element('section', { className: 'wall' }, this.#tiles, this.#foot.root);
    this.#bar = new Bar((grid) => this.#divide(grid), speak);
    header.append(this.#bar.root);
    this.#bar.show(this.#layout.grid, false);
    this.#viewer.on('state', ({ slot, state }) => this.#changed(slot, state));
    this.#viewer.on('stats', ({ slot, stats }) => this.#measured(slot, stats));
    this.#viewer.on('sound', () => this.#hear());
    this.#viewer.on('connection', ({ name }) => {
      if (name === 'reconnecting') this.#session.forget();
    });
  }

  /** Begins. */
  start(): void {
    this.#cells.forEach(({ tile }, i) => this.#viewer.slot(i).attach(tile.video));
    // Where a browser refuses to play even muted video without a gesture, the next gesture starts it.
    const play = (): void => this.#cells.forEach(({ tile }) => void tile.video.play().catch(() => undefined));
    addEventListener('pointerdown', play, { once: true });
    void this.#refresh();
  }

  /** The language has changed: what is not a fixed label is said anew. */
  said(): void {
    this.#bar.spoken();
    this.#hear();
    this.#say();
    this.#list.show(this.#cameras, this.#layout);
    if (this.#selected.stats) this.#measured(this.#layout.selected, this.#selected.stats);
  }

  get #selected(): Cell {
    return this.#at(this.#layout.selected);
  }

  #at(i: number): Cell {
    const cell = this.#cells[i];
    if (!cell) throw new RangeError(`no tile ${i}`);
    return cell;
  }

  #cell(i: number): Cell {
    const tile = new Tile(i, {
      select: () => this.#arrange({ ...this.#layout, selected: i }),
      clear: () => this.#arrange(layouts.put(this.#layout, i, null)),
      drop: (camera) => this.#arrange(layouts.put(this.#layout, i, camera)),
      sound: () => {
        const camera = this.#layout.tiles[i];
        if (!camera || this.#ears.tile === i) this.#ears.hush();
        else this.#ears.hear(i, camera);
        this.#hear();
      },
      act: () => {
        this.#session.forget();
        this.#viewer.open();
        this.#show(i);
      },
    });
    // A phone that is turned, or a window that is drawn larger, may want another encoding.
    new ResizeObserver(() => {
      clearTimeout(this.#settled);
      this.#settled = setTimeout(() => this.#show(), SETTLED_MS);
    }).observe(tile.root);
    const cell: Cell = {
      tile,
      delay: new Delay(),
      stats: undefined,
      size: 'auto',
      isSeen: true,
      sinceMs: 0,
      patience: undefined,
    };
    watchVisibility(tile.root, (isSeen) => {
      cell.isSeen = isSeen;
      this.#show();
    });
    return cell;
  }

  #divide(grid: Grid): void {
    const ids = [...this.#cameras].sort((a, b) => Number(b.live) - Number(a.live)).map((camera) => camera.id);
    const grown = grid > this.#layout.grid;
    const divided = layouts.resized(this.#layout, grid);
    this.#arrange(grown ? layouts.filled(divided, ids) : divided);
  }

  /** Takes on another layout. */
  #arrange(layout: Layout): void {
    const before = this.#layout;
    this.#layout = layout;
    this.memory.keep(layout);
    layout.tiles.forEach((camera, i) => {
      if (camera !== before.tiles[i]) this.#at(i).size = 'auto';
    });
    this.#ears.keepTo(layout.tiles);
    this.#draw();
    this.#show();
  }

  /** Puts the tiles on the wall. */
  #draw(): void {
    const { grid, selected } = this.#layout;
    this.#tiles.dataset['grid'] = String(grid);
    const roots = this.#cells.slice(0, grid).map(({ tile }) => tile.root);
    // Moving an element would interrupt its picture.
    if (this.#tiles.childElementCount > grid) [...this.#tiles.children].slice(grid).forEach((tile) => tile.remove());
    this.#tiles.append(...roots.slice(this.#tiles.childElementCount));
    this.#cells.forEach(({ tile }, i) => tile.select(grid > 1 && i === selected));
    this.#bar.show(grid, true);
    this.#list.show(this.#cameras, this.#layout);
    this.#hear();
    this.#say();
  }

  /**
   * Tells the viewer what each slot shows, and that the tile that fills the screen, or else the selected one, goes first;
   * `again` names a slot that is asked for once more.
   */
  #show(again?: number): void {
    if (!this.#wall.isConnected) return;
    const full = this.#cells.findIndex(({ tile }) => tile.isFull);
    const first = full < 0 ? this.#layout.selected : full;
    this.#cells.forEach(({ tile, size, isSeen }, i) => {
      const id = this.#layout.tiles[i];
      const camera = this.#cameras.find((c) => c.id === id);
      if (!camera || !isSeen) {
        this.#viewer.show(i, null);
        return;
      }
      const wanted = tile.isFull && size === 'auto' && camera.encodings.some((e) => e.rid === 'h') ? 'h' : size;
      const rid = encodingFor(wanted, camera.encodings, tile.pixels);
      // What failed is asked for again only when somebody wants it so.
      if (this.#viewer.slot(i).state.name === 'failed' && this.#viewer.slot(i).camera === camera.id && i !== again) return;
      this.#viewer.show(i, camera.id, { ...(rid ? { rid } : {}), ...(i === first ? { priority: 1 } : {}) });
    });
  }

  #name(i: number): string | undefined {
    const index = this.#cameras.findIndex((c) => c.id === this.#layout.tiles[i]);
    const camera = this.#cameras[index];
    return camera && nameOf(camera, index);
  }

  #changed(slot: number, state: State): void {
    const cell = this.#at(slot);
    cell.sinceMs = performance.now();
    clearTimeout(cell.patience);
    if (state.name === 'waiting') cell.patience = setTimeout(() => this.#say(), PATIENCE_MS + 50);
    if (state.name !== 'playing') {
      cell.delay.clear();
      cell.stats = undefined;
    }
    this.#say();
  }

  /** Says of each tile how it stands. */
  #say(): void {
    this.#cells.slice(0, this.#layout.grid).forEach((cell, i) => {
      const { state } = this.#viewer.slot(i);
      const name = this.#name(i);
      const said = this.#words(i);
      cell.tile.say(said, name !== undefined && isUnderWay(state), name);
      if (!cell.stats) cell.tile.delay(undefined);
    });
    const { selected } = this.#layout;
    this.#foot.say(this.#name(selected), this.#words(selected), this.#selected.size);
    this.#foot.measure(this.#selected.stats, this.#selected.delay);
  }

  #words(i: number): Words {
    const { state } = this.#viewer.slot(i);
    return words(this.#name(i) === undefined ? { name: 'idle' } : state, performance.now() - this.#at(i).sinceMs);
  }

  #measured(slot: number, stats: Stats): void {
    if (this.#viewer.slot(slot).state.name !== 'playing') return;
    const cell = this.#at(slot);
    cell.stats = stats;
    cell.delay.add(stats);
    cell.tile.delay(cell.delay.ms);
    if (slot === this.#layout.selected) this.#foot.measure(stats, cell.delay);
  }

  #hear(): void {
    this.#cells.slice(0, this.#layout.grid).forEach(({ tile }, i) => {
      const camera = this.#cameras.find((c) => c.id === this.#layout.tiles[i]);
      if (!camera) return;
      const mute = silence(camera, this.#session.mayHear(camera.id), this.#ears.isRefused(camera.id));
      tile.hear({ isOn: this.#ears.tile === i && mute === undefined, silence: mute });
    });
  }

  async #refresh(): Promise<void> {
    try {
      this.#take(await this.#session.cameras());
    } catch (thrown) {
      this.#session.forget();
      // A picture that plays is left alone: it has a connection of its own.
      if (!this.#wall.isConnected) this.#excuse(thrown instanceof ProblemError ? thrown.problem : undefined);
    }
    setTimeout(() => void this.#refresh(), LIST_MS);
  }

  #take(cameras: readonly Camera[]): void {
    this.#cameras = cameras;
    const ids = cameras.map((camera) => camera.id);
    // What was kept may be of other cameras altogether.
    if (layouts.isForeign(this.#layout, ids)) this.#isFilled = false;
    if (!this.#isFilled && cameras.length > 0) {
      this.#isFilled = true;
      const first = [...cameras].sort((a, b) => Number(b.live) - Number(a.live)).map((camera) => camera.id);
      this.#layout = layouts.filled(layouts.known(this.#layout, ids), first);
    }
    const known = layouts.known(this.#layout, ids);
    if (!this.#wall.isConnected) this.main.replaceChildren(this.#wall, this.#list.root);
    if (layouts.format(known) !== layouts.format(this.#layout)) this.#arrange(known);
    else {
      this.#draw();
      this.#show();
    }
    if (this.#viewer.connection.name === 'idle') this.#viewer.open();
  }

  /** Says why nothing can be shown, and what to do. */
  #excuse(problem: Problem | undefined): void {
    const refused = problem !== undefined && problem.status >= 400 && problem.status < 500;
    const title = element('h2', { textContent: text(refused ? 'refused.title' : 'fault.title') });
    const body = element('p', { textContent: text(refused ? 'refused.body' : 'fault.body') });
    const detail = element('p', { className: 'detail', textContent: problem ? problemWords(problem) : '' });
    const retry = element('button', { type: 'button', textContent: text('action.retry'), onclick: () => location.reload() });
    const card = element('section', { className: 'excuse' }, title, body, detail, retry);
    card.setAttribute('role', 'alert');
    if (this.main.textContent !== card.textContent) this.main.replaceChildren(card);
  }
}
