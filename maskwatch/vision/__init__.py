"""From pixels to detections and readings: faces, masks, motion, quality."""
