"""Images, charts and pages to look at."""
