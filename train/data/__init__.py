"""From a folder of drawings to batches: pseudo-GT, crops, workers."""
