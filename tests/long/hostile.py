#!/usr/bin/env python3
"""hostile.py [OPTIONS] EXTSCRUB: damaged images, containers and partition tables through `audit` and `scrub --repair=all`, each in a
process with 1 GiB and 20 s. What must hold, and is counted where it does not:

  crash      it dies of a signal, or says that one of its own processes did
  limit      it takes longer than 20 s, or more memory than 1 GiB without a message about it
  mute       it exits 8 without a word why
  status     an exit status that fsck(8) does not have
  broken     it says "repaired", and `e2fsck -fn` finds errors
  opened     it opens a file that is not the image's (seen by strace, for one in --strace, and all that name files)
  written    a file other than the image and its undo log has changed, appeared or gone; or an audit changed the image; or the image grew

The last line counts them; exit status 0 when all are 0. What broke is kept in --keep, with a line on how to repeat it: the same
--seed and --only give the same input.
"""
import argparse
import concurrent.futures
import hashlib
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

import hostile_disks
import hostile_images
from hostile_images import ENV

SECONDS, MEMORY = 20, 1 << 30
FAULTS = ['crash', 'limit', 'mute', 'status', 'broken', 'opened', 'written']
# What a process may open besides the image: its libraries, what tells about the machine, scratch space.
ALLOWED = re.compile(r'^(/lib|/usr/lib|/usr/share/(locale|zoneinfo)|/etc/(ld\.so|localtime|nsswitch|passwd|group|mtab|blkid)|/proc(/|$)|/sys/|/dev/(null|urandom|fuse|shm|loop\d+)|'
                     r'/run/(blkid|mount)|/usr/(s?bin|libexec|local/s?bin)/|/s?bin/|/etc/(nbdkit|fuse|ssl|crypto|gnutls|pki|gcrypt|host)|/usr/share/(qemu|icu)|'
                     r'/var/tmp/?$|/tmp/?$)')


class Run:
    """What one process did."""

    def __init__(self, command, folder, strace_log=None):
        if strace_log:
            command = ['strace', '-f', '-qq', '-s', '4096', '-e', 'trace=open,openat,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,symlink,'
                       'link,linkat,symlinkat,mkdir,truncate,connect', '-o', strace_log] + command

        def limits():
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

        environment = dict(ENV, TMPDIR=os.path.join(folder, 'scratch'), HOME=os.path.join(folder, 'scratch'))
        slow = 4 if strace_log else 1
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                                   cwd=os.path.join(folder, 'work'), preexec_fn=limits, start_new_session=True)
        self.timed_out = False
        try:
            out, err = process.communicate(timeout=slow * SECONDS)
        except subprocess.TimeoutExpired:
            self.timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
        self.status, self.out, self.err = process.returncode, out.decode(errors='replace'), err.decode(errors='replace')

    def faults(self, what):
        if self.timed_out:
            yield 'limit', f'{what}: more than {SECONDS} s'
        elif self.status < 0 or self.status >= 128:
            yield 'crash', f'{what}: exit status {self.status}: {self.err[-300:]}'
        elif re.search(r'signal \d|SIG(SEGV|ABRT|BUS|FPE|ILL)|internal error|terminate called|[Aa]ssertion', self.out + self.err):
            yield 'crash', f'{what}: {(self.err + self.out)[-400:]}'
        elif self.status & ~15 or self.status & 3 == 3:
            yield 'status', f'{what}: exit status {self.status}'
        elif re.search(r'bad_alloc', self.out + self.err):
            yield 'limit', f'{what}: {self.err[-300:]}'
        elif self.status & 8 and not self.err.strip() and not re.search(r'unreadable|not audited|refused|not written', self.out):
            yield 'mute', f'{what}: exit status {self.status} and no message'


def digest(path):
    h = hashlib.blake2b()
    with open(path, 'rb') as f:
        while piece := f.read(1 << 20):
            h.update(piece)
    return h.hexdigest()


def listing(folder):
    """{path: what it is} of all below a folder."""
    out = {}
    for at, folders, files in os.walk(folder):
        for name in files + folders:
            path = os.path.join(at, name)
            st = os.lstat(path)
            out[os.path.relpath(path, folder)] = (st.st_mode, digest(path) if os.path.isfile(path) and not os.path.islink(path) else '')
    return out


