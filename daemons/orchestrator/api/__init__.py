"""The REST API: one module per subject, wired together in `app`."""
