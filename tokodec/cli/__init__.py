"""The command ``tokodec``: one small file a verb, which parses, calls and prints. Nothing here imports torch before it must.

main.py      the verbs, and errors to exit codes
options.py   flags that several verbs share
paths.py     what was named on the command line as pairs of source and target, checked before anything is done
batch.py     does the pairs one after the other or side by side; one bad file does not stop it
talk.py      what is said: data on stdout, everything else on stderr
streams.py   files, stdin and stdout as bytes
"""
