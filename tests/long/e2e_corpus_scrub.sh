#!/bin/bash
# The corpus once more, scrubbed.
exec "$(dirname "$0")/../e2e/e2e_corpus.sh" "$1" scrub
