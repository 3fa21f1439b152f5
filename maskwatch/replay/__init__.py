"""Replay of recorded video through the analysis: events, annotated video, explanations."""
