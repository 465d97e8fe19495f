// What a grant's token says.
import { expect, it } from 'vitest';
import { audible, expiryMs } from '../src/grant';

const token = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
const BAD = ['', 'a.b', 'a.!!!.c', token({}), token({ exp: 'soon', cameras: 'all' }), token({ cameras: [null, { audio: true }] })];

it('ends at its exp', () => {
  expect(expiryMs(token({ exp: 1_795_392_000, sub: 'ÿþ?' }))).toBe(1_795_392_000_000);
});
it('names the cameras that may be heard', () => {
  const cameras = [{ id: 'a', max: 'h', audio: true }, { id: 'b', max: 'l', audio: false }];
  expect([...audible(token({ cameras }))]).toEqual(['a']);
});
it('says nothing where it is no token', () => {
  for (const bad of BAD) {
    expect(expiryMs(bad)).toBeUndefined();
    expect(audible(bad).size).toBe(0);
  }
});
