// Texts that stay with their element: fixed labels, which change with the language and with nothing else.
import { text, type Key } from './texts';

/** Where an element carries texts. */
export interface Labels {
  /** As its content. */
  readonly text?: Key;
  /** As its tooltip. */
  readonly title?: Key;
  /** As its name for those who listen. */
  readonly name?: Key;
}

/** Labels an element, now and in every other language later. */
export function label<E extends HTMLElement>(element: E, labels: Labels): E {
  if (labels.text) element.dataset['text'] = labels.text;
  if (labels.title) element.dataset['title'] = labels.title;
  if (labels.name) element.dataset['name'] = labels.name;
  apply(element);
  return element;
}

/** Labels all elements below `root` anew. */
export function relabel(root: ParentNode): void {
  for (const element of root.querySelectorAll<HTMLElement>('[data-text], [data-title], [data-name]')) apply(element);
}

function apply(element: HTMLElement): void {
  const { text: content, title, name } = element.dataset;
  if (content) element.textContent = text(content as Key);
  if (title) element.title = text(title as Key);
  if (name) element.setAttribute('aria-label', text(name as Key));
}
