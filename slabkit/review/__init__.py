"""The review page: a server on this machine, and the page in the browser."""
