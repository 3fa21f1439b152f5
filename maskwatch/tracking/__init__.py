"""From detections over time to verdicts about people: tracks, evidence, policy."""
