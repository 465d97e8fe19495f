// Chromium as a WHIP publisher: a canvas with a clock, sent in H.264 at two sizes. It has no code of the SDK.
import type { Page } from 'playwright-core';

/** What is sent, as the page says. */
interface Publishing {
  readonly url: string;
  readonly grant: string;
  /** The camera's number in the clock. */
  readonly number: number;
}

/** Publishes 1280x720 as `h` and 640x360 as `l` until the page goes; answers when both flow. */
export function publish(page: Page, url: string, grant: string, number: number): Promise<void> {
  return page.evaluate(inPage, { url, grant, number });
}

// It runs in the page, so it can use nothing from outside.
async function inPage({ url, grant, number }: Publishing): Promise<void> {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
  document.body.append(canvas);
  const context = canvas.getContext('2d');
  if (!context) throw new Error('no 2d canvas');
  // The clock of tools/camera/timecode.py.
  const draw = (): void => {
    const payload = number * 1_000_000 + (Date.now() % 60_000);
    const bits = [...payload.toString(2).padStart(32, '0')].map(Number);
    let check = 0xa;
    for (let i = 0; i < 8; i++) check ^= Number.parseInt(bits.slice(4 * i, 4 * i + 4).join(''), 2);
    const cells = [1, 0, ...bits, ...[...check.toString(2).padStart(4, '0')].map(Number), 0, 1];
    context.fillStyle = `hsl(${payload % 360} 50% 50%)`;
    context.fillRect(0, 0, 1280, 720);
    cells.forEach((bit, i) => {
      context.fillStyle = bit ? '#fff' : '#000';
      context.fillRect(32 * i, 0, 32, 32);
    });
  };
  draw();
  setInterval(draw, 40);
  const [track] = canvas.captureStream(25).getVideoTracks();
  if (!track) throw new Error('the canvas gives no track');
  const peer = new RTCPeerConnection();
  const transceiver = peer.addTransceiver(track, {
    direction: 'sendonly',
    sendEncodings: [
      { rid: 'l', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
      { rid: 'h', maxBitrate: 2_000_000 },
    ],
  });
  const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  transceiver.setCodecPreferences(codecs.filter((codec) => codec.mimeType === 'video/H264'));
  await peer.setLocalDescription();
  const headers = { authorization: `Bearer ${grant}`, 'content-type': 'application/sdp' };
  const response = await fetch(url, { method: 'POST', headers, body: peer.localDescription?.sdp ?? '' });
  const answer = await response.text();
  if (response.status !== 201) throw new Error(`WHIP: ${response.status} ${answer}`);
  // Left alone, Chromium believes in 300 kbit/s at first, and adds the larger layer when it knows better.
  const sdp = answer.replaceAll(/^a=fmtp:.*$/gm, (line) => `${line.trimEnd()};x-google-start-bitrate=3000\r`);
  await peer.setRemoteDescription({ type: 'answer', sdp });
  const sent = new Set<string>();
  for (const end = performance.now() + 30_000; sent.size < 2; ) {
    if (performance.now() > end) throw new Error(`${peer.connectionState}; sent of the two layers: ${[...sent]}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    for (const stats of (await peer.getStats()).values()) {
      if (stats.type === 'outbound-rtp' && stats.framesSent > 0) sent.add(stats.rid);
    }
  }
}
