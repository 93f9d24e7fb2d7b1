"""How it is told: logs now; metrics and traces have their place here."""
