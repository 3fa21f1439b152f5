"""A face-mask monitor for RTSP cameras: see README.md for what it is and docs/ for how to run it."""

import os

# ONNX Runtime sends usage data to its makers unless this is set; a camera host sends none.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
