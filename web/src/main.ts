// Starts the viewing page: in the reader's language, with what was on the wall the last time.
import { relabel } from './label';
import { format, parse, type Layout } from './layout';
import { Page } from './page';
import { NAMES, language, languageFor, speak, text, type Language } from './texts';
import './style/base.css';
import './style/wall.css';
import './style/tile.css';
import './style/list.css';
import './style/narrow.css';

/** Where this browser keeps what people chose. */
const LANGUAGE = 'sunroom.language';
const LAYOUT = 'sunroom.layout';

/** Storage that a browser may forbid: nothing is kept then. */
function kept(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // The choice holds until the page is left.
  }
}

/** Says in the page's language what stands outside the page's own parts. */
function introduce(): void {
  document.documentElement.lang = NAMES[language()].tag;
  document.title = text('name');
  relabel(document);
}

function choose(chosen: Language): void {
  speak(chosen);
  keep(LANGUAGE, chosen);
  introduce();
  page.said();
}

speak(languageFor(kept(LANGUAGE), navigator.languages));
introduce();
const main = document.querySelector<HTMLElement>('#app') ?? document.body;
const header = document.querySelector<HTMLElement>('.bar') ?? document.body;
const layout: Layout | undefined = parse(location.hash) ?? parse(kept(LAYOUT) ?? '');
const page = new Page(
  main,
  header,
  {
    layout,
    keep: (wall) => {
      history.replaceState(null, '', `#${format(wall)}`);
      keep(LAYOUT, format(wall));
    },
  },
  choose,
);

// A video element that waits for its picture holds the load event back, and the browser's tab would seem to load forever.
if (document.readyState === 'complete') page.start();
else addEventListener('load', () => page.start(), { once: true });
