// An RTSP relay that shifts the timestamps of what it passes on, as cameras do whose clock is set or that start anew.
// It reads RTSP over TCP (RFC 2326, section 10.12): RTP in even channels, RTCP in odd ones.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

const INTERLEAVED = 0x24;
const SENDER_REPORT = 200;
/** Payload type of PCMA; all others here are video. */
const PCMA = 8;

/** How a stream's timestamps are shifted. */
interface Shift {
  readonly ticksPerSecond: number;
  offset: number;
  /** Whether the next packet's timestamp becomes 0. */
  restarts: boolean;
}

/** A relay in front of a camera. */
export class Skew {
  readonly #streams = new Map<number, Shift>();
  readonly #sockets = new Set<Socket>();

  private constructor(private readonly server: Server) {}

  /** Stands in front of the camera at this port. */
  static async before(camera: number): Promise<Skew> {
    const server = createServer();
    const skew = new Skew(server);
    server.on('connection', (client) => skew.#relay(client, connect(camera, '127.0.0.1')));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return skew;
  }

  /** Where it is reached. */
  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Timestamps jump by so many seconds, here and now. */
  jump(seconds: number): void {
    for (const shift of this.#passing) shift.offset += seconds * shift.ticksPerSecond;
  }

  /** Timestamps begin again at 0. */
  restart(): void {
    for (const shift of this.#passing) shift.restarts = true;
  }

  stop(): void {
    this.server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  get #passing(): readonly Shift[] {
    if (this.#streams.size === 0) throw new Error('no RTP has passed here');
    return [...this.#streams.values()];
  }

  #relay(client: Socket, camera: Socket): void {
    for (const [socket, other] of [[client, camera], [camera, client]] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(camera);
    let pending: Buffer = Buffer.alloc(0);
    camera.on('data', (data) => {
      pending = Buffer.concat([pending, data]);
      for (let length = whole(pending); length > 0; length = whole(pending)) {
        const message = pending.subarray(0, length);
        pending = pending.subarray(length);
        if (message[0] === INTERLEAVED) this.#shift(message.readUInt8(1), message.subarray(4));
        client.write(message);
      }
    });
  }

  #shift(channel: number, packet: Buffer): void {
    if (channel % 2 === 0) {
      const ssrc = packet.readUInt32BE(8);
      const ticksPerSecond = (packet.readUInt8(1) & 127) === PCMA ? 8_000 : 90_000;
      const shift = this.#streams.get(ssrc) ?? { ticksPerSecond, offset: 0, restarts: false };
      this.#streams.set(ssrc, shift);
      if (shift.restarts) Object.assign(shift, { restarts: false, offset: -packet.readUInt32BE(4) });
      add(packet, 4, shift.offset);
    } else if (packet.readUInt8(1) === SENDER_REPORT) {
      add(packet, 16, this.#streams.get(packet.readUInt32BE(4))?.offset ?? 0);
    }
  }
}

/** Length of the message at the start; 0 while it is not all there. */
function whole(bytes: Buffer): number {
  let length = 0;
  if (bytes[0] === INTERLEAVED) {
    length = bytes.length < 4 ? 0 : 4 + bytes.readUInt16BE(2);
  } else {
    const end = bytes.indexOf('\r\n\r\n');
    const body = /^content-length: *(\d+)/im.exec(bytes.toString('latin1', 0, Math.max(0, end)))?.[1] ?? '0';
    length = end < 0 ? 0 : end + 4 + Number(body);
  }
  return length <= bytes.length ? length : 0;
}

function add(packet: Buffer, at: number, offset: number): void {
  packet.writeUInt32BE((((packet.readUInt32BE(at) + offset) % 2 ** 32) + 2 ** 32) % 2 ** 32, at);
}
