#!/bin/sh
# Makes the files that test cameras play, where they are missing: a camera's usual pair, 25 fps, a keyframe each 4 s,
# a loop of 60 s; with the argument `long`, the same with a keyframe each 10 s. A file appears under its name only when it
# is whole.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p media

make_file() { # NAME, options of timecode.py
    name=$1
    shift
    [ -s "media/$name" ] && return
    echo "media/$name"
    python3 tools/camera/timecode.py gen "$@" "media/.$name"
    mv "media/.$name" "media/$name"
}

make_films() { # PREFIX, frames from keyframe to keyframe
    make_file "$1main.h264" --size 1280x720 --kbps 2000 --profile main --gop "$2"
    make_file "$1sub.h264" --size 640x360 --kbps 500 --profile main --gop "$2"
    # Small cameras that are told apart by the number in their clock, their keyframes apart too; a loop of 20 s.
    for camera in 1 2 3 4; do
        make_file "$1camera-$camera.h264" --size 640x360 --kbps 500 --profile main --camera "$camera" --frames 500 \
            --gop "$2" --phase "$((camera * $2 / 5))"
    done
}

make_films "" 100
if [ "${1:-}" = long ]; then
    make_films long- 250
fi
