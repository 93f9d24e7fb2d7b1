"""The embedded model: a real model that needs no key and no network at run time.

Inside a Python program the runtime aborts at exit and hangs forked processes, so it never lives there: `serve.py` runs
it in a child process that speaks OpenAI's HTTP on a loopback port, and `launcher.py` starts, finds and ends that child.
To the rest of the house `local` is one more OpenAI-compatible address.

    launcher.py      the parent's side: one child, started at first use, gone when we are
    transport.py     requests for `local`, carried to wherever that child listens
    serve.py         the child's side: its life, and the chat model
    embeddings.py    text to vectors
    vectors_http.py  those vectors over HTTP, as OpenAI says it
    weights.py       where the models' files are
    install.py       how they get there: `trunkline local install`

Nothing is imported here: the child passes through this file on its way, and it has half a second to its first token.
"""