def opened(log, folder, image):
    """Files in a strace log that are neither the image's nor harmless."""
    ours = os.path.join(folder, '')
    for line in open(log, errors='replace'):
        if 'sa_family=AF_' in line and re.search(r'AF_INET|canaries', line):
            yield line.strip()[:200]
        for path in re.findall(r'(?:\(|AT_FDCWD, |, )"((?:[^"\\]|\\.)+)"', line):
            if 'connect(' in line or 'O_PATH' in line:  # a place for a rule of landlock; nothing can be read through it
                continue
            if not path.startswith('/'):
                path = os.path.normpath(os.path.join(folder, 'work', path))
            if path.startswith(os.path.join(folder, 'work', os.path.basename(image))) or path.startswith(os.path.join(folder, 'scratch')):
                continue
            if path in (ours + 'work', folder) or ALLOWED.match(path):
                continue
            yield line.strip()[:200]


class Hostile:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.sets = hostile_images.feature_sets()
        self.images, self.disks = {}, {}
        tree = os.path.join(work, 'tree')
        os.mkdir(tree)
        hostile_images.make_tree(tree)
        for name, (mke2fs, size) in self.sets.items() if options.images else ():
            for journal in (False, True):
                if journal and ('ext2' in name or '^has_journal' in mke2fs):
                    continue
                path = os.path.join(work, f'{name}{"-log" if journal else ""}.img')
                hostile_images.make_image(path, mke2fs, size, tree, journal)
                self.images[os.path.basename(path)[:-4]] = path
        small = os.path.join(work, 'small.img')
        hostile_images.make_image(small, '-t ext4 -b 1024 -g 2048 -O ^has_journal', '4M', tree, False)
        if options.containers:
            self.disks = hostile_disks.bases(work, small)
        self.head = open(small, 'rb').read(65536)

    def make(self, index, folder):
        """The input of that number: (its path, what it is, how it was damaged, whether e2fsck can be asked about it)."""
        rng = random.Random(f'{self.options.seed}/{index}')
        if index < self.options.images:
            name = sorted(self.images)[index % len(self.images)]
            image = hostile_images.ExtImage(bytearray(open(self.images[name], 'rb').read()))
            recipe = [hostile_images.mutate(image, rng) for _ in range(rng.choice([1, 1, 1, 2, 3, 5]))]
            path = os.path.join(folder, 'work', 'image.img')
            write_sparse(path, image.data[:image.length].ljust(image.length, b'\0'))
            return path, name, recipe, True
        canary = os.path.join(folder, 'canaries', 'canary')
        kind = hostile_disks.KINDS[index % len(hostile_disks.KINDS)]
        if kind == 'bomb':
            suffix, data = hostile_disks.bomb(rng, self.head)
            path = os.path.join(folder, 'work', f'image.img.{suffix}')
            write_sparse(path, data)
            return path, kind, [f'{suffix}, {len(data)} bytes'], False
        base, sectors = self.disks[kind]
        data = bytearray(open(base, 'rb').read())
        recipe = [hostile_disks.mutate(kind, data, sectors, rng, canary)]
        name = os.path.basename(base)
        if rng.random() < 0.2:  # under a name that says nothing
            name = 'image.img'
        path = os.path.join(folder, 'work', name)
        write_sparse(path, data)
        return path, kind, recipe, False

    def one(self, index):
        """(index, what it was, recipe, [(fault, text)], outcome)"""
        folder = os.path.join(self.work, f'run{index}')
        for name in ('work', 'canaries', 'scratch'):
            os.makedirs(os.path.join(folder, name))
        with open(os.path.join(folder, 'canaries', 'canary'), 'wb') as f:
            f.write(b'canary\n' * 40000)
        path, what, recipe, is_image = self.make(index, folder)
        faults = []
        canaries = listing(os.path.join(folder, 'canaries'))
        before = listing(os.path.join(folder, 'work'))
        names_files = any(word in ' '.join(recipe) for word in ('file', 'names'))
        log = os.path.join(folder, 'strace') if names_files or index % self.options.strace == 0 else None
        audit = Run([self.options.extscrub, 'audit', path], folder, log)
        faults += audit.faults('audit')
        if log:
            faults += [('opened', 'audit: ' + line) for line in opened(log, folder, path)][:3]
        if listing(os.path.join(folder, 'work')) != before:
            faults.append(('written', 'audit changed its folder'))
        size = os.path.getsize(path)
        scrub = Run([self.options.extscrub, 'scrub', '--repair=all', path], folder, log)
        faults += scrub.faults('scrub')
        if log:
            faults += [('opened', 'scrub: ' + line) for line in opened(log, folder, path)][:3]
        after = listing(os.path.join(folder, 'work'))
        strange = [n for n in after if n not in before and not re.match(re.escape(os.path.basename(path)) + r'\.extscrub-(undo|errored)', n)]
        if strange or set(before) - set(after):
            faults.append(('written', f'scrub: {strange} in its folder'))
        if scrub.status & ~1 and not scrub.timed_out and scrub.status & 8 and after.get(os.path.basename(path)) != before.get(os.path.basename(path)) \
                and not re.search('repaired|written|wrote', scrub.out + scrub.err):
            faults.append(('written', 'scrub changed the image and says nothing of it'))
        if is_image and os.path.getsize(path) != size:
            faults.append(('written', f'the image had {size} bytes and has {os.path.getsize(path)}'))
        if listing(os.path.join(folder, 'canaries')) != canaries:
            faults.append(('written', 'a canary'))
        if left := os.listdir(os.path.join(folder, 'scratch')):
            faults.append(('written', f'left in the scratch space: {left}'))
        if is_image and scrub.status == 1:
            faults += self.e2fsck(path)
        if faults and self.options.keep:
            self.keep(index, what, recipe, faults, audit, scrub)
        shutil.rmtree(folder, ignore_errors=True)
        return index, what, recipe, faults, scrub.status

    @staticmethod
    def e2fsck(path):
        try:
            done = subprocess.run(['e2fsck', '-fn', path], env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=60)
        except subprocess.TimeoutExpired:
            return []
        if done.returncode == 0:
            return []
        return [('broken', 'e2fsck -fn: ' + ' / '.join(done.stdout.decode(errors='replace').split('\n')[1:8]))]

    def keep(self, index, what, recipe, faults, audit, scrub):
        folder = os.path.join(self.options.keep, str(index))
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(os.path.join(folder, 'work'))
        os.makedirs(os.path.join(folder, 'canaries'))
        self.make(index, folder)
        with open(os.path.join(folder, 'recipe'), 'w') as f:
            print(f'--seed {self.options.seed} --images {self.options.images} --only {index}', what, *recipe, '', *map(str, faults), '',
                  f'audit {audit.status}', audit.out[-4000:], audit.err[-2000:], f'scrub {scrub.status}', scrub.out[-4000:], scrub.err[-2000:],
                  sep='\n', file=f)


