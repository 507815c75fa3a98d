"""The report of a study: a page, figures and the data behind them, made from rows of `bitswath.models.study.table`.

`results` gives rows a form, `select` and `compare` pick and compare networks, `figure_*` draw, `findings` puts what was
found into sentences, `page` and `tables` lay it out, `write` puts it into a folder.
"""
