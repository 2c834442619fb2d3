"""Sources that come with harness: one kind of source a file, registered under `harness.datasets`."""
