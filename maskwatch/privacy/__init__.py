"""Anonymizes images: every image that is stored, sent or shown is made here."""
