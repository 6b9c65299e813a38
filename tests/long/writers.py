#!/usr/bin/env python3
"""writers.py [OPTIONS] EXTSCRUB: what others write is left alone. Images are made and changed by many writers of ext2, ext3 and ext4: mke2fs,
tune2fs, resize2fs, debugfs, e2image, the kernel, fuse2fs, fuse-ext2, genext2fs, busybox, e2tools, zerofree, partclone and genimage. After each step
e2fsck is asked whether the image is sound, and the kernel whether it mounts it and reads all that is in it. Where both say yes, an audit must exit 0
without a finding, and a scrub must leave every byte as it was; where the kernel says no, an audit must find why. What is true of a sound image all
the same (see REMARKS) is counted, not held against it.

A line for each disagreement, with the steps that led to it; the image is kept under --keep. An image that e2fsck objects to is mended by it, and
asked about again. The last line has the counts; exit status 0 when there was no disagreement. Needs root and loop devices. The same --seed and
--only give the same steps, but for the times. A tool that is not installed is named and left out.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading

from history import leave_alone
from writers_tools import SUPPORT, WRITERS, Bench, elsewhere

# What an audit says of a sound image, and is right: that a UUID or /lost+found is not there, that an error was noted some time. True: a scrub
# changes it.
REMARKS = {'superblock-uuid-zero': False, 'lost-found-missing': False, 'superblock-past-errors': False, 'superblock-error-mark': True}
# These leave the backups unwritten.
NO_BACKUPS = {'superblock-backup-bad': True, 'group-desc-backup-mismatch': True}
WITHOUT_BACKUPS = ('genext2fs', 'genimage', 'copiers')
UNKNOWN_TO_KERNEL = re.compile('unsupported optional features|without CONFIG_|not built with CONFIG_|bad block size|unsupported blocksize|encoding')
NO_KEY = 126  # ENOKEY: the file is encrypted


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.steps, self.sound, self.unsound, self.unread, self.remarks, self.alarms = (collections.Counter() for _ in range(6))
        self.missing = set()


# ---- What the others say ----

def is_sound(bench):
    """e2fsck's word, which can exit 0 after it has left a fault as it was."""
    done = subprocess.run(['e2fsck', '-fn', bench.image], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    words = done.stdout.decode(errors='replace')
    return done.returncode == 0 and not re.search(r'\? no|IGNORED|WARNING|not clean|ignored', words), words


def read_file(path, mode):
    if stat.S_ISLNK(mode):
        os.readlink(path)
    elif stat.S_ISREG(mode):
        with open(path, 'rb', buffering=0) as f:
            end = os.fstat(f.fileno()).st_size
            for at in {0, max(0, end - (1 << 20))} if end > 1 << 26 else [0]:  # a sparse file of terabytes: its ends
                f.seek(at)
                left = 1 << 26
                while left > 0 and (block := f.read(1 << 20)):
                    left -= len(block)


def unreadable(root):
    """What the kernel does not read of all that is mounted at a place: None when it reads everything."""
    bad = []
    for at, folders, files in os.walk(root, onerror=lambda e: bad.append(str(e))):
        for path in [os.path.join(at, name) for name in folders + files]:
            try:
                mode = os.lstat(path).st_mode
                read_file(path, mode)
                for name in os.listxattr(path, follow_symlinks=False):
                    os.getxattr(path, name, follow_symlinks=False)
            except OSError as e:
                if e.errno != NO_KEY:
                    bad.append(str(e))
    return bad[0] if bad else None


def ask_kernel(bench):
    """'read', 'cannot' where this kernel lacks a feature, or why it refuses the image."""
    done = subprocess.run(['mount', '-t', 'ext4', '-o', 'ro,loop,nodev', bench.image, bench.mnt], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, timeout=120)
    if done.returncode:
        log = subprocess.run(['dmesg'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode(errors='replace').splitlines()[-3:]
        return 'cannot' if any(UNKNOWN_TO_KERNEL.search(line) for line in log) else 'refused: ' + ' | '.join(log)
    bench.mounted = True
    try:
        bad = unreadable(bench.mnt)
        return f'not read: {bad}' if bad else 'read'
    finally:
        bench.umount()


def digest(path):
    with open(path, 'rb') as f:
        return hashlib.file_digest(f, 'sha1').digest() if hasattr(hashlib, 'file_digest') else hashlib.sha1(f.read()).digest()


def audit(bench):
    """The findings, and what is wrong with the run itself."""
    done = subprocess.run([bench.extscrub, 'audit', '--format=json', bench.image], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=300)
    try:
        found = json.loads(done.stdout)['images'][0]['findings']
    except (ValueError, KeyError, IndexError):
        found = []
    return found, [f'audit exits {done.returncode}: {done.stderr.decode(errors="replace")[-300:]}'] if done.returncode else []


def disagreements(bench):
    """What is found that is no remark, and the remarks."""
    before = digest(bench.image)
    found, words = audit(bench)
    allowed = {**REMARKS, **(NO_BACKUPS if bench.name in WITHOUT_BACKUPS else {})}
    remarks = {f['code'] for f in found if f['code'] in allowed and f['severity'] != 'error'}
    words += [f'{f["code"]} ({f["severity"]}) group {f.get("group")} inode {f.get("inode")} block {f.get("block")} {f.get("field")}: '
              f'expected {f.get("expected")}, found {f.get("found")}' for f in found if f['code'] not in remarks]
    if words or any(allowed[code] for code in remarks):
        return words, remarks
    for more in ([], ['--repair=all']):
        status = bench.run(bench.extscrub, 'scrub', '--no-undo', *more, bench.image)
        if status or digest(bench.image) != before:
            words.append(f'scrub {" ".join(more)} exits {status}{", and wrote" if digest(bench.image) != before else ""}')
            break
    return words, remarks


def prove(bench, again=False):
    """An image is sound when e2fsck and the kernel have no objection."""
    counts, options = bench.counts, bench.options
    good, said = is_sound(bench)
    if not good:
        with counts.lock:
            counts.unsound[bench.name] += 1
        if options.verbose:
            print(f'unsound {bench.name} {bench.index}: {"; ".join(bench.steps)}\n    ' + '\n    '.join(said.splitlines()[:6]), flush=True)
        if not again and bench.check('-fy') < 4:
            bench.steps.append('e2fsck -fy')
            prove(bench, True)
        return
    kept = bench.image + '.kept'
    if options.keep:
        subprocess.run(['cp', '--sparse=always', bench.image, kept], check=True)
    word = ask_kernel(bench)
    wrong, remarks = disagreements(bench)
    if word not in ('read', 'cannot'):
        wrong = [] if wrong else ['the kernel does not read it, and the audit finds nothing']
    with counts.lock:
        counts.sound[bench.name] += 1
        counts.unread[bench.name] += word != 'read'
        counts.remarks.update(remarks)
        number = sum(counts.alarms.values())
        counts.alarms[bench.name] += bool(wrong)
    if wrong:
        print(f'DISAGREES {bench.name} {bench.index} (kernel: {word}): {"; ".join(bench.steps)}',
              *wrong[:6], sep='\n    ', flush=True)
        if options.keep:
            os.makedirs(options.keep, exist_ok=True)
            shutil.move(kept, os.path.join(options.keep, f'{bench.name}-{bench.index}-{number}.img'))


def work_at(writer, index, options, counts):
    with tempfile.TemporaryDirectory(dir=options.work) as work:
        bench = Bench(writer.__name__, index, options, counts, work)
        try:
            for _ in writer(bench):
                with counts.lock:
                    counts.steps[bench.name] += 1
                prove(bench)
        finally:
            bench.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', default='1')
    parser.add_argument('--rounds', type=int, default=5, help='how often each writer has its turns [5]')
    parser.add_argument('--writers', help='only these, each once in a round, with commas between: ' + ', '.join(WRITERS))
    parser.add_argument('--maker', help='a tool that makes images in a folder, of a seed')
    parser.add_argument('--makes', type=int, default=3, help='of how many seeds [3]')
    parser.add_argument('--only', type=int, action='append', help='only the images of that number')
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--keep', help='a folder for what is disagreed on')
    parser.add_argument('--verbose', action='store_true', help='say too what e2fsck objects to')
    parser.add_argument('--work', default='/dev/shm' if os.access('/dev/shm', os.W_OK) else None, help='a folder for the images [memory]')
    parser.add_argument('extscrub')
    options = parser.parse_args()
    options.extscrub = os.path.abspath(options.extscrub)
    os.environ.update({'E2FSCK_CONFIG': '/dev/null', 'MKE2FS_CONFIG': os.path.join(SUPPORT, 'mke2fs.conf'), 'BLKID_FILE': '/dev/null',
        'LC_ALL': 'C', 'TZ': 'GMT0',
                       'DEBUGFS_PAGER': '__none__', 'PATH': os.environ['PATH'] + ':/usr/sbin:/sbin'})
    leave_alone()
    counts = Counts()
    names = options.writers.split(',') if options.writers else list(WRITERS)
    tasks = [(WRITERS[name][0], n) for name in names for n in range(options.rounds * (1 if options.writers else WRITERS[name][1]))]
    tasks += [(elsewhere, n) for n in range(options.makes if options.maker else 0)]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for task in concurrent.futures.as_completed([pool.submit(work_at, writer, n, options, counts) for writer,
            n in tasks if not options.only or n in options.only]):
            task.result()
    for name in sorted(counts.steps):
        print(f'{name}: steps {counts.steps[name]}, sound {counts.sound[name]}, not read by the kernel {counts.unread[name]}, '
              f'disagreements {counts.alarms[name]}')
    print('true of sound images: ' + (', '.join(f'{code} {n}' for code, n in sorted(counts.remarks.items())) or 'nothing'))
    if counts.missing:
        print('not installed: ' + ', '.join(sorted(counts.missing)))
    alarms = sum(counts.alarms.values())
    print(f'images {len(tasks)}, steps {sum(counts.steps.values())}, sound {sum(counts.sound.values())}, unsound {sum(counts.unsound.values())}, '
          f'not read by the kernel {sum(counts.unread.values())}, disagreements {alarms}')
    return 1 if alarms else 0


if __name__ == '__main__':
    sys.exit(main())
