// The encoding for a choice and a place.
import { describe, expect, it } from 'vitest';
import { encodingFor } from '../src/size';

const both = [
  { rid: 'h', width: 1280, height: 720 },
  { rid: 'l', width: 640, height: 360 },
] as const;

describe('encodingFor', () => {
  it('takes the small one where it fills the place', () => {
    expect(encodingFor('auto', both, 640)).toBe('l');
    expect(encodingFor('auto', both, 1200)).toBe('h');
  });
  it('takes what there is', () => {
    expect(encodingFor('auto', [both[1]], 4000)).toBe('l');
    expect(encodingFor('auto', [], 4000)).toBeUndefined();
    expect(encodingFor('h', [both[1]], 4000)).toBeUndefined();
  });
  it('takes the middle one where it suffices', () => {
    const three = [...both, { rid: 'm', width: 960, height: 540 }] as const;
    expect(encodingFor('auto', three, 1000)).toBe('m');
    expect(encodingFor('auto', three, 1300)).toBe('h');
  });
  it('does as told', () => {
    expect(encodingFor('l', both, 4000)).toBe('l');
    expect(encodingFor('h', both, 100)).toBe('h');
  });
});
