// A slot's state in words, for the eye and for those who listen instead of look. Pure.
import type { Problem, State } from '@sunroom/sdk';
import { language, text, type Key } from './texts';

/** What a tile says. */
export interface Words {
  /**
   * How it looks: calm while all is well, busy while something is under way, off when there is nothing to see, and hidden
   * when what is on the screen is not to be seen.
   */
  readonly mood: 'live' | 'busy' | 'off' | 'hidden';
  readonly title: string;
  readonly detail: string;
  /** What may be done about it. */
  readonly action?: string;
}

/** A picture that has not come by then is missing, in milliseconds. */
export const PATIENCE_MS = 5_000;

/** The words for `state`, which has lasted `sinceMs`. */
export function words(state: State, sinceMs: number): Words {
  switch (state.name) {
    case 'idle':
      return say('hidden', 'tile.empty', text('tile.empty.detail'));
    case 'connecting':
      return say('busy', 'state.connecting');
    case 'waiting':
      if (state.before) return say('busy', 'state.stalled', text('state.stalled.detail'));
      return sinceMs > PATIENCE_MS ? noSignal() : say('hidden', 'state.waiting');
    case 'switching':
      return say('busy', 'state.switching');
    case 'playing':
      return say('live', 'state.playing');
    case 'no_signal':
      return noSignal();
    case 'paused':
      return say('off', 'state.paused', text('state.paused.detail'));
    case 'withdrawn':
      return say('hidden', 'state.withdrawn', text('state.withdrawn.detail'));
    case 'reconnecting':
      return say('busy', 'state.reconnecting', problemWords(state.reason));
    case 'failed':
      return { ...say('hidden', 'state.failed', problemWords(state.reason)), action: text('action.retry') };
    case 'ended':
      if (state.why === 'closed') return say('hidden', 'state.closed');
      return { ...say('hidden', 'state.replaced', text('state.replaced.detail')), action: text('action.here') };
  }
}

/** Whether a spinner belongs to a state. */
export function isUnderWay(state: State): boolean {
  return ['connecting', 'waiting', 'switching', 'reconnecting'].includes(state.name);
}

/** Codes that share their words with others. */
const ALIASES: Readonly<Record<string, Key>> = {
  grant_expired: 'problem.grant',
  grant_invalid: 'problem.grant',
  no_grant: 'problem.grant',
  no_node: 'problem.busy',
  node_full: 'problem.busy',
  node_draining: 'problem.busy',
  node_unreachable: 'problem.busy',
  directory_unavailable: 'problem.busy',
  too_slow: 'problem.busy',
};

const KEYS: readonly Key[] = [
  'problem.unreachable',
  'problem.timeout',
  'problem.ice_timeout',
  'problem.connection_lost',
  'problem.no_frames',
  'problem.unsupported',
  'problem.camera_not_granted',
  'problem.ended_grant_over',
  'problem.ended_node_stopping',
];

/** A problem in the page's language: by its code, or in the service's own words where those are the page's. */
export function problemWords({ code, detail, title, status }: Problem): string {
  const known = ALIASES[code] ?? KEYS.find((key) => key === `problem.${code}`);
  if (known) return text(known);
  if (code.startsWith('ended_')) return text('problem.ended');
  if (status === 503 || status === 429) return text('problem.busy');
  if (language() === 'en' && (detail || title)) return detail || title;
  return text('problem.other', { code });
}

function noSignal(): Words {
  return say('off', 'state.nosignal', text('state.nosignal.detail'));
}

function say(mood: Words['mood'], title: Key, detail = ''): Words {
  return { mood, title: text(title), detail };
}
