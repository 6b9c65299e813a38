#!/usr/bin/env python3
"""promises.py EXTSCRUB IMAGE...: holds what an audit promises against what the scrub then does, to the line.

Each IMAGE, or *.img and *.img.zst below a folder, is audited, and a copy of it scrubbed with safe repairs. A line that the
audit ends with "[`extscrub scrub` repairs it]" has to end with "[repaired]" after the scrub; an error or a warning that the
scrub ends so, and the audit did not promise, is counted as well. The last line is `images N, promises P: broken B, unasked U`; exit status 0
when B and U are 0.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

PROMISE, KEPT = '[`extscrub scrub` repairs it]', '[repaired]'


def images(places):
    for place in places:
        if os.path.isfile(place):
            yield place
        for folder, _, names in sorted(os.walk(place)):
            yield from (os.path.join(folder, n) for n in sorted(names) if n.endswith(('.img', '.img.zst')))


def lines(extscrub, command, image):
    """{line without its bracket: what the bracket says}"""
    out = subprocess.run([extscrub, *command, image], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120)
    found = {}
    for line in out.stdout.decode(errors='replace').split('\n'):
        if m := re.fullmatch(r'  (?:error|warning) +(.*?)( \[[^\]]*\])?', line):
            found[m[1]] = (m[2] or '').strip()
    return found


def look_at(extscrub, source):
    """[what is broken or unasked, a line each], and how many promises there were."""
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, 'image.img')
        if source.endswith('.zst'):
            subprocess.run(['zstd', '-dqf', '--sparse', source, '-o', image], check=True)
        else:
            shutil.copyfile(source, image)
        promised = lines(extscrub, ['audit'], image)
        done = lines(extscrub, ['scrub', '--repair=safe', '--no-undo'], image)
    broken = [f'broken: {line}: {done.get(line, "not there")}' for line, end in promised.items() if end == PROMISE and done.get(line) != KEPT]
    unasked = [f'unasked: {line}: {promised.get(line, "not there")}' for line, end in done.items() if end == KEPT and promised.get(line) != PROMISE]
    return sum(end == PROMISE for end in promised.values()), broken, unasked


def main():
    extscrub, sources = sys.argv[1], list(images(sys.argv[2:]))
    promises = broken = unasked = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, (n, b, u) in zip(sources, pool.map(lambda s: look_at(extscrub, s), sources)):
            promises, broken, unasked = promises + n, broken + len(b), unasked + len(u)
            for line in b + u:
                print(f'{source}: {line}')
    print(f'images {len(sources)}, promises {promises}: broken {broken}, unasked {unasked}')
    sys.exit(bool(broken or unasked))


main()
