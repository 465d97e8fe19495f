// The calls of a viewer's session: made by an offer, changed, its ICE restarted, ended.
// Invariant: the grant travels in the Authorization header only, never in an address.
import { ProblemError, local, readProblem } from './problem';

/** Names an encoding of a camera, from large to small. */
export type Rid = 'h' | 'm' | 'l';

/**
 * What a slot shows: a camera, in an encoding no larger than `rid`; the grant's largest bounds it. Slots with more
 * `priority` (0 to 255; 0 when left out) are served first.
 */
export interface Show {
  readonly camera: string;
  readonly rid?: Rid;
  readonly priority?: number;
}

/** What a session begins with. */
export interface Opening {
  /** SDP offer. */
  readonly offer: string;
  /** By slot number. */
  readonly slots: readonly (Show | null)[];
  /** The camera heard. */
  readonly audio?: string | null;
}

/** What is to change; what is not named stays. With nothing named, the call's grant renews the session. */
export interface Change {
  readonly slots?: readonly SlotChange[];
  readonly audio?: { readonly camera: string | null };
}

/** What one slot is to show. */
export interface SlotChange {
  readonly slot: number;
  readonly camera: string | null;
  readonly rid?: Rid;
  readonly priority?: number;
}

/** A session that the service has made. */
export interface Made {
  /** SDP answer. */
  readonly answer: string;
  /** Its address. */
  readonly location: string;
  /** TURN servers that it may use. */
  readonly iceServers: readonly RTCIceServer[];
}

/** No answer within this time counts as none, in milliseconds. */
const TIMEOUT_MS = 10_000;
/** A change that takes longer is asked for again: those after it wait. */
const CHANGE_TIMEOUT_MS = 5_000;

/** Makes a session. Throws ProblemError, or what fetch throws. */
export async function open(base: string, grant: string, opening: Opening, signal: AbortSignal): Promise<Made> {
  const url = new URL('/v1/sessions', base);
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${grant}`, 'content-type': 'application/json' },
    body: JSON.stringify(opening),
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  if (response.status !== 201) throw new ProblemError(await readProblem(response));
  const location = response.headers.get('location');
  const body = (await response.json().catch(() => undefined)) as { answer?: unknown; iceServers?: RTCIceServer[] } | undefined;
  if (location === null || typeof body?.answer !== 'string') {
    throw new ProblemError(local('incomplete_answer', 'Incomplete answer', 'The service named no session.'));
  }
  return { answer: body.answer, location: new URL(location, url).href, iceServers: body.iceServers ?? [] };
}

/** Changes a session; `grant` takes the place of the session's. Throws ProblemError, or what fetch throws. */
export async function change(location: string, grant: string, wanted: Change, signal: AbortSignal): Promise<void> {
  const response = await fetch(location, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${grant}`, 'content-type': 'application/json' },
    body: JSON.stringify(wanted),
    signal: AbortSignal.any([signal, AbortSignal.timeout(CHANGE_TIMEOUT_MS)]),
  });
  if (!response.ok) throw new ProblemError(await readProblem(response));
}

/** Restarts ICE with a fragment of SDP (RFC 9725, section 4.3.3); answers the node's. Throws as change() does. */
export async function restart(location: string, grant: string, fragment: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(location, {
    method: 'PATCH',
    headers: {
      authorization: `Bearer ${grant}`,
      'content-type': 'application/trickle-ice-sdpfrag',
      'if-match': '"*"',
    },
    body: fragment,
    signal: AbortSignal.any([signal, AbortSignal.timeout(CHANGE_TIMEOUT_MS)]),
  });
  if (response.status !== 200) throw new ProblemError(await readProblem(response));
  return response.text();
}

/** Ends a session. It goes out even while the page is being left; a lost one is cleaned up by the service. */
export async function end(location: string, grant: string): Promise<void> {
  const headers = { authorization: `Bearer ${grant}` };
  await fetch(location, { method: 'DELETE', headers, keepalive: true }).catch(() => undefined);
}
