"""The session API: gRPC in front, the bus behind, and nothing kept in between."""
