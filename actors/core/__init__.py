"""Pure decisions and values: no Ray, no database, no network, no clock."""
