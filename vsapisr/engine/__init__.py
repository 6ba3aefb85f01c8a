"""Tiles in, tiles out: the queue, the batches, the device."""
