// What the page says for each state.
import { afterEach, describe, expect, it } from 'vitest';
import { speak } from '../src/texts';
import { PATIENCE_MS, problemWords, words } from '../src/words';

const reason = { status: 403, title: 'Forbidden', code: 'unheard_of', detail: 'The grant has another reason.' };

afterEach(() => speak('en'));

describe('words', () => {
  it('are patient with a picture that is on its way', () => {
    expect(words({ name: 'waiting', before: false }, 0).title).toBe('Waiting for the picture');
    expect(words({ name: 'waiting', before: false }, PATIENCE_MS + 1).title).toBe('No signal');
  });
  it('tell a picture that stands still from a camera that sends none', () => {
    expect(words({ name: 'waiting', before: true }, 0).title).toBe('The picture stands still');
    expect(words({ name: 'no_signal' }, 0)).toMatchObject({ mood: 'off', title: 'No signal' });
  });
  it('tell what the network does not carry from what the camera does not send', () => {
    expect(words({ name: 'paused' }, 0)).toMatchObject({ mood: 'off', title: 'Paused' });
  });
  it('hide what is not to be seen any more', () => {
    expect(words({ name: 'withdrawn' }, 0).mood).toBe('hidden');
    expect(words({ name: 'ended', why: 'replaced' }, 0).mood).toBe('hidden');
  });
  it('offer to watch here when another screen has taken over', () => {
    expect(words({ name: 'ended', why: 'replaced' }, 0).action).toBe('Watch here');
    expect(words({ name: 'ended', why: 'closed' }, 0).action).toBeUndefined();
  });
  it('give the reason of a failure', () => {
    expect(words({ name: 'failed', reason }, 0)).toMatchObject({ detail: reason.detail, action: 'Try again' });
    expect(problemWords({ ...reason, code: 'camera_not_granted' })).toBe('The permission does not include this camera.');
    expect(problemWords({ ...reason, code: 'ended_silent' })).toBe('The video service ended the connection.');
    expect(problemWords({ ...reason, status: 503, code: 'unheard_of' })).toBe('The service is full or restarting.');
  });
  it('are Chinese throughout, also where the service speaks English', () => {
    speak('zh');
    expect(words({ name: 'no_signal' }, 0).title).toBe('无信号');
    expect(problemWords(reason)).toBe('服务出现故障（unheard_of）。');
  });
});
