// The viewing page: asks what may be seen, shows one camera large and the rest to pick from.
import { ProblemError, Viewer, type Problem } from '@sunroom/sdk';
import { Session, type Camera } from './api';
import { element } from './element';
import { List } from './list';
import { encodingFor, type Size } from './size';
import { Stage } from './stage';
import { text } from './texts';
import { PATIENCE_MS, words } from './words';
import './style.css';

/** The list of cameras is read again so often, in milliseconds. */
const LIST_MS = 5_000;

const session = new Session();
const viewer = new Viewer({ grant: session.grant });
const stage = new Stage('auto', (size) => {
  chosen.size = size;
  watch();
});
const list = new List((camera) => {
  chosen.id = camera.id;
  history.replaceState(null, '', `#${camera.id}`);
  list.show(cameras, chosen.id);
  watch(viewer.state.name === 'failed');
});
const app = document.querySelector<HTMLElement>('#app') ?? document.body;

/** What was picked; the address keeps the camera across a reload. */
const chosen: { id: string | undefined; size: Size } = { id: location.hash.slice(1) || undefined, size: 'auto' };
let cameras: readonly Camera[] = [];
let watching = '';

/** Watches what is chosen, unless that is what is watched already; `again` asks for it all the same. */
function watch(again = false): void {
  const camera = cameras.find((c) => c.id === chosen.id);
  if (!camera) return;
  const rid = encodingFor(chosen.size, camera.encodings, stage.pixels);
  const wanted = `${camera.id} ${rid ?? ''}`;
  if (wanted === watching && !again) return;
  watching = wanted;
  viewer.connect(camera.id, rid ? { rid } : {});
}

let patience: ReturnType<typeof setTimeout> | undefined;

function say(sinceMs = 0): void {
  const name = cameras.find((c) => c.id === chosen.id)?.name ?? '';
  stage.say(words(viewer.state, sinceMs), name);
}

viewer.on('state', (state) => {
  clearTimeout(patience);
  if (state.name === 'reconnecting') session.forget();
  if (state.name === 'waiting') patience = setTimeout(() => say(Infinity), PATIENCE_MS);
  say();
});
viewer.on('stats', (stats) => {
  if (viewer.state.name === 'playing') stage.measure(stats);
});

async function refresh(): Promise<void> {
  try {
    cameras = await session.cameras();
    if (!cameras.some((c) => c.id === chosen.id)) chosen.id = (cameras.find((c) => c.live) ?? cameras[0])?.id;
    if (!stage.root.isConnected) app.replaceChildren(stage.root, list.root);
    list.show(cameras, chosen.id);
    if (watching === '') {
      say();
      watch();
    }
  } catch (thrown) {
    session.forget();
    // A picture that plays is left alone: it has a connection of its own.
    if (!stage.root.isConnected) excuse(thrown instanceof ProblemError ? thrown.problem : undefined);
  }
  setTimeout(() => void refresh(), LIST_MS);
}

/** Says why nothing can be shown, and what to do. */
function excuse(problem: Problem | undefined): void {
  const refused = problem !== undefined && problem.status >= 400 && problem.status < 500;
  const title = element('h2', { textContent: text(refused ? 'refused.title' : 'fault.title') });
  const body = element('p', { textContent: text(refused ? 'refused.body' : 'fault.body') });
  const detail = element('p', { className: 'detail', textContent: problem?.detail ?? '' });
  const retry = element('button', { type: 'button', textContent: text('retry'), onclick: () => location.reload() });
  const card = element('section', { className: 'excuse' }, title, body, detail, retry);
  card.setAttribute('role', 'alert');
  if (app.textContent !== card.textContent) app.replaceChildren(card);
}

// A phone that is turned, or a window that is drawn larger, may want the other encoding.
let settled: ReturnType<typeof setTimeout> | undefined;
new ResizeObserver(() => {
  clearTimeout(settled);
  settled = setTimeout(() => watch(), 500);
}).observe(stage.root);

// A video element that waits for its picture holds the load event back, and the browser's tab would seem to load forever.
function start(): void {
  viewer.attach(stage.video);
  void refresh();
}
if (document.readyState === 'complete') start();
else addEventListener('load', start, { once: true });
