// Which encoding suits the place that the picture has. Pure.
import type { Rid } from '@sunroom/sdk';
import type { Encoding } from './api';

/** What people choose. */
export type Size = 'auto' | Rid;

/** A small picture may be stretched so far before the large one is fetched instead. */
const STRETCH = 1.25;

/** The encoding for a choice and a stage of `pixels` device pixels across; undefined leaves it to the service. */
export function encodingFor(size: Size, encodings: readonly Encoding[], pixels: number): Rid | undefined {
  const offered = (rid: Rid): Encoding | undefined => encodings.find((e) => e.rid === rid);
  if (size !== 'auto') return offered(size)?.rid;
  const small = offered('l');
  const fits = small !== undefined && pixels <= (small.width ?? 640) * STRETCH;
  return (fits ? small : (offered('h') ?? small))?.rid;
}
