"""Numbers only: arrays and headers in, new arrays and tables out; knows no server."""
