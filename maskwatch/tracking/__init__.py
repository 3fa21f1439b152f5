"""From detections of single frames to tracks of faces over time."""
