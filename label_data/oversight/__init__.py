"""What those who run a project look at: progress, records, checks, copies."""
