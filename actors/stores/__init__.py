"""Where state lives: Postgres, the truth; Redis, the hot copy, the event log and the fan-out."""
