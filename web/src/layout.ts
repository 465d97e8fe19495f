// Which camera stands in which tile: chosen by people, kept in the address and from visit to visit. Pure.
// Invariant: there are as many tiles as the grid has, and the selected one is among them.

/** How many tiles. */
export type Grid = 1 | 4 | 9;

/** The grids, small to large. */
export const GRIDS: readonly Grid[] = [1, 4, 9];

/** The most tiles that there are. */
export const MOST_TILES = 9;

/** A wall of tiles. */
export interface Layout {
  readonly grid: Grid;
  /** Cameras by tile, null where it is empty. */
  readonly tiles: readonly (string | null)[];
  /** The tile that the list fills. */
  readonly selected: number;
}

/** One empty tile. */
export const EMPTY: Layout = { grid: 1, tiles: [null], selected: 0 };

/** What parse() reads again. */
export function format({ grid, tiles }: Layout): string {
  return `grid=${grid}&tiles=${tiles.map((id) => encodeURIComponent(id ?? '')).join(',')}`;
}

/** The layout in a text; undefined where there is none. */
export function parse(from: string): Layout | undefined {
  const fields = new URLSearchParams(from.replace(/^#/, ''));
  const grid = GRIDS.find((g) => String(g) === fields.get('grid'));
  if (grid === undefined) return undefined;
  const ids = (fields.get('tiles') ?? '').split(',').map((id) => id || null);
  return resized({ grid, tiles: ids, selected: 0 }, grid);
}

/** `layout` with another grid. Fewer tiles keep those from the selected one on that fit. */
export function resized({ tiles, selected }: Layout, grid: Grid): Layout {
  if (grid === 1) return { grid, tiles: [tiles[selected] ?? null], selected: 0 };
  const kept = Array.from({ length: grid }, (_, i) => tiles[i] ?? null);
  return { grid, tiles: kept, selected: Math.min(selected, grid - 1) };
}

/** A camera in the selected tile. The next empty tile is selected then, so that picking on fills the wall. */
export function placed(layout: Layout, id: string): Layout {
  const filled = put(layout, layout.selected, id);
  if (layout.tiles[layout.selected] !== null) return filled;
  const order = Array.from({ length: layout.grid - 1 }, (_, i) => (layout.selected + 1 + i) % layout.grid);
  return { ...filled, selected: order.find((i) => filled.tiles[i] === null) ?? layout.selected };
}

/** A camera, or none, in a tile, which is selected. */
export function put(layout: Layout, tile: number, id: string | null): Layout {
  return { ...layout, tiles: layout.tiles.map((had, i) => (i === tile ? id : had)), selected: tile };
}

/** The empty tiles filled with cameras of `ids` that are not shown yet, in their order. */
export function filled(layout: Layout, ids: readonly string[]): Layout {
  const free = ids.filter((id) => !layout.tiles.includes(id));
  return { ...layout, tiles: layout.tiles.map((id) => id ?? free.shift() ?? null) };
}

/** Whether it has cameras, and none of `ids`. */
export function isForeign(layout: Layout, ids: readonly string[]): boolean {
  return layout.tiles.some((id) => id !== null) && !layout.tiles.some((id) => id !== null && ids.includes(id));
}

/** Without cameras that are not among `ids`. */
export function known(layout: Layout, ids: readonly string[]): Layout {
  return { ...layout, tiles: layout.tiles.map((id) => (id !== null && ids.includes(id) ? id : null)) };
}
