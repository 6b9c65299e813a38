#!/usr/bin/env python3
"""changelog.py CHANGELOG.md NAME RELEASE MAINTAINER: the changelog as Debian writes it."""
import datetime
import re
import sys
import textwrap

path, name, release, maintainer = sys.argv[1:]
text = open(path, encoding='utf-8').read()
entries = re.split(r'^## ', text, flags=re.M)[1:]
for entry in entries:
    heading, _, body = entry.partition('\n')
    found = re.fullmatch(r'(\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2})\)', heading.strip())
    if not found:
        sys.exit(f'{path}: "## {heading}" is not "## VERSION (DATE)"')
    print(f'{name} ({found[1]}-{release}) unstable; urgency=medium\n')
    for item in re.split(r'^- ', body, flags=re.M)[1:]:
        print(textwrap.fill(' '.join(item.split()), 78, initial_indent='  * ', subsequent_indent='    '))
    date = datetime.datetime.strptime(found[2] + ' +0000', '%Y-%m-%d %z')
    print(f'\n -- {maintainer}  {date:%a, %d %b %Y %H:%M:%S %z}\n')
