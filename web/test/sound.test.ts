// Why a camera cannot be heard.
import { expect, it } from 'vitest';
import { silence } from '../src/sound';

const camera = { id: 'a', name: 'Playroom', live: true, encodings: [], audio: { codec: 'PCMA', live: true } };
const mute = { id: 'a', name: 'Playroom', live: true, encodings: [] };

it('is no reason where it can', () => {
  expect(silence(camera, true, false)).toBeUndefined();
});
it('is that it sends none, or nothing that browsers play, or that it is not permitted', () => {
  expect(silence(undefined, true, false)).toBe('This camera sends no sound.');
  expect(silence(mute, true, false)).toBe('This camera sends no sound.');
  expect(silence({ ...camera, audio: { codec: 'mpeg4-generic', live: false } }, true, false)).toContain('(AAC)');
  expect(silence(camera, false, false)).toBe('Listening to this camera is not permitted.');
  expect(silence(camera, true, true)).toBe('The sound cannot be heard at the moment.');
});
