// Server-sent events of a session.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EventStream, parseEvent } from '../src/events';
import { settle } from './fakes';

describe('parseEvent', () => {
  it('reads what it knows', () => {
    const slot = { type: 'slot', slot: 3, camera: 'c', state: 'no_signal' };
    expect(parseEvent(JSON.stringify(slot))).toEqual(slot);
    const paused = { type: 'slot', slot: 0, camera: 'c', state: 'paused' };
    expect(parseEvent(JSON.stringify(paused))).toEqual(paused);
    const audio = { type: 'audio', camera: null, state: 'empty' };
    expect(parseEvent(JSON.stringify(audio))).toEqual(audio);
    expect(parseEvent('{"type":"ended","reason":"replaced"}')).toEqual({ type: 'ended', reason: 'replaced' });
  });
  it('ignores types and states of later versions, but not an end', () => {
    for (const data of ['', 'null', '[]', '{"type":"weather"}', '{"type":"slot","slot":0,"camera":null,"state":"upside_down"}']) {
      expect(parseEvent(data), data).toBeUndefined();
    }
    expect(parseEvent('{"type":"ended","reason":"boredom"}')).toEqual({ type: 'ended', reason: 'unknown' });
  });
});

describe('the stream', () => {
  let answers: (() => Response)[];
  let asked: { url: string; grant: string | null }[];
  let told: string[];

  const open = (): EventStream =>
    new EventStream('https://sunroom.example/v1/sessions/1', () => 'grant', {
      event: (event) => told.push(event.type === 'ended' ? `ended ${event.reason}` : event.state),
      gone: () => told.push('gone'),
    });
  /** An answer in these pieces; it ends there, or stays open. */
  const answer = (pieces: string[], ends = true) => (): Response => {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
        if (ends) controller.close();
      },
    });
    return new Response(body);
  };
  const state = (name: string): string => `data: {"type":"slot","slot":0,"camera":"c","state":"${name}"}\n\n`;

  beforeEach(() => {
    vi.useFakeTimers();
    [answers, asked, told] = [[], [], []];
    vi.stubGlobal('fetch', (url: string, { headers, signal }: { headers: HeadersInit; signal: AbortSignal }) => {
      asked.push({ url, grant: new Headers(headers).get('authorization') });
      const next = answers.shift();
      if (next) return Promise.resolve(next());
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError'))));
    });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it('is read as it comes, whatever the pieces', async () => {
    answers.push(answer([': hello\n\n', state('waiting').slice(0, 20), state('waiting').slice(20) + state('live')], false));
    const stream = open();
    await settle();
    expect(told).toEqual(['waiting', 'live']);
    expect(stream.hears).toBe(true);
    expect(asked).toEqual([{ url: 'https://sunroom.example/v1/sessions/1/events', grant: 'Bearer grant' }]);
    stream.close();
  });
  it('is opened again when it breaks, later each time', async () => {
    answers.push(answer([]), () => new Response(null, { status: 502 }), answer([state('live')], false));
    const stream = open();
    await vi.advanceTimersByTimeAsync(500);
    expect(asked).toHaveLength(2);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).toEqual(['live']);
    stream.close();
  });
  it('ends after the end, and when the session is not known', async () => {
    answers.push(answer(['data: {"type":"ended","reason":"silent"}\n\n', state('live')]), () => new Response(null, { status: 404 }));
    open();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toEqual(['ended silent']);
    open();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toEqual(['ended silent', 'gone']);
    expect(asked).toHaveLength(2);
  });
  it('is given up when it falls silent, and opened again', async () => {
    const stream = open();
    await vi.advanceTimersByTimeAsync(26_000);
    expect(asked).toHaveLength(2);
    stream.close();
  });
});
