"""Doctor: can this machine predict, and train, with the models that are here?

Facts are collected first, without judging them (`facts`, `packages`, `models`). The checks are pure
functions from facts to problems. Nothing here uses a network, and no fact has a name of a user, of
a host or of a folder, so that a report can be shown to strangers.
"""
