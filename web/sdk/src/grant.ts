// What is read of a grant on this side: when it ends, to renew it in time, and what may be heard, to say so beforehand.
// Nobody here can check its signature; the service does.

/** The end of a grant (JWT `exp`) in milliseconds since 1970; undefined if the token does not say. */
export function expiryMs(token: string): number | undefined {
  const exp = claims(token)['exp'];
  return typeof exp === 'number' ? exp * 1000 : undefined;
}

/** The cameras that may be heard with a grant. */
export function audible(token: string): ReadonlySet<string> {
  const cameras: unknown = claims(token)['cameras'];
  const entries = (Array.isArray(cameras) ? cameras : []) as readonly ({ id?: unknown; audio?: unknown } | null)[];
  return new Set(entries.flatMap((entry) => (entry?.audio === true && typeof entry.id === 'string' ? [entry.id] : [])));
}

function claims(token: string): Record<string, unknown> {
  try {
    const payload = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const value: unknown = JSON.parse(atob(payload));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
