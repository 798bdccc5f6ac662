"""One adapter a file: the bytes of a record to canonical events, or the reason why not."""
