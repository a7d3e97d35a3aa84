"""What several steps share: slabs, masks and pick lists in, limits of picks, galleries out."""
