#!/usr/bin/env python3
"""sweep_more.py [OPTIONS] FAULTFILE_MORE IMAGE -- COMMAND...: what devices do besides failing a write, at every write of a repair.

COMMAND repairs the damaged IMAGE, with the path appended; it runs on a copy that FAULTFILE_MORE serves (it needs FUSE). Modes:

  shrink      the image loses its last third at write N          lose        write N is said to be done, and stores nothing
  misdirect   write N lands a sector, or a block, behind its place  dead      from write N on nothing works (ENXIO)
  journal     from write N on the journal's superblock cannot be written
  hang-write, hang-sync   write or flush N never comes back: SIGTERM after 2 s, and the device is taken away 2 s later

Counted, with `damaged` = e2fsck -fn finds errors once a committed journal is replayed, or the image is too short:

  lie         the image was changed, is damaged, and its superblock says clean
  false-ok    COMMAND exited 0 or 1 although the image is damaged, or blocks are not what they are without the fault
  grew        the image is longer than it was
  hang        COMMAND ran on for 20 s, or died of a signal that was not sent to it
  silent      neither the exit status nor the output tells that anything went wrong, and the image is not as without the fault

The last line counts them; exit status 0 when all are 0.
"""
import argparse
import hashlib
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

ENV = dict(os.environ, E2FSCK_CONFIG='/dev/null', BLKID_FILE='/dev/null', LC_ALL='C', PATH=os.environ['PATH'] + ':/usr/sbin:/sbin')
MODES = ['shrink', 'lose', 'misdirect', 'dead', 'journal', 'hang-write', 'hang-sync']
COUNTED = ['lie', 'false-ok', 'grew', 'hang', 'silent']


