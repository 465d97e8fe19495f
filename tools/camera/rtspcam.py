#!/usr/bin/python3
"""An RTSP camera for tests, on GStreamer's RTSP server: rtsp://127.0.0.1:PORT/main and /sub, over UDP or TCP.

It plays files of timecode.py on the wall clock (frame = floor(unix_ms / 40) mod frames), so the clock in the picture
tells how old it is, and no encoder runs. Like a camera it goes on once its first client has come, starts that client
in mid-GOP, and sends a keyframe only when its GOP ends, never because it was asked. Its sound is a beep that begins
with each full second of that clock.

    rtspcam.py --port 8554 --main media/main.h264 --sub media/sub.h264 [--auth USER:PASSWORD]
               [--audio pcma|pcmu|opus|aac|none]

Port 0 takes a free one. The address is printed when it serves.
"""

import argparse
import math
import struct
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 (after the versions are chosen)

START = b"\x00\x00\x01"
SLICE, IDR, BEFORE_PICTURE = 1, 5, (6, 7, 8, 9)
SAMPLE_RATE = {"pcma": 8000, "pcmu": 8000, "opus": 48000, "aac": 16000}
SOURCE = "appsrc name={} is-live=true do-timestamp=true format=time caps={}"
AUDIO = {
    "pcma": "alawenc ! queue ! rtppcmapay name=pay1 pt=8 min-ptime=20000000 max-ptime=20000000",
    "pcmu": "mulawenc ! queue ! rtppcmupay name=pay1 pt=0 min-ptime=20000000 max-ptime=20000000",
    "opus": "opusenc frame-size=20 bitrate=32000 audio-type=voice ! queue ! rtpopuspay name=pay1 pt=98",
    "aac": "audioconvert ! avenc_aac ! aacparse ! queue ! rtpmp4gpay name=pay1 pt=97",
}
ROLE = "user,media.factory.access=(boolean)true,media.factory.construct=(boolean)true"


def access_units(path):
    """The access units of an Annex B file (ITU-T H.264, 7.4.1.2.3 for what begins one)."""
    with open(path, "rb") as file:
        data = file.read()
    starts, at = [], data.find(START)
    while at >= 0:
        starts.append(at - 1 if at and data[at - 1] == 0 else at)
        at = data.find(START, at + 3)
    units, has_slice = [b""], False
    for start, end in zip(starts, [*starts[1:], len(data)]):
        nal = data[start:end]
        header = nal.index(b"\x01") + 1
        kind = nal[header] & 31
        first_slice = kind in (SLICE, IDR) and nal[header + 1] & 0x80
        if has_slice and (kind in BEFORE_PICTURE or first_slice):
            units.append(b"")
            has_slice = False
        units[-1] += nal
        has_slice |= kind in (SLICE, IDR)
    return units


def on_the_clock(rate, push, stop):
    """Calls push(k) at each k / rate seconds of Unix time, until it fails or `stop` is set."""
    k = int(time.time() * rate)
    while not stop.is_set():
        k += 1
        ahead = k / rate - time.time()
        if ahead > 0:
            time.sleep(ahead)
        if push(k) != Gst.FlowReturn.OK:
            break


def pushed(source, data):
    return source.emit("push-buffer", Gst.Buffer.new_wrapped(data))


class Stream(GstRtspServer.RTSPMediaFactory):
    """One stream, shared by its clients."""

    def __init__(self, args, path):
        super().__init__()
        self.args = args
        self.units = access_units(path)
        self.set_shared(True)
        self.set_latency(0)
        self.set_suspend_mode(GstRtspServer.RTSPSuspendMode.NONE)

    def do_create_element(self, _url):
        video = f"video/x-h264,stream-format=byte-stream,alignment=au,framerate={self.args.fps}/1"
        pay = f"rtph264pay name=pay0 pt=96 config-interval=-1 mtu={self.args.mtu}"
        description = f"{SOURCE.format('video', video)} ! h264parse ! queue ! {pay}"
        if self.args.audio != "none":
            rate = SAMPLE_RATE[self.args.audio]
            raw = f"audio/x-raw,format=S16LE,layout=interleaved,rate={rate},channels=1"
            description += f" {SOURCE.format('audio', raw)} ! {AUDIO[self.args.audio]}"
        return Gst.parse_launch(f"( {description} )")

    def do_configure(self, media):
        stop = threading.Event()
        media.connect("unprepared", lambda _media: stop.set())
        self.start(self.feed, media.get_element().get_by_name("video"), stop)
        # An audiotestsrc would make the media seekable, and PLAY would fail: sound comes through appsrc too.
        if self.args.audio != "none":
            self.start(self.beep, media.get_element().get_by_name("audio"), stop)

    @staticmethod
    def start(target, *args):
        threading.Thread(target=target, args=args, daemon=True).start()

    def feed(self, source, stop):
        # Parameter sets go first, so that h264parse knows the stream although it starts in mid-GOP.
        key = next(unit for unit in self.units if START + b"\x67" in unit or START + b"\x27" in unit)
        pushed(source, key[: key.index(START + b"\x65")] if START + b"\x65" in key else key)
        on_the_clock(self.args.fps, lambda k: pushed(source, self.units[k % len(self.units)]), stop)

    def beep(self, source, stop):
        """440 Hz in the first 100 ms of each second of Unix time, in blocks of 20 ms."""
        rate = SAMPLE_RATE[self.args.audio]
        count = rate // 50
        wave = [int(8000 * math.sin(2 * math.pi * 440 * i / rate)) for i in range(5 * count)]
        tone = [struct.pack(f"<{count}h", *wave[i * count : (i + 1) * count]) for i in range(5)]
        on_the_clock(50, lambda k: pushed(source, tone[k % 50] if k % 50 < 5 else bytes(2 * count)), stop)


def digest(credentials):
    """Digest authentication (RFC 7616) for one user."""
    user, password = credentials.split(":", 1)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    return auth


def main():
    parser = argparse.ArgumentParser(description="An RTSP camera for tests.")
    parser.add_argument("--port", default="8554")
    parser.add_argument("--main", default="media/main.h264")
    parser.add_argument("--sub", default="media/sub.h264")
    parser.add_argument("--auth", metavar="USER:PASSWORD")
    parser.add_argument("--audio", choices=[*AUDIO, "none"], default="pcma")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--mtu", type=int, default=1400)
    args = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(args.port)
    if args.auth:
        server.set_auth(digest(args.auth))
    for mount, path in (("/main", args.main), ("/sub", args.sub)):
        stream = Stream(args, path)
        if args.auth:
            stream.add_role_from_structure(Gst.Structure.new_from_string(ROLE))
        server.get_mount_points().add_factory(mount, stream)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/main and /sub", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
