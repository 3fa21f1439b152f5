"""A face-mask monitor for RTSP cameras: see README.md for what it is and docs/ for how to run it."""
