"""What attempts share: counters and reservations, rests, cached answers; what this process has seen of each target."""
