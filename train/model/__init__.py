"""The networks of training besides the generator itself, and how it starts."""
