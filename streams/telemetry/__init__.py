"""What Prometheus sees: the catalogue of names, the view, the collector, the server."""
