"""What the ids of many pictures look like: as words of a language, and as patches.

corpus.py       the ids of one codebook in many pictures
counts.py       how often each value occurs; entropy
frequency.py    usage, perplexity, dead codes
zipf.py         frequency over rank          heaps.py      new codes over ids read        fit.py   a straight line
ngrams.py       ids in a row                 mutual.py     what neighbours know of each other
positions.py    entropy by place             compression.py bits an id under general compressors
figures.py      all of it for one codebook   document.py   all of it for a model: analysis.json

atlas.py        what every code looks like   neighbours.py codes that are alike
chart.py        plots as SVG                 html.py       index.html, one page that needs nothing else

The questions are those of Chan et al., "Analyzing the language of visual tokens", 2024; every estimator says what it does.
"""
