"""Training, quantization and evaluation of the mask model (extra: train)."""
