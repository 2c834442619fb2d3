"""One run, looked at closely: what it was, how it learned, what it confuses, its best and worst episodes."""
