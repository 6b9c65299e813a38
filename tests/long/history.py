#!/usr/bin/env python3
"""history.py [OPTIONS] EXTSCRUB: no false alarm. The kernel fills images of many feature sets, several times, and others write to them past the
kernel: e2fsck, tune2fs, resize2fs, debugfs, e2undo, mke2fs, fuse2fs and extscrub, up to six in a row in random order, with mounts between.
None of them lost a write, and after each of them an audit must not say that one was lost or went elsewhere (`metadata-write-lost`,
`metadata-block-misplaced`). The same is asked of snapshots of images that are mounted and written to, of a corpus, and of images made
elsewhere.

A line for each alarm, with the writers that led to it; the image is kept under --keep, with the one before the last writer. The last line
has the counts; exit status 0 when there was no alarm. Needs root and loop devices. The same --seed and --only give the same story, but for
the times.
"""
import argparse
import collections
import concurrent.futures
import glob
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import history_writers
from history_writers import SETS, WRITERS

# Whoever made these has zeroed a block that was written once: when that one write is lost, the image is the same to the byte.
LIKE_LOST = {'f_quota_deallocate_inode.1.img.zst'}
CODES = ('metadata-write-lost', 'metadata-block-misplaced')


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.images = self.snapshots = self.others = self.audits = self.unread = self.zeroed = 0
        self.writers, self.alarms = collections.Counter(), collections.Counter()

    def add(self, name, n=1):
        with self.lock:
            setattr(self, name, getattr(self, name) + n)


def audit(extscrub, image, journal=None):
    """The alarms that it gives, as text; None where it could not be audited."""
    command = [extscrub, 'audit', '--format=json', *(['--journal', journal] if journal else []), image]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    try:
        found = json.loads(done.stdout)['images'][0]['findings']
    except (ValueError, KeyError, IndexError):
        return None
    if done.returncode & 8 and not found:
        return None
    return [f'{f["code"]} ({f.get("severity")}) block {f.get("block")} inode {f.get("inode")}: expected {f.get("expected")}, found {f.get("found")}'
            for f in found if f['code'] in CODES]


def never_written(image, alarms):
    """Every block of the alarms is zero. Who zeroes one that was written once leaves what its lost write would leave, to the byte:
    to tell them apart would be to overlook the loss of a block's first write."""
    with open(image, 'rb') as f:
        f.seek(1024 + 24)
        size = 1024 << int.from_bytes(f.read(4), 'little')
        for alarm in alarms:
            block = re.search(r' block (\d+) ', alarm)
            f.seek(int(block.group(1)) * size if block else 0)
            if not block or any(f.read(size)):
                return False
    return True


class Story(history_writers.Story):
    def __init__(self, index, options, counts, work):
        self.index, self.options, self.counts = index, options, counts
        rng = random.Random(f'{options.seed}/{index}')
        super().__init__(work, rng.choice(options.sets), rng, options.extscrub, None)

    def tell(self):
        self.make()
        self.look('')
        names = self.options.writers
        weights = [WRITERS[name][1] for name in names]
        count = self.rng.choice([1, 2, 3, 4, 5, 6, 6])
        for n in range(count):
            if self.alarmed:
                break
            if self.options.keep:
                shutil.copyfile(self.image, self.image + '.before')
            name = self.rng.choices(names, weights)[0]
            self.writer = name
            if self.rng.random() < 0.3:
                time.sleep(1.1)
            self.step(WRITERS[name][0](self), name)
            if n + 1 < count and not self.alarmed and self.rng.random() < 0.5:
                self.writer = name + ', kernel'
                self.step(history_writers.kernel(self), 'kernel')

    def step(self, words, name):
        self.steps.append(words)
        with self.counts.lock:
            self.counts.writers[name] += 1
        self.look('')

    def look(self, words, image=None, journal=None):
        if self.alarmed:
            return
        self.counts.add('audits')
        alarms = audit(self.extscrub, image or self.image, journal or self.journal_file)
        if alarms is None:
            self.counts.add('unread')
        if alarms and self.steps and 'clri' in self.steps[-1] and never_written(image or self.image, alarms):
            self.alarmed = True  # nothing more is to be learned from this image
            self.counts.add('zeroed')
            print(f'{self.index}: as if a first write had been lost, after {self.steps[-1]}: {alarms[0]}', flush=True)
        elif alarms:
            self.alarmed = True
            raise_alarm(self.options, self.counts, f'{self.index}', f'{self.set}: ' + '; '.join(self.steps + [words] * bool(words)), alarms,
                        image or self.image, getattr(self, 'writer', 'kernel'), self.image + '.before', journal or self.journal_file)


def raise_alarm(options, counts, name, words, alarms, image, writer, before=None, journal=None):
    with counts.lock:
        counts.alarms[writer] += 1
    print(f'ALARM {name} {words}\n    ' + '\n    '.join(alarms[:4]) + (f'\n    and {len(alarms) - 4} more' if len(alarms) > 4 else ''), flush=True)
    if not options.keep:
        return
    os.makedirs(options.keep, exist_ok=True)
    for path, suffix in ((image, 'img'), (before, 'before.img'), (journal, 'journal')):
        if path and os.path.exists(path):
            subprocess.run(['cp', '--sparse=always', path, os.path.join(options.keep, f'{name}.{suffix}')], check=True)
    with open(os.path.join(options.keep, f'{name}.story'), 'w') as f:
        print(words, *alarms, sep='\n', file=f)


def tell_story(index, options, counts):
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        story = Story(index, options, counts, work)
        try:
            story.tell()
        finally:
            story.close()
        counts.add('images')


