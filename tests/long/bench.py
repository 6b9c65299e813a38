#!/usr/bin/env python3
"""Times extscrub against the e2fsck that is installed, the two in turn, and prints medians and ratios.

  bench.py [--files N] [--size S] [--rounds N] [--only ROW,...] [--json FILE] EXTSCRUB

Rows: warm, jobs1, cold, memory, reading, empty, scrub (see README.md). The image has 500,000 files when the kernel can
fill it (root, a loop device), and 100,000 when mke2fs has to. Images stay in a folder beside EXTSCRUB for the next time;
the one of 15 TiB is sparse and takes some 300 MB. The page cache is emptied of an image by posix_fadvise.
"""
import argparse, json, mmap, os, platform, random, shutil, statistics, struct, subprocess, sys, tempfile, threading, time

ENV = dict(os.environ, PATH=os.environ['PATH'] + ':/usr/sbin:/sbin', LC_ALL='C', E2FSCK_CONFIG='/dev/null',
           MKE2FS_CONFIG=os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support/mke2fs.conf'), BLKID_FILE='/dev/null')
AIMS = {'warm': 8, 'jobs1': 4, 'cold': 4, 'memory': 2, 'reading warm': 1.2, 'reading cold': 1.2, 'empty': 1, 'empty memory': 1,
        'scrub': 4}


def run(command, statuses=(0,)):
    """Wall seconds and peak KiB of a command that has to end with one of the statuses."""
    with tempfile.NamedTemporaryFile('r') as peak:
        begin = time.perf_counter()
        status = subprocess.call(['/usr/bin/time', '-q', '-f', '%M', '-o', peak.name] + command, env=ENV,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - begin
        if status not in statuses:
            sys.exit(f'{" ".join(command)}: exit status {status}')
        return seconds, int(peak.read().split()[-1])


# Images

def fill(root, count, punch):
    """Directories of 5 to 400 entries and a few of 20,000; links of both kinds, fragmented files, attributes."""
    rng, made, folder = random.Random(1), 0, 0
    first = None
    while made < count:
        path = os.path.join(root, f'a{folder % 37}', f'b{folder % 1009}', f'dir-{folder:06d}')
        os.makedirs(path)
        size = rng.choice([5, 20, 60, 150, 400]) if rng.random() < 0.995 else 20000
        for i in range(min(size, count - made)):
            name = os.path.join(path, f'file-{rng.getrandbits(40):010x}-{"x" * rng.randint(0, 20)}.dat')
            kind, shape = rng.random(), rng.random()
            if kind < 0.04:
                os.symlink(f'../target/{i}' + 'y' * rng.choice([5, 5, 5, 90]), name)
            elif kind < 0.06 and first:
                os.link(first, name)
            else:
                fd = os.open(name, os.O_CREAT | os.O_WRONLY, 0o644)
                for j in range(1 if shape < 0.7 else rng.choice([2, 3, 8, 30]) if shape < 0.9 else 0):
                    punch(fd, j * 16384)
                os.close(fd)
                if first is None or rng.random() < 0.0001:
                    first = name
            made += 1
        folder += 1


def make_files_image(path, count, size):
    part = path + '.part'
    shutil.rmtree(path + '.tree', ignore_errors=True)
    with open(part, 'wb') as f:
        f.truncate(size)
    if os.geteuid() == 0 and os.path.exists('/dev/loop-control'):
        subprocess.check_call(['mke2fs', '-q', '-F', '-t', 'ext4', '-E', 'lazy_itable_init=0,lazy_journal_init=0', part], env=ENV)
        with tempfile.TemporaryDirectory() as mount:
            subprocess.check_call(['mount', '-o', 'loop', part, mount], env=ENV)
            try:
                fill(mount, count, lambda fd, at: os.posix_fallocate(fd, at, 4096))
            finally:
                subprocess.check_call(['umount', mount], env=ENV)
    else:
        os.mkdir(path + '.tree')
        fill(path + '.tree', count, lambda fd, at: os.pwrite(fd, b'd' * 512, at))
        subprocess.check_call(['mke2fs', '-q', '-F', '-t', 'ext4', '-E', 'lazy_itable_init=0', '-d', path + '.tree', part], env=ENV)
        shutil.rmtree(path + '.tree')
    os.rename(part, path)


def make_empty_image(path):
    with open(path + '.part', 'wb') as f:
        f.truncate(15 << 40)
    subprocess.check_call(['mke2fs', '-q', '-F', '-t', 'ext4', '-E', 'lazy_itable_init=1,nodiscard', path + '.part'], env=ENV)
    os.rename(path + '.part', path)


def image(folder, name, make, *arguments):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        print(f'making {path}', file=sys.stderr)
        make(path, *arguments)
    return path


def damage(path, count):
    """Spoils the checksum of one inode in use in each of `count` blocks of the inode tables. For ext4 with 4 KiB blocks."""
    with open(path, 'r+b') as f:
        f.seek(1024)
        s = f.read(1024)
        blocks, = struct.unpack_from('<I', s, 4)
        block_size = 1024 << struct.unpack_from('<I', s, 24)[0]
        per_group_blocks, per_group_inodes = struct.unpack_from('<I', s, 32)[0], struct.unpack_from('<I', s, 40)[0]
        inode_size, = struct.unpack_from('<H', s, 88)
        found = []
        for group in range(-(-blocks // per_group_blocks)):
            f.seek(block_size + group * 64)
            d = f.read(64)
            table = struct.unpack_from('<I', d, 8)[0] | struct.unpack_from('<I', d, 0x28)[0] << 32
            used = per_group_inodes - struct.unpack_from('<H', d, 0x1C)[0]
            f.seek(table * block_size)
            inodes = f.read(used * inode_size)
            for at in range(block_size if group == 0 else 0, len(inodes), block_size):
                if at + inode_size <= len(inodes) and struct.unpack_from('<H', inodes, at + 26)[0]:
                    found.append((table * block_size + at + 0x7C, inodes[at + 0x7C] ^ 0x55))
        if len(found) < count:
            count = len(found)
        for at, byte in (found[i * len(found) // count] for i in range(count)):
            f.seek(at)
            f.write(bytes([byte]))
        f.flush()
        os.fsync(f.fileno())
    return count


# Reading alone

def extents(path):
    fd, found, at = os.open(path, os.O_RDONLY), [], 0
    while True:
        try:
            begin = os.lseek(fd, at, os.SEEK_DATA)
        except OSError:
            break
        at = os.lseek(fd, begin, os.SEEK_HOLE)
        found += [(b, min(1 << 20, at - b)) for b in range(begin, at, 1 << 20)]
    os.close(fd)
    return found


def read_alone(path, parts, threads, direct):
    """One pass over every allocated byte of the file."""
    fd = os.open(path, os.O_RDONLY | (os.O_DIRECT if direct else 0))
    def work(k):
        buffer = memoryview(mmap.mmap(-1, 1 << 20))
        for at, length in parts[k::threads]:
            os.preadv(fd, [buffer[:length]], at)
    begin = time.perf_counter()
    workers = [threading.Thread(target=work, args=(k,)) for k in range(threads)]
    for t in workers:
        t.start()
    for t in workers:
        t.join()
    os.close(fd)
    return time.perf_counter() - begin


def forget(path):
    with open(path, 'r+b') as f:
        os.fsync(f.fileno())
        os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


# The table

class Bench:
    def __init__(self, options):
        self.options, self.rows = options, []
        self.rounds = options.rounds

    def row(self, name, ours, theirs, unit, ratio, at_most=False):
        aim = AIMS[name]
        value = lambda v: None if v is None else round(v, 3)
        self.rows.append({'name': name, 'extscrub': value(ours), 'other': value(theirs), 'unit': unit, 'ratio': value(ratio),
                          'aim': aim, 'met': ratio <= aim if at_most else ratio >= aim})

    def turns(self, ours, theirs, before=lambda: None, rounds=None, statuses=(0,)):
        """Runs both in turn: median seconds and peaks of each, and the median of the ratios pair by pair."""
        a, b = [], []
        for _ in range(rounds or self.rounds):
            for command, results in ((ours, a), (theirs, b)):
                before()
                results.append(run(command, statuses))
        middle = lambda results, i: statistics.median(r[i] for r in results)
        return middle(a, 0), middle(b, 0), statistics.median(y[0] / x[0] for x, y in zip(a, b)), middle(a, 1), middle(b, 1)

    def files(self, path, wanted):
        audit, peer = [self.options.extscrub, 'audit', path], ['e2fsck', '-fn', path]
        parts = extents(path)
        read_alone(path, parts, 2, False)
        if wanted & {'warm', 'memory', 'reading'}:
            ours, theirs, ratio, our_peak, their_peak = self.turns(audit, peer)
            if 'warm' in wanted:
                self.row('warm', ours, theirs, 's', ratio)
            if 'memory' in wanted:
                self.row('memory', our_peak / 1024, their_peak / 1024, 'MiB', our_peak / their_peak, True)
            if 'reading' in wanted:
                alone = statistics.median(read_alone(path, parts, 2, False) for _ in range(self.rounds))
                self.row('reading warm', ours, alone, 's', ours / alone, True)
        if 'jobs1' in wanted:
            ours, theirs, ratio, *_ = self.turns(audit[:2] + ['--jobs', '1', path], peer)
            self.row('jobs1', ours, theirs, 's', ratio)
        if wanted & {'cold', 'reading'}:
            ours, theirs, ratio, *_ = self.turns(audit, peer, lambda: forget(path), max(2, self.rounds // 2))
            if 'cold' in wanted:
                self.row('cold', ours, theirs, 's', ratio)
            if 'reading' in wanted:
                forget(path)
                alone = read_alone(path, parts, 32, True)
                self.row('reading cold', ours, alone, 's', ours / alone, True)

    def empty(self, folder):
        try:
            path = image(folder, 'empty-15T.img', make_empty_image)
        except OSError as e:
            print(f'no image of 15 TiB here: {e.strerror}', file=sys.stderr)
            return
        ours, theirs, _, our_peak, their_peak = self.turns([self.options.extscrub, 'audit', path], ['e2fsck', '-fn', path], rounds=3)
        self.row('empty', ours, theirs, 's', ours, True)
        self.row('empty memory', our_peak / 1024, their_peak / 1024, 'MiB', our_peak / their_peak, True)

    def scrub(self, path):
        copy = path + '.damaged'
        subprocess.check_call(['cp', '--sparse=always', path, copy])
        def prepare():
            for name in os.listdir(os.path.dirname(copy)):
                if name.startswith(os.path.basename(copy) + '.extscrub-undo-'):
                    os.remove(os.path.join(os.path.dirname(copy), name))
            self.damaged = damage(copy, 10000)
        ours, theirs, ratio, *_ = self.turns([self.options.extscrub, 'scrub', copy], ['e2fsck', '-fy', copy], prepare, 3, (1,))
        prepare()
        os.remove(copy)
        self.row('scrub', ours, theirs, 's', ratio)

    def report(self, path):
        peer = subprocess.run(['e2fsck', '-V'], env=ENV, capture_output=True, text=True).stderr.split('\n')[0]
        cpu = next((line.split(':')[1].strip() for line in open('/proc/cpuinfo') if line.startswith('model name')), platform.machine())
        machine = f'{cpu}, {os.cpu_count()} cores, {os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30} GiB, Linux {platform.release()}'
        print(f'{machine}; {peer}; {self.options.files} files')
        print(f'{"":14} {"extscrub":>10} {"other":>10} {"":4} {"ratio":>7} {"aim":>6}')
        for r in self.rows:
            print(f'{r["name"]:14} {r["extscrub"]:10.2f} {r["other"]:10.2f} {r["unit"]:4} {r["ratio"]:7.2f} {r["aim"]:6} {"met" if r["met"] else "missed"}')
        if self.options.json:
            with open(self.options.json, 'w') as f:
                json.dump({'machine': machine, 'e2fsck': peer, 'files': self.options.files, 'rows': self.rows}, f, indent=1)


def main():
    by_kernel = os.geteuid() == 0 and os.path.exists('/dev/loop-control')
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('extscrub', type=os.path.abspath)
    p.add_argument('--files', type=int, default=500000 if by_kernel else 100000)
    p.add_argument('--size', type=int, default=32, help='of the image with the files, GiB')
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--only', default='warm,jobs1,cold,memory,reading,empty,scrub')
    p.add_argument('--image', help='an image to use instead')
    p.add_argument('--json')
    options = p.parse_args()
    folder = os.path.join(os.path.dirname(options.extscrub), 'bench')
    os.makedirs(folder, exist_ok=True)
    bench, wanted = Bench(options), set(options.only.split(','))
    path = options.image
    if not path and wanted - {'empty'}:
        path = image(folder, f'{options.files}-{options.size}G.img', make_files_image, options.files, options.size << 30)
    if wanted - {'empty', 'scrub'}:
        bench.files(path, wanted)
    if 'empty' in wanted:
        bench.empty(folder)
    if 'scrub' in wanted:
        bench.scrub(path)
    bench.report(path)


main()
