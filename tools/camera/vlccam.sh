#!/bin/sh
# A camera of another make for tests, VLC's RTSP server: vlccam.sh PORT FILE PATH [USER PASSWORD]
# plays an H.264 file of 25 fps over and over at rtsp://127.0.0.1:PORT/PATH, over UDP only, with basic authentication
# where a user is given: its 401 then lacks the CSeq that RFC 2326 (section 12.17) asks for.
# VLC refuses to run as root, so there it runs as nobody. Its address is printed before it serves.
set -eu
port=$1 file=$2 path=$3

# Without a home it leaves nothing behind.
set -- env HOME=/nonexistent cvlc --quiet --no-dbus --loop --demux h264 --h264-fps 25 \
    ${4:+--sout-rtsp-user "$4" --sout-rtsp-pwd "$5"} \
    "$file" --sout "#rtp{sdp=rtsp://127.0.0.1:$port/$path}" --sout-keep
if [ "$(id -u)" -eq 0 ]; then
    set -- setpriv --reuid nobody --regid nogroup --clear-groups "$@"
fi
echo "rtsp://127.0.0.1:$port/$path"
exec "$@"
