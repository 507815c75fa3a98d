"""The compression study: how few bits are enough, a grid of cells measured and trained.

`config` and `grid` say which cells there are, `runner` has them worked on in processes (`process`, `worker`), `store`
keeps what came of each, `table` puts it into rows.
"""
