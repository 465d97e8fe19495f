// Fragments of SDP: what is told of an offer, and what an answer takes over.
import { expect, it } from 'vitest';
import { fragment, restarted } from '../src/sdpfrag';

const lines = (...all: string[]): string => `${all.join('\r\n')}\r\n`;
const answer = lines(
  'v=0',
  'a=ice-lite',
  'a=group:BUNDLE 0 1',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'a=mid:0',
  'a=ice-ufrag:old',
  'a=ice-pwd:oldoldoldoldoldoldoldold',
  'a=fingerprint:sha-256 AA',
  'a=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host',
  'a=end-of-candidates',
  'm=audio 9 UDP/TLS/RTP/SAVPF 8',
  'a=mid:1',
  'a=ice-ufrag:old',
  'a=ice-pwd:oldoldoldoldoldoldoldold',
);

it('tells the credentials of the bundle’s first m-line', () => {
  const offer = lines(
    'v=0',
    'a=group:BUNDLE 0 1',
    'm=video 9 UDP/TLS/RTP/SAVPF 96 97',
    'c=IN IP4 0.0.0.0',
    'a=ice-ufrag:abcd',
    'a=ice-pwd:0123456789012345678901',
    'a=mid:0',
    'm=video 9 UDP/TLS/RTP/SAVPF 96',
    'a=ice-ufrag:abcd',
    'a=mid:1',
  );
  expect(fragment(offer)).toBe(
    lines(
      'a=group:BUNDLE 0 1',
      'm=video 9 UDP/TLS/RTP/SAVPF 96 97',
      'a=mid:0',
      'a=ice-ufrag:abcd',
      'a=ice-pwd:0123456789012345678901',
    ),
  );
});

it('takes over credentials in every section and candidates in the first, and nothing else', () => {
  const told = lines(
    'a=ice-ufrag:new',
    'a=ice-pwd:newnewnewnewnewnewnewnew',
    'm=video 9 UDP/TLS/RTP/SAVPF 0',
    'a=mid:0',
    'a=candidate:1 1 udp 2130706431 192.0.2.1 4001 typ host',
    'a=end-of-candidates',
  );
  const expected = answer.replaceAll('ufrag:old', 'ufrag:new').replaceAll('oldold', 'newnew').replace('1 4000 ', '1 4001 ');
  expect(restarted(answer, told)).toBe(expected);
});

it('keeps the candidates where none are told', () => {
  expect(restarted(answer, lines('a=ice-ufrag:n', 'a=ice-pwd:p'))).toContain('192.0.2.1 4000');
});

it('is nothing without credentials', () => {
  expect(restarted(answer, lines('m=video 9 UDP/TLS/RTP/SAVPF 0'))).toBeUndefined();
});
