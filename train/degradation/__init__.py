"""From a clean drawing to what a viewer gets: blur, noise, resizing and codecs (section 3.2 of the paper)."""
