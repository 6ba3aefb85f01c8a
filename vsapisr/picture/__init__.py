"""Planes of frames, their colours, and the tiles they are cut into."""