def take_snapshots(index, options, counts, wanted):
    """Of an image that is mounted and written to: at rest between two operations, or while a writer is at it."""
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        story = Story(f'snapshots-{index}', options, counts, work)
        if story.set == 'ext4-external':
            story.set = 'ext4'
        taken = os.path.join(work, 'taken')
        story.writer = 'snapshot'
        try:
            story.make()
            if not story.mount():
                return
            stop = threading.Event()
            for n in range(wanted):
                busy = story.rng.random() < 0.3
                rounds = story.rng.choice([1, 2, 3])
                if busy:
                    stop.clear()
                    writer = threading.Thread(target=lambda: [history_writers.fill(story, 1, 10) for _ in range(50) if not stop.is_set()])
                    writer.start()
                    time.sleep(0.1)
                else:
                    history_writers.fill(story, rounds, story.rng.choice([3, 20]))
                    if story.rng.random() < 0.3:
                        time.sleep(story.rng.choice([1.1, 5.5]))  # for a commit of the kernel's own
                copied = story.snapshot(taken)
                if busy:
                    stop.set()
                    writer.join()
                if copied:
                    counts.add('snapshots')
                    story.look(f'snapshot {n}{", busy" if busy else ""}', taken)
        finally:
            story.close()


def look_at_others(options, counts):
    """The corpus, and what another tool makes of three seeds."""
    for folder in options.also:
        look_at_folder(folder, options, counts)
    for seed in (1, 2, 3) if options.maker and os.path.exists(options.maker) else ():
        with tempfile.TemporaryDirectory(dir=options.work) as made:
            subprocess.run([options.maker, made, str(seed)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            look_at_folder(made, options, counts)


def look_at_folder(folder, options, counts):
    for path in sorted(p for p in glob.glob(os.path.join(folder, '**'), recursive=True) if p.endswith(('.img', '.img.zst'))):
        with tempfile.TemporaryDirectory(dir=options.work) as work:
            image = path
            if path.endswith('.zst'):
                image = os.path.join(work, 'image')
                subprocess.run(['zstd', '-qd', '--sparse', path, '-o', image], check=True)
            counts.add('others')
            counts.add('audits')
            alarms = audit(options.extscrub, image)
            if alarms is None:
                counts.add('unread')
            if alarms and os.path.basename(path) in LIKE_LOST:
                print(f'{os.path.basename(path)}: as if a write had been lost: {alarms[0]}')
            elif alarms:
                raise_alarm(options, counts, os.path.basename(path), path, alarms, image, 'others')


def leave_alone():
    """Goes on in a mount namespace of its own: one that somebody else makes meanwhile would have our mounts too, and keep them when we unmount."""
    if 'HISTORY_ALONE' not in os.environ and shutil.which('unshare'):
        os.environ['HISTORY_ALONE'] = '1'
        os.execvp('unshare', ['unshare', '-m', '--propagation', 'private', sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', default='1')
    parser.add_argument('--images', type=int, default=300)
    parser.add_argument('--snapshots', type=int, default=200)
    parser.add_argument('--also', action='append', default=[], help='a folder with other images')
    parser.add_argument('--maker', help='a tool that makes images in a folder, of a seed')
    parser.add_argument('--sets', help='only these feature sets, with commas between')
    parser.add_argument('--writers', help='only these, with commas between: ' + ', '.join(WRITERS))
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--only', type=int, action='append', help='only the image of that number')
    parser.add_argument('--first', type=int, default=0, help='begin with the image of that number')
    parser.add_argument('--keep', help='a folder for what alarmed')
    parser.add_argument('--work', default='/dev/shm' if os.access('/dev/shm', os.W_OK) else None, help='a folder for the images [memory]')
    parser.add_argument('extscrub')
    options = parser.parse_args()
    options.extscrub = os.path.abspath(options.extscrub)
    options.keep = options.keep and os.path.abspath(options.keep)
    options.sets = options.sets.split(',') if options.sets else sorted(SETS)
    options.writers = options.writers.split(',') if options.writers else list(WRITERS)
    os.environ.update({'E2FSCK_CONFIG': '/dev/null', 'MKE2FS_CONFIG': '/dev/null', 'BLKID_FILE': '/dev/null', 'LC_ALL': 'C', 'TZ': 'GMT0',
                       'PATH': os.environ['PATH'] + ':/usr/sbin:/sbin'})
    leave_alone()
    if not shutil.which('fuse2fs'):
        print('fuse2fs is not installed: without its writes')
    counts = Counts()
    numbers = options.only or range(options.first, options.first + options.images)
    rounds = [] if options.only else range((options.snapshots + 19) // 20)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        tasks = [pool.submit(tell_story, n, options, counts) for n in numbers]
        tasks += [pool.submit(take_snapshots, n, options, counts, min(20, options.snapshots - 20 * n)) for n in rounds]
        for task in concurrent.futures.as_completed(tasks):
            task.result()
    if not options.only:
        look_at_others(options, counts)
    print('writers: ' + ', '.join(f'{name} {n}' + (f' (alarms {counts.alarms[name]})' if counts.alarms[name] else '') for name, n in sorted(counts.writers.items())))
    alarms = sum(counts.alarms.values())
    print(f'images {counts.images}, steps {sum(counts.writers.values())}, snapshots {counts.snapshots}, others {counts.others}, audits {counts.audits}, '
          f'not audited {counts.unread}, zeroed blocks {counts.zeroed}, alarms {alarms}')
    return 1 if alarms else 0


if __name__ == '__main__':
    sys.exit(main())
