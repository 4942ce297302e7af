"""What is measured: each module has `cases(device)`, which builds both sides and yields what to compare."""
