"""A face-mask monitor for RTSP cameras: see README.md for what it is and docs/ for how to run it."""

import os

# ONNX Runtime reports its use to its makers unless told not to; a camera's host tells nobody.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
