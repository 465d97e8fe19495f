// Fragments of SDP for an ICE restart (RFC 8840, section 9; RFC 9725, section 4.3.3). Pure.
// Invariant: an answer patched with a fragment differs from before in ICE credentials and candidates only.

/** The fragment that tells an offer's ICE credentials: those of its first m-line, which the bundle runs over. */
export function fragment(offer: string): string {
  const lines = split(offer);
  const first = lines.findIndex((line) => line.startsWith('m='));
  const find = (prefix: string, from: number): string[] => lines.slice(from).filter((l) => l.startsWith(prefix)).slice(0, 1);
  const told = [
    ...find('a=group:BUNDLE', 0),
    ...find('m=', first),
    ...find('a=mid:', first),
    ...find('a=ice-ufrag:', 0),
    ...find('a=ice-pwd:', 0),
  ];
  return `${told.join('\r\n')}\r\n`;
}

/** `answer` with the credentials and the candidates of `fragment`; undefined when it has no credentials. */
export function restarted(answer: string, fragment: string): string | undefined {
  const fresh = split(fragment);
  const ufrag = fresh.find((line) => line.startsWith('a=ice-ufrag:'));
  const pwd = fresh.find((line) => line.startsWith('a=ice-pwd:'));
  if (!ufrag || !pwd) return undefined;
  const candidates = fresh.filter(isCandidate);
  const patched: string[] = [];
  let mLines = 0;
  for (const line of split(answer)) {
    if (line.startsWith('m=')) {
      // The bundle's candidates stand in its first section.
      if (mLines === 1) patched.push(...candidates);
      mLines += 1;
    }
    if (line.startsWith('a=ice-ufrag:')) patched.push(ufrag);
    else if (line.startsWith('a=ice-pwd:')) patched.push(pwd);
    else if (candidates.length === 0 || !isCandidate(line)) patched.push(line);
  }
  if (mLines === 1) patched.push(...candidates);
  return `${patched.join('\r\n')}\r\n`;
}

function isCandidate(line: string): boolean {
  return line.startsWith('a=candidate:') || line === 'a=end-of-candidates';
}

function split(sdp: string): string[] {
  return sdp.split(/\r?\n/).filter((line) => line !== '');
}
