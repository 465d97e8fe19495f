// How the connection stands, how a slot stands, and how the second follows from the first and what is seen. Pure.
import type { EndReason, Said } from './events';
import type { View } from './picture';
import type { Problem } from './problem';

/** How a viewer's connection stands. */
export type Connection =
  /** Not opened yet. */
  | { readonly name: 'idle' }
  /** Asked for; media cannot flow yet. */
  | { readonly name: 'connecting' }
  /** Media can flow. */
  | { readonly name: 'connected' }
  /** Lost or refused for now. Attempt number `attempt` at another one follows; 0 while this one is being restored. */
  | { readonly name: 'reconnecting'; readonly attempt: number; readonly reason: Problem }
  /** Trying again does not help. */
  | { readonly name: 'failed'; readonly reason: Problem }
  /** Closed by the page, or `replaced` by another connection of the same session: another screen has it now. */
  | { readonly name: 'ended'; readonly why: 'closed' | 'replaced' };

/** How a slot stands. */
export type State =
  /** Nothing is asked for. */
  | { readonly name: 'idle' }
  /** A camera was asked for; not connected. */
  | { readonly name: 'connecting' }
  /** Connected, and no picture comes; `before` tells whether this camera's stands still on the screen. */
  | { readonly name: 'waiting'; readonly before: boolean }
  /** The last frame of the camera shown before is on the screen, until the first of the one asked for. */
  | { readonly name: 'switching' }
  /** The picture moves. */
  | { readonly name: 'playing' }
  /** The camera is not published, or its picture has stopped. It comes back by itself. */
  | { readonly name: 'no_signal' }
  /** The network does not carry this picture beside those that are served first. It comes back by itself. */
  | { readonly name: 'paused' }
  /** The grant no longer covers the camera. */
  | { readonly name: 'withdrawn' }
  /** The connection was lost; see Connection. */
  | { readonly name: 'reconnecting'; readonly attempt: number; readonly reason: Problem }
  /** Trying again does not help; asking for something may. */
  | { readonly name: 'failed'; readonly reason: Problem }
  /** The viewer has ended. */
  | { readonly name: 'ended'; readonly why: 'closed' | 'replaced' };

/** What is known of a slot. */
export interface Facts {
  readonly connection: Connection;
  /** The camera asked for. */
  readonly camera: string | null;
  /** Why it is refused. */
  readonly refused: Problem | undefined;
  /** How the service says it is. */
  readonly said: Said | undefined;
  readonly view: View;
}

/**
 * The state of a slot of which that is known. What is seen counts for more than what is told, but for the last frames of
 * what is paused.
 */
export function stateOf({ connection, camera, refused, said, view }: Facts): State {
  if (connection.name === 'ended') return connection;
  if (camera === null || connection.name === 'idle') return { name: 'idle' };
  if (connection.name === 'failed') return connection;
  if (refused) return { name: 'failed', reason: refused };
  if (said === 'withdrawn') return { name: 'withdrawn' };
  if (view === 'moving' && said !== 'paused') return { name: 'playing' };
  if (connection.name !== 'connected') return connection;
  if (said === 'no_signal' || said === 'paused') return { name: said };
  if (view === 'former') return { name: 'switching' };
  return { name: 'waiting', before: view === 'still' };
}

/** How the sound is. */
export interface Sound {
  /** The camera heard, or to be heard. */
  readonly camera: string | null;
  /** As with slots; `refused` with the reason why. */
  readonly state: Said | 'refused';
  readonly reason?: Problem;
}

/** Why a connection that ended by itself ended, as a problem: all but `replaced` are worth another attempt. */
export function endedProblem(reason: EndReason): Problem {
  const details: Record<EndReason, string> = {
    left: 'The connection was closed.',
    replaced: 'Another screen has taken over.',
    never_connected: 'The network let no video through in time.',
    silent: 'Nothing was heard from this side for a while.',
    handshake: 'The encrypted connection did not come about.',
    grant_over: 'The permission to watch ended.',
    node_stopping: 'The video service restarts.',
    unknown: 'The service ended the connection.',
  };
  return { status: 0, title: 'Connection ended', code: `ended_${reason}`, detail: details[reason] };
}

/** Whether two states are the same to those who are told. */
export function same(a: State | Connection | Sound, b: State | Connection | Sound): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
