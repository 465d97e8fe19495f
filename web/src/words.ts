// A viewer's state in words, for the stage and for those who listen instead of look. Pure.
import type { State } from '@sunroom/sdk';
import { text } from './texts';

/** What the stage says. */
export interface Words {
  /** How it looks: calm while all is well, busy while something is under way, off when there is nothing to see. */
  readonly mood: 'live' | 'busy' | 'off';
  readonly title: string;
  readonly detail: string;
}

/** A picture that has not come by then is missing, in milliseconds. */
export const PATIENCE_MS = 5_000;

/** The words for `state`, which has lasted `sinceMs`. */
export function words(state: State, sinceMs: number): Words {
  const noSignal: Words = { mood: 'off', title: text('state.nosignal'), detail: text('state.nosignal.detail') };
  switch (state.name) {
    case 'idle':
      return { mood: 'off', title: text('state.idle'), detail: '' };
    case 'connecting':
      return { mood: 'busy', title: text('state.connecting'), detail: '' };
    case 'waiting':
      if (state.before || sinceMs > PATIENCE_MS) return noSignal;
      return { mood: 'busy', title: text('state.waiting'), detail: '' };
    case 'playing':
      return { mood: 'live', title: text('state.playing'), detail: '' };
    case 'reconnecting':
      if (state.reason.code === 'no_frames') return noSignal;
      return { mood: 'busy', title: text('state.reconnecting'), detail: state.reason.detail || state.reason.title };
    case 'failed':
      return { mood: 'off', title: text('state.failed'), detail: state.reason.detail || state.reason.title };
    case 'ended':
      return { mood: 'off', title: text('state.ended'), detail: '' };
  }
}
