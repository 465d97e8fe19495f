#!/bin/sh
# Makes the files that test cameras play, where they are missing: a camera's usual pair, 25 fps, a keyframe each 4 s,
# a loop of 60 s. A file appears under its name only when it is whole.
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

make_file main.h264 --size 1280x720 --kbps 2000 --profile main
make_file sub.h264 --size 640x360 --kbps 500 --profile main
# Small cameras that are told apart by the number in their clock, their keyframes apart too; a loop of 20 s.
for camera in 1 2 3 4; do
    make_file "camera-$camera.h264" --size 640x360 --kbps 500 --profile main --camera "$camera" --frames 500 \
        --phase "$((camera * 20))"
done
