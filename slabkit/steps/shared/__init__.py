"""What several steps share: slabs and masks in, limits of picks, galleries out."""
