"""What people do (`tracker`) and what the clock does (`jobs`), between the pure core and the store."""
