// The end of a grant, read from its token.
import { expect, it } from 'vitest';
import { expiryMs } from '../src/grant';

const token = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;

it('is its exp', () => {
  expect(expiryMs(token({ exp: 1_795_392_000, sub: 'ÿþ?' }))).toBe(1_795_392_000_000);
});
it('is unknown of what is no token', () => {
  for (const bad of ['', 'a.b', 'a.!!!.c', token({}), token({ exp: 'soon' })]) expect(expiryMs(bad)).toBeUndefined();
});
