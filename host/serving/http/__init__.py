"""The protocol over HTTP, the page, and what guards both."""