def sh(*command, timeout=60):
    try:
        done = subprocess.run(command, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
        return done.returncode, done.stdout.decode(errors='replace')
    except subprocess.TimeoutExpired:
        return -99, ''


def copy(a, b):
    subprocess.check_call(['cp', '--sparse=always', a, b])


def says_clean(image):
    with open(image, 'rb') as f:
        head = f.read(2048).ljust(2048, b'\0')
    state, = struct.unpack_from('<H', head, 1024 + 0x3A)
    incompat, = struct.unpack_from('<I', head, 1024 + 0x60)
    return bool(state & 1 and not state & 2 and not incompat & 4)


class Sweep:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.counts, self.faults = dict.fromkeys(COUNTED, 0), 0
        self.size = os.path.getsize(options.image)
        with open(options.image, 'rb') as f:
            self.block_size = 1024 << struct.unpack_from('<I', f.read(2048), 1024 + 24)[0]
        self.journal = self.journal_blocks()
        self.before = self.blocks(options.image)
        self.image = os.path.join(work, 'work.img')
        self.status, self.output, log = self.serve([])
        self.writes = sum(line.startswith('W ') for line in log)
        self.syncs = sum(line.startswith('S ') for line in log)
        self.mended = self.blocks(self.image)

    def journal_blocks(self):
        """The blocks of inode 8; the first is its superblock."""
        _, text = sh('debugfs', '-R', 'stat <8>', self.options.image)
        runs = re.findall(r'\(\d+(?:-\d+)?\):(\d+)(?:-(\d+))?', text.replace('\n', ''))
        return [b for first, last in runs for b in range(int(first), int(last or first) + 1)]

    def blocks(self, path):
        """A digest of each block whose content does not depend on the time of the run or on how it was committed."""
        left_out = set(self.journal) | {1024 // self.block_size}
        out = []
        with open(path, 'rb') as f:
            while block := f.read(self.block_size):
                out.append(b'' if len(out) in left_out else hashlib.blake2b(block, digest_size=12).digest())
        return out

    def serve(self, faults, hangs=False):
        """Runs COMMAND on a fresh copy: exit status, output, the request log."""
        copy(self.options.image, self.image)
        mount, log = os.path.join(self.work, 'mnt'), os.path.join(self.work, 'log')
        os.makedirs(mount, exist_ok=True)
        shutil.rmtree(self.image + '.side', ignore_errors=True)
        server = subprocess.Popen([self.options.faultfile, f'--log={log}', *faults, self.image, mount])
        target = os.path.join(mount, 'image')
        for _ in range(250):
            if os.path.exists(target):
                break
            time.sleep(0.02)
        process = subprocess.Popen(self.options.command + [target], env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        out = b''
        try:
            out, _ = process.communicate(timeout=2 if hangs else 20)
        except subprocess.TimeoutExpired:
            if hangs:
                process.send_signal(signal.SIGTERM)
                time.sleep(2)
                server.kill()  # a request that is with the server can be ended in no other way
            try:
                out, _ = process.communicate(timeout=20 if hangs else 1)
            except subprocess.TimeoutExpired:
                process.kill()
                server.kill()
                out, _ = process.communicate()
        for _ in range(50):
            if sh('fusermount3', '-uz', mount)[0] == 0 or not os.path.ismount(mount):
                break
            time.sleep(0.1)
        server.wait()
        return process.returncode, out.decode(errors='replace'), open(log).read().split('\n')

    def judge(self, what, status, output):
        self.faults += 1
        now = self.blocks(self.image)
        short = os.path.getsize(self.image) < self.size
        changed, clean = now != self.before, says_clean(self.image)
        probe = os.path.join(self.work, 'judge.img')
        copy(self.image, probe)
        if not clean:
            sh('e2fsck', '-y', '-E', 'journal_only', probe)
        damaged = short or sh('e2fsck', '-fn', probe)[0] != 0
        bad = []
        if changed and damaged and clean and not (short and status not in (0, 1)):
            bad.append('lie')
        if status in (0, 1) and (damaged or now != self.mended):
            bad.append('false-ok')
        if status == 0 and not output.strip() and now != self.mended:
            bad.append('silent')
        if os.path.getsize(self.image) > self.size:
            bad.append('grew')
        if status < 0 and status != -signal.SIGTERM or status > 63:
            bad.append('hang')
        for b in bad:
            self.counts[b] += 1
        if bad:
            print(f"{what}: {', '.join(bad)} (exit {status}, {'says clean' if clean else 'marked'}, {'damaged' if damaged else 'sound'})", flush=True)

    def faults_of(self, mode, n):
        """The options of the server for that mode at write (or flush) n; several where there are several ways."""
        if mode == 'shrink':
            return [[f'--trunc_write={n}', f'--trunc_size={self.size * 2 // 3 // self.block_size * self.block_size}']]
        if mode == 'misdirect':
            return [[f'--misdirect={n}', f'--misdelta={delta}'] for delta in (512, self.block_size)]
        if mode == 'journal':
            return [[f'--js_off={self.journal[0] * self.block_size}', f'--js_after={n}']] if self.journal else []
        return [['--' + {'lose': 'lose_write', 'dead': 'dead_from', 'hang-write': 'hang_write', 'hang-sync': 'hang_sync'}[mode] + f'={n}']]

    def run(self, mode):
        most = self.syncs if mode == 'hang-sync' else self.writes
        step = max(1, -(-most // self.options.max))
        for n in range(0, most, step):
            for faults in self.faults_of(mode, n):
                status, output, log = self.serve(faults, mode.startswith('hang'))
                if any(line.startswith('FAULT') for line in log):
                    self.judge(' '.join([mode, str(n)] + faults[1:]), status, output)


def main():
    if '--' not in sys.argv:
        sys.exit(__doc__)
    cut = sys.argv.index('--')
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--modes', default=','.join(MODES))
    parser.add_argument('--max', type=int, default=200, help='no more places a mode than that, evenly spread')
    parser.add_argument('faultfile')
    parser.add_argument('image')
    options = parser.parse_args(sys.argv[1:cut])
    options.command = sys.argv[cut + 1:]
    with tempfile.TemporaryDirectory() as work:
        sweep = Sweep(options, work)
        print(f'without faults: exit {sweep.status}, {sweep.writes} writes, {sweep.syncs} flushes')
        if sweep.status not in (0, 1) or sweep.writes == 0:
            sys.exit('the repair does not work without faults either: nothing to sweep')
        for mode in options.modes.split(','):
            before, counts = sweep.faults, dict(sweep.counts)
            sweep.run(mode)
            print(f'{mode}: {sweep.faults - before} faults' + ''.join(f', {k} {v - counts[k]}' for k, v in sweep.counts.items() if v - counts[k]), flush=True)
        print(f'faults {sweep.faults}: ' + ', '.join(f'{k} {v}' for k, v in sweep.counts.items()))
        sys.exit(1 if any(sweep.counts.values()) else 0)


if __name__ == '__main__':
    main()
