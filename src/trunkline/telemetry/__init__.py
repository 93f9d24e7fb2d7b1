"""How it is told: logs and metrics now; traces have their place here."""
