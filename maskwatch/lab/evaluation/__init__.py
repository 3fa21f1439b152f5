"""Evaluation of the whole system on rendered scenes and recorded footage."""
