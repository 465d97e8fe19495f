// What the SDK reads of a grant: when it ends, to renew it in time. It cannot and does not check the signature.

/** The end of a grant (JWT `exp`) in milliseconds since 1970; undefined if the token does not say. */
export function expiryMs(token: string): number | undefined {
  try {
    const payload = (token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/');
    const claims: unknown = JSON.parse(atob(payload));
    const exp = typeof claims === 'object' && claims !== null && 'exp' in claims ? claims.exp : undefined;
    return typeof exp === 'number' ? exp * 1000 : undefined;
  } catch {
    return undefined;
  }
}
