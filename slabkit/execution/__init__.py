"""Running a step over many tomograms: local workers, records, skipping what is done."""
