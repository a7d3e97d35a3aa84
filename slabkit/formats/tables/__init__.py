"""Tables in files: STAR text, slabkit's own tables, atomic writing and paths."""
