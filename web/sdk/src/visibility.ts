// Whether a picture can be seen: its element is within the page's view, or nearly, and the page is not hidden.
// Invariant: what is seen again is told at once; what is not, only when it has stayed so.

/** An element this far outside the view, as a share of the view, is still within it: it may be scrolled to. */
const MARGIN = '50%';
/** What nobody has seen for so long is told to be unseen, in milliseconds. */
export const UNSEEN_MS = 5_000;

/** Tells `changed` whether an element can be seen, each time that changes; it begins as seen. Ends by the function returned. */
export function watchVisibility(element: Element, changed: (isSeen: boolean) => void): () => void {
  const stop = new AbortController();
  let [isNear, isSeen] = [true, true];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tell = (next: boolean): void => {
    if (next === isSeen) return;
    isSeen = next;
    changed(next);
  };
  const look = (): void => {
    // A picture of its own window is seen wherever its page is.
    const isApart = document.pictureInPictureElement !== null && element.contains(document.pictureInPictureElement);
    const isIn = isApart || (isNear && document.visibilityState !== 'hidden');
    clearTimeout(timer);
    timer = undefined;
    if (isIn) tell(true);
    else if (isSeen) timer = setTimeout(() => tell(false), UNSEEN_MS);
  };
  const observer = new IntersectionObserver(
    (entries) => {
      isNear = entries.at(-1)?.isIntersecting ?? isNear;
      look();
    },
    { rootMargin: MARGIN },
  );
  observer.observe(element);
  document.addEventListener('visibilitychange', look, { signal: stop.signal });
  for (const event of ['enterpictureinpicture', 'leavepictureinpicture']) {
    element.addEventListener(event, look, { signal: stop.signal, capture: true });
  }
  return () => {
    stop.abort();
    observer.disconnect();
    clearTimeout(timer);
  };
}
