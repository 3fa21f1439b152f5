"""Part of the product: scenes with ground truth and an RTSP server with faults."""
