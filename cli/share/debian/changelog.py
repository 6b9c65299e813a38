#!/usr/bin/env python3
"""changelog.py CHANGELOG.md NAME VERSION RELEASE MAINTAINER: the changelog as Debian writes it. What is not released yet
is VERSION, of the day of SOURCE_DATE_EPOCH, else of today."""
import datetime
import os
import re
import sys
import textwrap

path, name, next_version, release, maintainer = sys.argv[1:]
text = open(path, encoding='utf-8').read()
entries = re.split(r'^## ', text, flags=re.M)[1:]
released = re.compile(r'(\d+\.\d+\.\d+) \((\d{4}-\d{2}-\d{2})\)')
for i, entry in enumerate(entries):
    heading, _, body = entry.partition('\n')
    found = released.fullmatch(heading.strip())
    if found:
        version, day, distribution = found[1], found[2], 'unstable'
    elif i == 0 and heading.strip() == 'Unreleased':
        seconds = int(os.environ.get('SOURCE_DATE_EPOCH') or datetime.datetime.now().timestamp())
        version, distribution = next_version, 'UNRELEASED'
        day = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime('%Y-%m-%d')
    else:
        sys.exit(f'{path}: "## {heading}" is not "## VERSION (DATE)"')
    print(f'{name} ({version}-{release}) {distribution}; urgency=medium\n')
    for item in re.split(r'^- ', body, flags=re.M)[1:]:
        print(textwrap.fill(' '.join(item.split()), 78, initial_indent='  * ', subsequent_indent='    '))
    date = datetime.datetime.strptime(day + ' +0000', '%Y-%m-%d %z')
    print(f'\n -- {maintainer}  {date:%a, %d %b %Y %H:%M:%S %z}\n')
