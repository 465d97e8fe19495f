// Which encoding suits the place that the picture has. Pure.
import type { Rid } from '@sunroom/sdk';
import type { Encoding } from './api';

/** What people choose. */
export type Size = 'auto' | 'h' | 'l';

/** A smaller picture may be stretched so far before the next one is fetched instead. */
const STRETCH = 1.25;
/** From small to large, with the width of an encoding whose size is not known yet. */
const ORDER: readonly (readonly [Rid, number])[] = [
  ['l', 640],
  ['m', 960],
  ['h', 1920],
];

/** The encoding for a choice and a place of `pixels` device pixels across; undefined leaves it to the service. */
export function encodingFor(size: Size, encodings: readonly Encoding[], pixels: number): Rid | undefined {
  const offered = ORDER.flatMap(([rid, usual]) => {
    const encoding = encodings.find((e) => e.rid === rid);
    return encoding ? [{ rid, width: encoding.width ?? usual }] : [];
  });
  if (size !== 'auto') return offered.find(({ rid }) => rid === size)?.rid;
  return (offered.find(({ width }) => pixels <= width * STRETCH) ?? offered.at(-1))?.rid;
}
