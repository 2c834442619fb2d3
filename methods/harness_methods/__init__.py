"""Methods that come with harness: one method a file, registered under `harness.methods`."""
