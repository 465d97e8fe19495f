// The WHEP calls (draft-ietf-wish-whep): an offer posted, its answer, and the end of the connection it made.
// Invariant: the grant travels in the Authorization header only, never in an address.
import { ProblemError, local, readProblem } from './problem';

/** Names an encoding of a camera: main, or sub stream. */
export type Rid = 'h' | 'l';

/** A connection that the service has made. */
export interface Resource {
  /** SDP answer. */
  readonly answer: string;
  /** Its address. */
  readonly location: string;
}

/** No answer within this time counts as none, in milliseconds. */
const TIMEOUT_MS = 10_000;

/** Posts an offer to watch `camera`; without `rid` the grant's largest encoding is meant. Throws ProblemError. */
export async function open(
  base: string,
  camera: string,
  rid: Rid | undefined,
  grant: string,
  offer: string,
  signal: AbortSignal,
): Promise<Resource> {
  const url = new URL(`/whep/${encodeURIComponent(camera)}`, base);
  if (rid) url.searchParams.set('rid', rid);
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${grant}`, 'content-type': 'application/sdp' },
    body: offer,
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  });
  if (response.status !== 201) throw new ProblemError(await readProblem(response));
  const location = response.headers.get('location');
  if (location === null) {
    throw new ProblemError(local('no_location', 'Incomplete answer', 'The service named no connection.'));
  }
  return { answer: await response.text(), location: new URL(location, url).href };
}

/** Ends a connection. It goes out even while the page is being left; a lost one is cleaned up by the service. */
export async function end(resource: Resource, grant: string): Promise<void> {
  const headers = { authorization: `Bearer ${grant}` };
  await fetch(resource.location, { method: 'DELETE', headers, keepalive: true }).catch(() => undefined);
}
