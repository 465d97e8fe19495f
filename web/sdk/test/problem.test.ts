// Reading of problem details, and which of them are worth another attempt.
import { describe, expect, it } from 'vitest';
import { ProblemError, isTransient, local, problemOf, readProblem, retryAfter } from '../src/problem';

function answer(status: number, body: string, headers: Record<string, string>): Response {
  return new Response(body, { status, headers });
}

describe('readProblem', () => {
  it('takes what the service says', async () => {
    const body = JSON.stringify({ status: 406, title: 'Not Acceptable', code: 'no_h264', detail: 'Offer H.264.' });
    const problem = await readProblem(answer(406, body, { 'content-type': 'application/problem+json' }));
    expect(problem).toEqual({ status: 406, title: 'Not Acceptable', code: 'no_h264', detail: 'Offer H.264.' });
  });
  it('knows the status of an answer without problem details', async () => {
    const problem = await readProblem(answer(502, '<html>', { 'content-type': 'text/html' }));
    expect(problem).toMatchObject({ status: 502, code: 'http_502', detail: '' });
  });
  it('survives a body that is not what its type says', async () => {
    const problem = await readProblem(answer(500, '[', { 'content-type': 'application/problem+json' }));
    expect(problem.code).toBe('http_500');
  });
  it('keeps Retry-After', async () => {
    expect((await readProblem(answer(503, '', { 'retry-after': '2' }))).retryAfterMs).toBe(2000);
  });
});

describe('retryAfter', () => {
  it('reads seconds and dates', () => {
    expect(retryAfter('7', 0)).toBe(7000);
    expect(retryAfter('Thu, 01 Jan 1970 00:00:09 GMT', 4000)).toBe(5000);
    expect(retryAfter('Thu, 01 Jan 1970 00:00:01 GMT', 4000)).toBe(0);
  });
  it('ignores what is neither', () => {
    expect(retryAfter('soon', 0)).toBeUndefined();
    expect(retryAfter(null, 0)).toBeUndefined();
  });
});

describe('problemOf', () => {
  it('names what fetch throws', () => {
    expect(problemOf(new TypeError('Failed to fetch')).code).toBe('unreachable');
    expect(problemOf(new DOMException('', 'TimeoutError')).code).toBe('timeout');
  });
  it('unwraps a thrown problem', () => {
    const problem = local('a', 'b', 'c');
    expect(problemOf(new ProblemError(problem))).toBe(problem);
  });
});

describe('isTransient', () => {
  const of = (status: number): boolean => isTransient({ status, title: '', code: '', detail: '' });
  it('tries again after faults of network and service', () => {
    expect([404, 409, 429, 500, 503].every(of)).toBe(true);
    expect(isTransient(local('connection_lost', '', ''))).toBe(true);
  });
  it('does not repeat what is refused', () => {
    expect([400, 401, 403, 406, 415].some(of)).toBe(false);
    expect(isTransient(local('unsupported', '', ''))).toBe(false);
  });
});
