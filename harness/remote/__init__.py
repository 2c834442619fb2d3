"""An experiment behind a URL (s3://, gs://, file://, ...): worked on in a local mirror, exchanged in whole files.

places.py             what a URL is, and where its mirror lies
objects.py            the files behind a URL; the only file that imports fsspec
manifest.py           what a run's files at the URL are to be: sizes and digests
run_mirror.py         one run: what is pushed when, what is pulled
experiment_mirror.py  all runs, the record and the report of one `harness run`
looking.py            copies for commands that only read; outlines, which hold the small files alone
lease_object.py       a lease where files can be neither linked nor made exclusively
"""
