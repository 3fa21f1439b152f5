"""Scenes, RTSP server, evaluation, training and demo; the service never imports them."""
