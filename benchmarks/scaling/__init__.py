"""How cost grows: time and memory as one thing about the work becomes larger and everything else stays."""