def write_sparse(path, data):
    with open(path, 'wb') as f:
        for at in range(0, len(data), 65536):
            piece = data[at:at + 65536]
            if piece.count(0) != len(piece):
                f.seek(at)
                f.write(piece)
        f.truncate(len(data))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seed', default='1')
    parser.add_argument('--images', type=int, default=5000)
    parser.add_argument('--containers', type=int, default=1000)
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--strace', type=int, default=20, help='one input in that many is watched (20)')
    parser.add_argument('--only', type=int, action='append', help='only the input of that number')
    parser.add_argument('--first', type=int, default=0, help='begin with the input of that number')
    parser.add_argument('--keep', help='a folder for what broke')
    parser.add_argument('extscrub')
    options = parser.parse_args()
    options.extscrub = os.path.abspath(options.extscrub)
    if options.keep:
        options.keep = os.path.abspath(options.keep)
    counts, outcomes, bad = dict.fromkeys(FAULTS, 0), {}, 0
    with tempfile.TemporaryDirectory() as work:
        hostile = Hostile(options, work)
        numbers = options.only or range(options.first, options.images + options.containers)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for index, what, recipe, faults, status in pool.map(hostile.one, numbers):
                outcomes[status] = outcomes.get(status, 0) + 1
                for fault in sorted({f for f, _ in faults}):
                    counts[fault] += 1
                bad += bool(faults)
                for fault, text in faults:
                    print(f'{index} {what}: {fault}: {text}\n    {"; ".join(recipe)}', flush=True)
    print('exit status of scrub: ' + ', '.join(f'{k}: {v}' for k, v in sorted(outcomes.items())))
    print(f'inputs {len(numbers)}, bad {bad}: ' + ', '.join(f'{k} {v}' for k, v in counts.items()))
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
