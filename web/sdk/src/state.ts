// The viewer's states and what moves it from one to another. Pure: the Viewer feeds it events and shows the result.
import type { Problem } from './problem';

/** Where a viewer stands. */
export type State =
  /** Nothing asked for yet. */
  | { readonly name: 'idle' }
  /** A camera was asked for; not connected to it. */
  | { readonly name: 'connecting' }
  /** Connected, and no picture comes; `before` tells whether there has been one on this connection. */
  | { readonly name: 'waiting'; readonly before: boolean }
  /** The picture moves. */
  | { readonly name: 'playing' }
  /** The connection was lost or refused for now; attempt number `attempt` follows. */
  | { readonly name: 'reconnecting'; readonly attempt: number; readonly reason: Problem }
  /** Trying again does not help. */
  | { readonly name: 'failed'; readonly reason: Problem }
  /** Closed by the page. */
  | { readonly name: 'ended' };

/** What happens to a viewer. */
export type Happening =
  | { readonly is: 'asked' }
  | { readonly is: 'connected' }
  | { readonly is: 'picture' }
  | { readonly is: 'stalled' }
  | { readonly is: 'lost'; readonly attempt: number; readonly reason: Problem }
  | { readonly is: 'refused'; readonly reason: Problem }
  | { readonly is: 'closed' };

/** The state after `happening`. What cannot happen in a state leaves it as it is: late events of a past connection. */
export function next(state: State, happening: Happening): State {
  if (happening.is === 'asked') return { name: 'connecting' };
  if (state.name === 'idle' || state.name === 'ended' || state.name === 'failed') {
    return happening.is === 'closed' ? { name: 'ended' } : state;
  }
  switch (happening.is) {
    case 'connected':
      return state.name === 'playing' || state.name === 'waiting' ? state : { name: 'waiting', before: false };
    case 'picture':
      return state.name === 'playing' ? state : { name: 'playing' };
    case 'stalled':
      return state.name === 'playing' ? { name: 'waiting', before: true } : state;
    case 'lost':
      return { name: 'reconnecting', attempt: happening.attempt, reason: happening.reason };
    case 'refused':
      return { name: 'failed', reason: happening.reason };
    case 'closed':
      return { name: 'ended' };
  }
}
