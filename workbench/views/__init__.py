"""Parts of pages: reports, records, jobs, exports and plots."""
