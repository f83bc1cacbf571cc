"""Development stand-in for the vendor's hosted Motion Server."""
