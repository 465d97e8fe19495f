// The bar on top: the name, how many pictures at once, and the language.
import { element } from './element';
import { icon } from './icons';
import { label } from './label';
import { GRIDS, type Grid } from './layout';
import { LANGUAGES, NAMES, language, type Language } from './texts';

/** The bar's controls, put into the page's own header. */
export class Bar {
  readonly root = element('div', { className: 'controls' });
  readonly #grids = new Map<Grid, HTMLButtonElement>();
  readonly #languages = new Map<Language, HTMLButtonElement>();

  constructor(resize: (grid: Grid) => void, speak: (language: Language) => void) {
    const grids = element('div', { className: 'choice grids' });
    grids.setAttribute('role', 'group');
    label(grids, { name: 'grid' });
    for (const grid of GRIDS) {
      const button = element('button', { type: 'button', onclick: () => resize(grid) }, icon(`grid${grid}`));
      button.dataset['grid'] = String(grid);
      label(button, { title: `grid.${grid}`, name: `grid.${grid}` });
      this.#grids.set(grid, button);
      grids.append(button);
    }
    const languages = element('div', { className: 'choice languages' });
    languages.setAttribute('role', 'group');
    label(languages, { name: 'language' });
    for (const key of Object.keys(LANGUAGES) as Language[]) {
      const { name, tag } = NAMES[key];
      const button = element('button', { type: 'button', textContent: name, lang: tag, onclick: () => speak(key) });
      this.#languages.set(key, button);
      languages.append(button);
    }
    this.root.append(grids, languages);
    this.spoken();
  }

  /** Marks the grid in use; `isShown` is false while there is nothing to divide. */
  show(grid: Grid, isShown: boolean): void {
    for (const [key, button] of this.#grids) {
      button.setAttribute('aria-pressed', String(key === grid));
      button.hidden = !isShown;
    }
  }

  /** Marks the language in use. */
  spoken(): void {
    for (const [key, button] of this.#languages) button.setAttribute('aria-pressed', String(key === language()));
  }
}
