// Every text that people read on the page, by key and language, and which language that is.
import { chinese } from './texts/chinese';
import { english } from './texts/english';

/** Names a text. */
export type Key = keyof typeof english;

/** The languages, by BCP 47 tag. */
export const LANGUAGES = { zh: chinese, en: english } as const;

/** A language of the page. */
export type Language = keyof typeof LANGUAGES;

/** What each language calls itself, and its tag in full. */
export const NAMES: Readonly<Record<Language, { readonly name: string; readonly tag: string }>> = {
  zh: { name: '中文', tag: 'zh-Hans' },
  en: { name: 'EN', tag: 'en' },
};

let current: Language = 'en';

/** The language that somebody reads: the one kept from before, else the first of theirs that the page speaks. */
export function languageFor(kept: string | null, theirs: readonly string[]): Language {
  if (kept === 'zh' || kept === 'en') return kept;
  for (const tag of theirs) {
    const primary = tag.toLowerCase().split('-')[0];
    if (primary === 'zh' || primary === 'en') return primary;
  }
  return 'en';
}

/** The page's language. */
export function language(): Language {
  return current;
}

/** Speaks another language from now on; what is on the page already is not touched. */
export function speak(chosen: Language): void {
  current = chosen;
}

/** The text of a key, with its `{parameters}` filled in. */
export function text(key: Key, parameters: Readonly<Record<string, string | number>> = {}): string {
  return LANGUAGES[current][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(parameters[name] ?? whole));
}
