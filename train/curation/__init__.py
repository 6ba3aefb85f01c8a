"""From videos to training pictures: I-frames, scores, selection (section 3.1 of the paper), 720p."""
