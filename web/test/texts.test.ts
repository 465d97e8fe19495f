// The texts in all languages, and the choice among them.
import { afterEach, describe, expect, it } from 'vitest';
import { LANGUAGES, languageFor, speak, text, type Key, type Language } from '../src/texts';

const keys = Object.keys(LANGUAGES.en) as Key[];
const parameters = (value: string): string[] => [...value.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '').sort();

afterEach(() => speak('en'));

describe.each(Object.keys(LANGUAGES) as Language[])('%s', (language) => {
  const table: Readonly<Record<string, string>> = LANGUAGES[language];
  it('has every text, and none that others lack', () => {
    expect(Object.keys(table).sort()).toEqual([...keys].sort());
    for (const key of keys) expect(table[key]?.trim(), key).toBeTruthy();
  });
  it('has the same parameters in each text', () => {
    for (const key of keys) expect(parameters(table[key] ?? ''), key).toEqual(parameters(LANGUAGES.en[key]));
  });
});

describe('the language', () => {
  it('is the first of the reader’s that the page speaks', () => {
    expect(languageFor(null, ['zh-CN', 'en'])).toBe('zh');
    expect(languageFor(null, ['fr', 'zh-Hant-TW', 'en'])).toBe('zh');
    expect(languageFor(null, ['de', 'en-GB'])).toBe('en');
    expect(languageFor(null, [])).toBe('en');
  });
  it('stays the one chosen before', () => {
    expect(languageFor('en', ['zh-CN'])).toBe('en');
    expect(languageFor('xx', ['zh-CN'])).toBe('zh');
  });
  it('is spoken at once', () => {
    speak('zh');
    expect(text('delay.value', { ms: 40 })).toBe('40 毫秒');
  });
});
