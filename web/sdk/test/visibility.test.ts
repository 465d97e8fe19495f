// Whether a picture can be seen.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { UNSEEN_MS, watchVisibility } from '../src/visibility';

const told: boolean[] = [];
let intersect: (isIntersecting: boolean) => void;
let disconnected: boolean;
let page: EventTarget & { visibilityState: string; pictureInPictureElement: object | null };
let element: EventTarget & { contains(other: object): boolean };

class FakeObserver {
  constructor(callback: (entries: readonly { isIntersecting: boolean }[]) => void) {
    intersect = (isIntersecting) => callback([{ isIntersecting }]);
  }

  observe(): void {
    intersect(true);
  }

  disconnect(): void {
    disconnected = true;
  }
}

function hide(visibilityState: string): void {
  page.visibilityState = visibilityState;
  page.dispatchEvent(new Event('visibilitychange'));
}

beforeEach(() => {
  vi.useFakeTimers();
  told.length = 0;
  disconnected = false;
  page = Object.assign(new EventTarget(), { visibilityState: 'visible', pictureInPictureElement: null });
  element = Object.assign(new EventTarget(), { contains: (other: object) => other === element });
  vi.stubGlobal('document', page);
  vi.stubGlobal('IntersectionObserver', FakeObserver);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const watch = (): (() => void) => watchVisibility(element as unknown as Element, (isSeen) => told.push(isSeen));

describe('a picture', () => {
  it('is unseen when it has been out of view for a while, and seen at once when it is back', () => {
    watch();
    intersect(false);
    vi.advanceTimersByTime(UNSEEN_MS - 1);
    expect(told).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(told).toEqual([false]);
    intersect(true);
    expect(told).toEqual([false, true]);
  });

  it('that is out of view for a moment stays as it is', () => {
    watch();
    hide('hidden');
    vi.advanceTimersByTime(UNSEEN_MS - 1);
    hide('visible');
    vi.advanceTimersByTime(2 * UNSEEN_MS);
    expect(told).toEqual([]);
  });

  it('of a hidden page is unseen, unless it has a window of its own', () => {
    watch();
    page.pictureInPictureElement = element;
    hide('hidden');
    vi.advanceTimersByTime(2 * UNSEEN_MS);
    expect(told).toEqual([]);
    page.pictureInPictureElement = null;
    element.dispatchEvent(new Event('leavepictureinpicture'));
    vi.advanceTimersByTime(UNSEEN_MS);
    expect(told).toEqual([false]);
  });

  it('that is no longer watched tells nothing', () => {
    const stop = watch();
    hide('hidden');
    stop();
    vi.advanceTimersByTime(2 * UNSEEN_MS);
    hide('visible');
    expect([told, disconnected]).toEqual([[], true]);
  });
});
