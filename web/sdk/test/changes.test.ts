// Changes on their way to the service.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Changes } from '../src/changes';
import { ProblemError, type Problem } from '../src/problem';
import type { Change } from '../src/sessions';

const problem = (status: number, code = ''): Problem => ({ status, title: '', code, detail: '' });

/** The service: each call waits to be answered by the test. */
class Service {
  readonly calls: { change: Change; answer: (problem?: Problem) => Promise<void> }[] = [];
  readonly told: string[] = [];
  readonly changes = new Changes(
    (change) =>
      new Promise((resolve, reject) => {
        const answer = async (problem?: Problem): Promise<void> => {
          if (problem) reject(new ProblemError(problem));
          else resolve();
          await vi.advanceTimersByTimeAsync(0);
        };
        this.calls.push({ change, answer });
      }),
    {
      sent: () => undefined,
      made: (change) => this.told.push(`made ${JSON.stringify(change)}`),
      refused: (change, { status }) => this.told.push(`refused ${status} ${JSON.stringify(change)}`),
      gone: () => this.told.push('gone'),
    },
  );

  get asked(): readonly Change[] {
    return this.calls.map(({ change }) => change);
  }
}

let service: Service;

beforeEach(() => {
  vi.useFakeTimers();
  service = new Service();
});
afterEach(() => void vi.useRealTimers());

const soon = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

describe('changes', () => {
  it('of one tick make one call', async () => {
    service.changes.start();
    service.changes.show(0, { camera: 'a' });
    service.changes.show(1, { camera: 'b', rid: 'l' });
    service.changes.show(0, { camera: 'c' });
    service.changes.listen('c');
    await soon();
    expect(service.asked).toEqual([
      { slots: [{ slot: 0, camera: 'c' }, { slot: 1, camera: 'b', rid: 'l' }], audio: { camera: 'c' } },
    ]);
  });
  it('go one at a time, and of those that waited the newest goes', async () => {
    service.changes.start();
    service.changes.show(0, { camera: 'a' });
    await soon();
    service.changes.show(0, { camera: 'b' });
    await soon();
    service.changes.show(0, null);
    await soon();
    expect(service.asked).toHaveLength(1);
    await service.calls[0]?.answer();
    expect(service.asked[1]).toEqual({ slots: [{ slot: 0, camera: null }] });
  });
  it('wait for the session', async () => {
    service.changes.show(0, { camera: 'a' });
    await soon();
    expect(service.asked).toEqual([]);
    service.changes.start();
    await soon();
    expect(service.asked).toHaveLength(1);
  });
  it('are tried again after faults, unless another wish came', async () => {
    service.changes.start();
    service.changes.show(0, { camera: 'a' });
    service.changes.show(1, { camera: 'b' });
    await soon();
    service.changes.show(1, { camera: 'c' });
    await service.calls[0]?.answer(problem(503));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(service.asked).toHaveLength(2);
    expect(service.asked[1]?.slots).toEqual(expect.arrayContaining([{ slot: 0, camera: 'a' }, { slot: 1, camera: 'c' }]));
  });
  it('are tried again as they were', async () => {
    service.changes.start();
    service.changes.show(0, { camera: 'a', rid: 'l', priority: 1 });
    await soon();
    await service.calls[0]?.answer(problem(503));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(service.asked[1]).toEqual({ slots: [{ slot: 0, camera: 'a', rid: 'l', priority: 1 }] });
  });
  it('that are refused together are asked for one by one', async () => {
    service.changes.start();
    service.changes.show(0, { camera: 'mine' });
    service.changes.show(1, { camera: 'not mine' });
    await soon();
    await service.calls[0]?.answer(problem(403));
    await service.calls[1]?.answer();
    await service.calls[2]?.answer(problem(403));
    expect(service.told).toEqual([
      'made {"slots":[{"slot":0,"camera":"mine"}]}',
      'refused 403 {"slots":[{"slot":1,"camera":"not mine"}]}',
    ]);
  });
  it('end with the session', async () => {
    service.changes.start();
    service.changes.show(0, { camera: 'a' });
    await soon();
    await service.calls[0]?.answer(problem(404));
    expect(service.told).toEqual(['gone']);
  });
  it('renew the session by an empty call, or along with another change', async () => {
    service.changes.start();
    service.changes.renew();
    await soon();
    expect(service.asked).toEqual([{}]);
    service.changes.renew();
    service.changes.show(0, null);
    await service.calls[0]?.answer();
    await service.calls[1]?.answer();
    expect(service.asked).toHaveLength(2);
  });
  it('are dropped when closed', async () => {
    service.changes.start();
    service.changes.show(0, null);
    service.changes.close();
    await soon();
    expect(service.asked).toEqual([]);
  });
});
