// Whose frames come, and whether they move.
import { describe, expect, it } from 'vitest';
import { Picture, STALLED_MS } from '../src/picture';

function playing(): Picture {
  const picture = new Picture();
  picture.begins();
  picture.frame(900, 1000);
  return picture;
}

describe('a picture', () => {
  it('is of the camera asked for from its first frame on, where the stream begins with it', () => {
    const picture = new Picture();
    picture.begins();
    expect(picture.view).toBe('none');
    expect(picture.frame(5, 10)).toBe(true);
    expect(picture.frame(45, 50)).toBe(false);
    expect(picture.view).toBe('moving');
  });
  it('stays the former camera’s until the service sends the new one', () => {
    const picture = playing();
    picture.asked();
    expect(picture.frame(1010, 1020)).toBe(false);
    expect(picture.view).toBe('former');
    picture.live(1100);
    expect(picture.frame(1115, 1125), 'the word may have overtaken it').toBe(false);
    expect(picture.frame(1120, 1130)).toBe(true);
    expect(picture.view).toBe('moving');
  });
  it('is not taken for the new one while the buffer still gives out what came before', () => {
    const picture = playing();
    picture.asked();
    picture.live(1100);
    expect(picture.frame(1080, 1120)).toBe(false);
    expect(picture.view).toBe('former');
  });
  it('is not confused by a quick change of mind', () => {
    const picture = playing();
    picture.asked();
    picture.live(1100);
    picture.asked();
    expect(picture.frame(1200, 1210)).toBe(false);
    picture.live(1300);
    expect(picture.frame(1330, 1340)).toBe(true);
  });
  it('does with the service’s answer alone, a moment later', () => {
    const picture = playing();
    picture.asked();
    picture.answered(1100);
    expect(picture.frame(1110, 1120)).toBe(false);
    expect(picture.frame(1400, 1410)).toBe(true);
  });
  it('shows nothing of the former camera where nothing was on the screen', () => {
    const picture = playing();
    picture.cleared();
    picture.asked();
    expect(picture.view).toBe('none');
    expect(picture.frame(1500, 1510)).toBe(false);
    picture.live(1600);
    expect(picture.frame(1630, 1640)).toBe(true);
  });
  it('stands still after a while without frames, and at once when the service says so', () => {
    const picture = playing();
    picture.tick(1000 + STALLED_MS);
    expect(picture.view).toBe('moving');
    picture.tick(1001 + STALLED_MS);
    expect(picture.view).toBe('still');
    expect(picture.frame(5000, 5010)).toBe(false);
    picture.stopped();
    expect(picture.view).toBe('still');
  });
  it('is seen by the statistics where no element shows it', () => {
    const picture = new Picture();
    picture.begins();
    expect(picture.decoded(0, 1000)).toBe(false);
    expect(picture.decoded(12, 2000)).toBe(true);
    picture.asked();
    expect(picture.decoded(40, 3000)).toBe(false);
    picture.live(3100);
    expect(picture.decoded(50, 4000), 'the first count may be of the former camera').toBe(false);
    expect(picture.decoded(60, 5000)).toBe(true);
  });
});
