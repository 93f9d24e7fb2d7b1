"""Grammar: what the dialects have in common.

Framings (`sse`, `eventstream`, `unwrapped`), the reading of streams (`streams`, `in_order`), settings and careful
reading (`fields`, `vectors`), what can be said and what is lost on the way (`matrix`, `crossing`), refusals
(`classify`), and forms for models without (`schemas`, `structured`, `emulation`). Knows no dialect: they lie one folder
above.
"""
