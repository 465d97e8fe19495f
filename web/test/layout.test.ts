// Which camera stands in which tile.
import { describe, expect, it } from 'vitest';
import { EMPTY, filled, format, isForeign, known, parse, placed, put, resized } from '../src/layout';

const four = { grid: 4, tiles: ['a', null, 'c', null], selected: 0 } as const;

describe('a layout', () => {
  it('comes back from its text', () => {
    expect(parse(`#${format(four)}`)).toEqual(four);
    expect(parse(format(EMPTY))).toEqual(EMPTY);
  });
  it('is nothing in a text without one, and bounded whatever the text says', () => {
    for (const other of ['', '#', 'grid=5&tiles=a', 'tiles=a', '%%%']) expect(parse(other)).toBeUndefined();
    expect(parse(`grid=4&tiles=${Array(100).fill('a').join(',')}`)?.tiles).toHaveLength(4);
  });
  it('keeps its cameras when it grows, and the selected one when it shrinks to one', () => {
    expect(resized(four, 9).tiles.slice(0, 4)).toEqual(four.tiles);
    expect(resized({ ...four, selected: 2 }, 1)).toEqual({ grid: 1, tiles: ['c'], selected: 0 });
    expect(resized({ grid: 9, tiles: Array(9).fill('a') as string[], selected: 8 }, 4).selected).toBe(3);
  });
  it('takes a camera into the selected tile', () => {
    expect(placed(four, 'x')).toEqual({ ...four, tiles: ['x', null, 'c', null] });
  });
  it('goes on to the next empty tile when an empty one was filled', () => {
    const after = placed({ ...four, selected: 3 }, 'x');
    expect(after).toEqual({ grid: 4, tiles: ['a', null, 'c', 'x'], selected: 1 });
    expect(placed(after, 'y')).toEqual({ grid: 4, tiles: ['a', 'y', 'c', 'x'], selected: 1 });
  });
  it('takes a camera, or none, into a tile that is pointed at', () => {
    expect(put(four, 2, null)).toEqual({ ...four, tiles: ['a', null, null, null], selected: 2 });
  });
  it('is filled with cameras that are not shown yet', () => {
    expect(filled(four, ['a', 'b', 'c']).tiles).toEqual(['a', 'b', 'c', null]);
  });
  it('loses cameras that are no longer there', () => {
    expect(known(four, ['c']).tiles).toEqual([null, null, 'c', null]);
    expect(isForeign(four, ['c'])).toBe(false);
    expect(isForeign(four, ['other'])).toBe(true);
    expect(isForeign(EMPTY, ['other'])).toBe(false);
  });
});
