// Tells when page, machine or network come back, or the network may have become another one.

/** Who is told. */
export interface NetworkListener {
  /** What waited may try at once. */
  resumed(): void;
  /** The way to the service may be another one. */
  moved(): void;
  /** The page is being left; `shown` calls back if it comes out of the browser's cache again. */
  left(shown: (back: () => void) => void): void;
}

/** What browsers that know it tell of the network (WICG netinfo). */
interface NetworkInformation extends EventTarget {
  readonly type?: string;
}

/** Listens until the function that it returns is called. */
export function watchNetwork(listener: NetworkListener): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  document.addEventListener('visibilitychange', () => document.visibilityState !== 'hidden' && listener.resumed(), { signal });
  window.addEventListener(
    'online',
    () => {
      listener.resumed();
      listener.moved();
    },
    { signal },
  );
  window.addEventListener(
    'pagehide',
    () => listener.left((back) => window.addEventListener('pageshow', back, { once: true })),
    { signal },
  );
  const { connection } = navigator as { connection?: NetworkInformation };
  let type = connection?.type;
  connection?.addEventListener(
    'change',
    () => {
      // It also changes with every estimate of the rate.
      const isOther = connection.type !== type;
      type = connection.type;
      if (isOther && type !== 'none') listener.moved();
    },
    { signal },
  );
  return () => stop.abort();
}
