"""Training jobs: checked, scheduled, supervised, cancelled, and taken up after a crash."""
