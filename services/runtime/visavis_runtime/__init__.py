"""What all services share: the bus port and its NATS adapter, lifecycle, settings, health, logs."""
