"""Where weights come from: files, shards, pickles when asked for, the hub."""
