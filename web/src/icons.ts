// The page's pictograms, drawn with the current colour. Each is decoration: the button that holds it has a name.

const PATHS = {
  fullscreen: 'M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5',
  leave: 'M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5',
  sound: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5H4ZM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11',
  mute: 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5H4ZM16 9.5l5 5M21 9.5l-5 5',
  clear: 'M6 6l12 12M18 6 6 18',
  grid1: 'M4 5.5h16v13H4z',
  grid4: 'M4 5.5h16v13H4zM12 5.5v13M4 12h16',
  grid9: 'M4 5.5h16v13H4zM9.3 5.5v13M14.7 5.5v13M4 9.8h16M4 14.2h16',
} as const;

/** Names a pictogram. */
export type Icon = keyof typeof PATHS;

/** A pictogram of 24 by 24 units. */
export function icon(name: Icon): SVGElement {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(space, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}
