#!/usr/bin/env python3
"""A WebRTC peer of another make, aiortc, that speaks WHIP and WHEP; the grant is in the environment variable GRANT.

    aiortc_peer.py watch URL [--srtp PROFILE] [--seconds S]    decodes S seconds of H.264, prints one line of JSON
    aiortc_peer.py publish URL [--camera K]                    sends camera K's clock until it is ended

Pictures have the clock of tools/camera/timecode.py. --srtp offers that one protection profile (as in
SRTP_AES128_CM_SHA1_80) in place of all that aiortc knows. Run with the Python of target/strangers-venv.
"""

import argparse
import asyncio
import json
import os
import pathlib
import signal
import sys
import time
import urllib.parse
import urllib.request

import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription, VideoStreamTrack
from aiortc import rtcdtlstransport

sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "camera"))
import timecode  # noqa: E402 (after its place is known)

LOOP_MS = 60_000
WIDTH, HEIGHT = 640, 360
CELL = WIDTH // timecode.CELLS
PATIENCE_S = 15


class Clock(VideoStreamTrack):
    """A picture with the present time in it, and a bar that moves."""

    def __init__(self, camera):
        super().__init__()
        self.camera = camera

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        ms = int(time.time() * 1000) % LOOP_MS
        bar = ms * WIDTH // LOOP_MS
        line = b"\x60" * bar + b"\xa0" * (WIDTH - bar)
        luma = timecode.row(self.camera * 1_000_000 + ms, WIDTH) * CELL + line * (HEIGHT - CELL)
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, data in zip(frame.planes, (luma, b"\x80" * (len(luma) // 4), b"\x80" * (len(luma) // 4))):
            plane.update(padded(data, plane.width, plane.line_size))
        frame.pts, frame.time_base = pts, time_base
        return frame


def padded(data, width, line_size):
    """Lines of `width` bytes as lines of `line_size`."""
    if width == line_size:
        return data
    return b"".join(data[i : i + width].ljust(line_size, b"\x80") for i in range(0, len(data), width))


def reading(frame):
    """The clock in a picture, or None."""
    plane = frame.planes[0]
    start = plane.width // timecode.CELLS // 2 * plane.line_size
    return timecode.decode(bytes(plane)[start : start + plane.width])


def call(method, url, body=None):
    """One request; answers its Location and its text."""
    headers = {"Authorization": f"Bearer {os.environ['GRANT']}"}
    if body is not None:
        headers["Content-Type"] = "application/sdp"
    request = urllib.request.Request(url, method=method, data=body and body.encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return response.headers.get("Location"), response.read().decode()


class Connection:
    """A connection by WHIP or WHEP, one post away, given back at the end."""

    def __init__(self, url, prepare):
        self.url = url
        # Without servers of its own choice aiortc asks one on the internet for its address.
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.transceiver = prepare(self.peer)
        codecs = RTCRtpReceiver.getCapabilities("video").codecs
        self.transceiver.setCodecPreferences([c for c in codecs if c.mimeType == "video/H264"])

    async def __aenter__(self):
        await self.peer.setLocalDescription(await self.peer.createOffer())
        location, answer = await asyncio.to_thread(call, "POST", self.url, self.peer.localDescription.sdp)
        self.location = urllib.parse.urljoin(self.url, location)
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        return self

    async def __aexit__(self, *_):
        await asyncio.to_thread(call, "DELETE", self.location)
        await self.peer.close()

    async def connected(self):
        """Waits for it; answers the protection profile that was agreed on."""
        done = asyncio.Event()
        self.peer.on("connectionstatechange", lambda: self.peer.connectionState == "connected" and done.set())
        if self.peer.connectionState != "connected":
            await asyncio.wait_for(done.wait(), PATIENCE_S)
        return self.transceiver.receiver.transport._ssl.get_selected_srtp_profile().decode()


async def watch(args):
    offered = [p for p in rtcdtlstransport.SRTP_PROFILES if args.srtp in (None, p.openssl_profile.decode())]
    rtcdtlstransport.SRTP_PROFILES = offered
    async with Connection(args.url, lambda peer: peer.addTransceiver("video", direction="recvonly")) as connection:
        profile = await connection.connected()
        track = connection.transceiver.receiver.track
        frame = await asyncio.wait_for(track.recv(), PATIENCE_S)
        end, seen, sizes = time.monotonic() + args.seconds, [], set()
        while time.monotonic() < end:
            seen.append(reading(frame))
            sizes.add(f"{frame.width}x{frame.height}")
            frame = await asyncio.wait_for(track.recv(), PATIENCE_S)
    read = [payload for payload in seen if payload is not None]
    facts = {"profile": profile, "sizes": sorted(sizes), "frames": len(seen), "read": len(read)}
    facts |= {"cameras": sorted({p // 1_000_000 for p in read}), "clocks": [p % 1_000_000 for p in read]}
    print(json.dumps(facts), flush=True)


async def publish(args):
    track = Clock(args.camera)
    async with Connection(args.url, lambda peer: peer.addTransceiver(track, direction="sendonly")) as connection:
        told_to_end = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_end.set)
        print(f"publishing by {await connection.connected()}", flush=True)
        await told_to_end.wait()


def main():
    parser = argparse.ArgumentParser(description="aiortc as a viewer or as a publisher.")
    commands = parser.add_subparsers(required=True)
    viewer = commands.add_parser("watch")
    viewer.add_argument("url")
    viewer.add_argument("--srtp", metavar="PROFILE")
    viewer.add_argument("--seconds", type=float, default=3)
    viewer.set_defaults(run=watch)
    publisher = commands.add_parser("publish")
    publisher.add_argument("url")
    publisher.add_argument("--camera", type=int, default=0)
    publisher.set_defaults(run=publish)
    args = parser.parse_args()
    asyncio.run(args.run(args))


if __name__ == "__main__":
    main()
