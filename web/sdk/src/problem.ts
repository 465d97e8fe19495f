// Problem details (RFC 9457), as every Sunroom service answers them; faults of the way there take the same shape.

/** What went wrong. Faults that never reached a service have status 0. */
export interface Problem {
  /** HTTP status code, or 0. */
  readonly status: number;
  /** What the status means. */
  readonly title: string;
  /** Stable reason code, in snake case: for programs and translation. */
  readonly code: string;
  /** What is wrong here, and what to do. */
  readonly detail: string;
  /** The service asks not to be called again for so many milliseconds. */
  readonly retryAfterMs?: number;
}

/** A problem, thrown. */
export class ProblemError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title);
    this.name = 'ProblemError';
  }
}

/** A fault on this side of the wire, or of the wire. */
export function local(code: string, title: string, detail: string): Problem {
  return { status: 0, title, code, detail };
}

/** The problem in an answer that is not a success. An answer without problem details still says its status. */
export async function readProblem(response: Response): Promise<Problem> {
  const text = await response.text().catch(() => '');
  const type = response.headers.get('content-type') ?? '';
  const body = type.startsWith('application/problem+json') ? parse(text) : {};
  const retryAfterMs = retryAfter(response.headers.get('retry-after'), Date.now());
  return {
    status: response.status,
    title: stringOr(body['title'], response.statusText || `HTTP ${response.status}`),
    code: stringOr(body['code'], `http_${response.status}`),
    detail: stringOr(body['detail'], ''),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** The problem behind anything that was thrown. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof ProblemError) return thrown.problem;
  if (thrown instanceof DOMException && thrown.name === 'TimeoutError') {
    return local('timeout', 'No answer in time', 'The service did not answer in time.');
  }
  if (thrown instanceof TypeError) {
    return local('unreachable', 'No connection', 'The service cannot be reached.');
  }
  return local('unexpected', 'Unexpected error', thrown instanceof Error ? thrown.message : String(thrown));
}

/**
 * Whether trying again may help without anybody doing anything. A camera that is not there (404, 409) may come back:
 * its agent may be restarting. What the caller sent or may not do stays as it is.
 */
export function isTransient(problem: Problem): boolean {
  return problem.status === 0
    ? problem.code !== 'unexpected' && problem.code !== 'unsupported'
    : problem.status >= 500 || [404, 408, 409, 425, 429].includes(problem.status);
}

/** Milliseconds that a Retry-After header (RFC 9110, section 10.2.3: seconds or a date) asks for. */
export function retryAfter(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  if (/^\d+$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

function parse(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function stringOr(value: unknown, fallback: string): string {
  return typeof value === 'string' && value !== '' ? value : fallback;
}
