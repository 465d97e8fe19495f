#!/usr/bin/env python3
"""A clock that programs can read in a picture: one row of 40 black and white cells along the top.

A cell is a square of width/40 pixels, so the row is the same at every resolution whose width is a multiple of 80:
    W B | 32 bits of payload, highest first | 4 check bits | B W
The payload is camera * 1,000,000 + time in ms (files loop in less than 1,000 s); the check is the xor of the payload's
eight nibbles and 0xA. A live source puts unix_ms mod 2^32 there instead.

    timecode.py gen --size 1280x720 --kbps 2000 --profile main FILE    frame i of FILE carries i * 1000 / fps
    timecode.py read FILE                                              checks a file by decoding it

Played on the wall clock (frame = floor(unix_ms * fps / 1000) mod frames), the age of a picture is
(unix_ms - payload) mod (frames * 1000 / fps). Needs ffmpeg and ffprobe.
"""

import argparse
import subprocess
import sys

CELLS = 40
# Luma of limited range.
BLACK, WHITE = b"\x10", b"\xeb"


def bits(payload):
    """The 40 cells that show `payload`, 1 for white."""
    payload &= 0xFFFFFFFF
    check = 0xA
    for nibble in range(8):
        check ^= payload >> 4 * nibble & 15
    value = [payload >> 31 - i & 1 for i in range(32)]
    return [1, 0, *value, *(check >> 3 - i & 1 for i in range(4)), 0, 1]


def row(payload, width):
    """One line of luma that shows `payload`."""
    return b"".join((WHITE if bit else BLACK) * (width // CELLS) for bit in bits(payload))


def decode(luma):
    """The payload that a line of luma shows, or None."""
    cell = len(luma) / CELLS
    seen = [int(luma[int((i + 0.5) * cell)] > 125) for i in range(CELLS)]
    payload = int("".join(map(str, seen[2:34])), 2)
    return payload if seen == bits(payload) else None


def generate(args):
    width, height = map(int, args.size.split("x"))
    cell = width // CELLS
    picture = f"testsrc2=s={width}x{height}:r={args.fps},noise=alls={args.noise}:allf=t,format=yuv420p"
    overlay = "[1:v]format=yuv420p[t];[0:v][t]overlay=0:0:shortest=1:format=yuv420,format=yuv420p"
    x264 = f"repeat-headers=1:sliced-threads=0:slices={args.slices}:rc-lookahead=0:annexb=1:aud={args.aud}"
    rate = f"{args.kbps}k"
    command = [
        *("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture),
        *("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{cell}", "-r", str(args.fps), "-i", "-"),
        *("-filter_complex", overlay, "-frames:v", str(args.frames)),
        *("-c:v", "libx264", "-preset", args.preset, "-profile:v", args.profile, "-pix_fmt", "yuv420p"),
        *("-bf", "0", "-g", str(args.gop), "-keyint_min", "1", "-sc_threshold", "0"),
        *("-force_key_frames", f"expr:eq(mod(n,{args.gop}),{args.phase})"),
        *("-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-threads", "2", "-x264-params", x264),
        *("-color_range", "tv", "-f", "h264", args.out),
    ]
    encoder = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        for i in range(args.frames):
            encoder.stdin.write(row(args.camera * 1_000_000 + i * 1000 // args.fps, width) * cell)
        encoder.stdin.close()
    except BrokenPipeError:
        pass  # ffmpeg has said why
    return encoder.wait()


def check(args):
    probe = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height", "-of", "csv=p=0"]
    size = subprocess.run([*probe, args.file], capture_output=True, text=True, check=True).stdout
    width, height = map(int, size.split("\n")[0].split(",")[:2])
    command = ["ffmpeg", "-v", "error", "-i", args.file, "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    decoder = subprocess.Popen(command, stdout=subprocess.PIPE)
    middle = width // CELLS // 2 * width
    seen = []
    while len(frame := decoder.stdout.read(width * height)) == width * height:
        seen.append(decode(frame[middle : middle + width]))
    unreadable = seen.count(None)
    print(f"{width}x{height} frames={len(seen)} unreadable={unreadable} first={seen[0]} last={seen[-1]}")
    return 1 if unreadable else 0


def main():
    parser = argparse.ArgumentParser(description="Pictures with a clock that programs can read.")
    commands = parser.add_subparsers(required=True)
    gen = commands.add_parser("gen", help="make an H.264 file (Annex B)")
    gen.add_argument("--size", default="1280x720")
    gen.add_argument("--fps", type=int, default=25)
    gen.add_argument("--gop", type=int, default=100, help="frames from keyframe to keyframe")
    gen.add_argument("--phase", type=int, default=0, help="frames from the beginning to the first keyframe but one")
    gen.add_argument("--frames", type=int, default=1500)
    gen.add_argument("--kbps", type=int, default=2000)
    gen.add_argument("--profile", default="main")
    gen.add_argument("--preset", default="veryfast")
    gen.add_argument("--noise", type=int, default=6)
    gen.add_argument("--slices", type=int, default=1)
    gen.add_argument("--aud", type=int, default=0)
    gen.add_argument("--camera", type=int, default=0, help="read back as payload // 1,000,000")
    gen.add_argument("out")
    gen.set_defaults(run=generate)
    read = commands.add_parser("read", help="check a file")
    read.add_argument("file")
    read.set_defaults(run=check)
    args = parser.parse_args()
    return args.run(args)


if __name__ == "__main__":
    sys.exit(main())
