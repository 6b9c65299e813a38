"""The writers of writers.py: each is a function of a Bench, yields after every step, and has the words on what it was in bench.steps.
They draw from bench.rng alone. Tools refuse much of what is asked of them: the image is then as it was."""
import os
import random
import shutil
import stat
import subprocess
import sys

import history_writers

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../support')


class Bench(history_writers.Story):
    """One image and what its writers were. `prove` is asked after each."""

    def __init__(self, name, index, options, counts, work):
        self.name, self.index, self.options, self.counts = name, index, options, counts
        super().__init__(work, 'ext4', random.Random(f'{options.seed}/{name}/{index}'), options.extscrub, None)
        self.tree = os.path.join(work, 'tree')

    def look(self, words, image=None, journal=None):
        pass

    def has(self, tool):
        if shutil.which(tool):
            return True
        with self.counts.lock:
            self.counts.missing.add(tool)
        return False

    def fresh(self, size):
        with open(self.image, 'wb') as f:
            f.truncate(size)

    def mke2fs(self, options, size, tree=True):
        """False where mke2fs does not make this."""
        self.fresh(size)
        words = ['-q', '-F', *options.split(), *(['-d', self.tree] if tree else []), self.image]
        status = self.run('mke2fs', *words)
        self.steps = [f'mke2fs {options} {size >> 20}M{" -d" if tree else ""} ({status})']
        return status == 0

    def make_tree(self, operations=120):
        """The tests' own tree, with more at random."""
        if os.path.exists(self.tree):
            shutil.rmtree(self.tree)
        os.mkdir(self.tree)
        if self.rng.random() < 0.4:
            subprocess.run([sys.executable, os.path.join(SUPPORT, 'make_tree.py'), self.tree], check=True)
        for _ in range(operations):
            dirs = [d for d, _, _ in os.walk(self.tree)]
            try:
                history_writers.operate(self.rng, dirs)
            except OSError:
                pass
        self.special_files(self.tree)

    def special_files(self, at):
        for n in range(self.rng.randrange(8)):
            kind = self.rng.choice([stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
            device = os.makedev(self.rng.choice([0, 1, 255, 256, 4095]), self.rng.choice([0, 3, 255, 256, 70000]))
            os.mknod(os.path.join(at, f'node{n}'), kind | 0o644, device)

    def draw_files(self):
        """What debugfs and e2tools can name."""
        self.names = []
        folders = ['/']
        while folders:
            folder = folders.pop()
            for line in self.output('debugfs', '-R', f'ls -p "{folder}"', self.image).splitlines():
                part = line.split('/')
                if len(part) < 8 or part[5] in ('.', '..', ''):
                    continue
                path, is_folder = f'{folder.rstrip("/")}/{part[5]}', part[2].startswith('04')
                self.names.append((path, is_folder, int(part[1]), int(part[6] or 0)))
                if is_folder:
                    folders.append(path)


FEATURES = """has_journal dir_index filetype sparse_super large_file ext_attr resize_inode extent flex_bg metadata_csum uninit_bg 64bit huge_file dir_nlink
    extra_isize quota project inline_data bigalloc meta_bg metadata_csum_seed orphan_file fast_commit large_dir ea_inode encrypt verity casefold mmp
    sparse_super2 stable_inodes""".split()

CONFIGURATION = """[defaults]
    base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
[fs_types]
    ext3 = {
        features = has_journal
    }
    ext4 = {
        features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
    }
    small = {
        blocksize = 1024
        inode_ratio = 4096
    }
    news = {
        inode_ratio = 4096
    }
    largefile = {
        inode_ratio = 1048576
        blocksize = -1
    }
    huge = {
        features = extent,huge_file,flex_bg,uninit_bg,dir_nlink,extra_isize,^resize_inode,sparse_super2
        packed_meta_blocks = 1
        flex_bg_size = 4
        make_hugefiles = 1
        num_hugefiles = NUMBER
        hugefiles_size = SIZEk
        hugefiles_dir = /huge/dir
        hugefiles_slack = 1M
        hugefiles_name = big
        hugefiles_digits = 4
        hugefiles_uid = 7
        hugefiles_align = 1M
        zero_hugefiles = false
    }
"""


def any_options(rng):
    """Options of mke2fs as nobody would choose them. Much of it is refused."""
    words = ['-t', rng.choice(['ext2', 'ext3', 'ext4', 'ext4', 'ext4', 'ext4'])]
    if wish := rng.sample(FEATURES, rng.randrange(7)):
        words += ['-O', ','.join(rng.choice(['', '', '^']) + f for f in wish)]
    block = rng.choice([1024, 1024, 1024, 2048, 4096, 4096, 8192, 65536])
    words += ['-b', str(block)]
    more = [['-I', rng.choice(['128', '256', '512', '1024'])], ['-g', str(rng.choice([256, 1024, 2048, 4096, 8192]))], ['-G',
        rng.choice(['1', '2', '8', '32'])],
            ['-i', rng.choice(['1024', '8192', '65536'])], ['-N', str(rng.randrange(200, 5000))], ['-m', rng.choice(['0', '5', '50'])],
            ['-J', f'size={rng.choice([1, 4, 16])}'], ['-J', 'size=4,fast_commit_size=1024'], ['-o', rng.choice(['linux', 'hurd', 'freebsd',
            'lites'])],
            ['-e', rng.choice(['continue', 'remount-ro', 'panic'])], ['-L', 'a label'.replace(' ', '_')], ['-M', '/last/mounted'], ['-r',
            rng.choice(['0', '1'])],
            ['-U', rng.choice(['clear', 'random', 'time'])], ['-E', any_extended(rng)], ['-C', str(block * rng.choice([2, 4, 16]))]]
    for pick in rng.sample(more, rng.randrange(6)):
        words += pick
    return ' '.join(words)


def any_extended(rng):
    return rng.choice(['stride=16,stripe_width=64', 'resize=500000', 'lazy_itable_init=1', 'lazy_itable_init=1,lazy_journal_init=1',
        'packed_meta_blocks=1',
                       'root_owner=1000:70000', 'num_backup_sb=0', 'num_backup_sb=1', 'num_backup_sb=2', 'test_fs', 'discard', 'nodiscard',
                       'quotatype=usrquota', 'quotatype=prjquota',
                       'orphan_file_size=64', 'encoding=utf8', 'encoding=utf8-12.1,encoding_flags=strict', 'mmp_update_interval=9',
                       'desc_size=128', 'offset=0',
                       'no_copy_xattrs', 'assume_storage_prezeroed=1', 'hash_seed=6f0a4bd2-5c0e-4c7d-9a55-7d1f6f3f2b11', 'revision=0', 'revision=1'])


def any_size(rng):
    return rng.choice([rng.randrange(1, 9), rng.randrange(9, 40), rng.randrange(40, 200)]) << 20 | rng.choice([0, 0, 1024, 4096, 300 << 10])


def a_sound_image(bench, tree=True):
    """One that mke2fs does make."""
    if tree:
        bench.make_tree()
    while not bench.mke2fs(any_options(bench.rng), any_size(bench.rng), tree):
        pass


def mke2fs(bench):
    for tree in (True, False):
        a_sound_image(bench, tree)
        yield


def mke2fs_types(bench):
    """The usage types of a configuration, and files that mke2fs makes itself."""
    conf = os.path.join(bench.folder, 'mke2fs.conf')
    with open(conf, 'w') as f:
        f.write(CONFIGURATION.replace('NUMBER', str(bench.rng.choice([0, 1, 3, 20]))).replace('SIZE', str(bench.rng.choice([4, 700, 3000]))))
    for kind in ('small', 'news', 'largefile', 'huge'):
        bench.fresh(any_size(bench.rng) + (8 << 20))
        form = bench.rng.choice(['ext2', 'ext3', 'ext4', 'ext4'])
        status = bench.run('env', f'MKE2FS_CONFIG={conf}', 'mke2fs', '-q', '-F', '-t', form, '-T', kind, bench.image)
        bench.steps = [f'mke2fs -t {form} -T {kind} ({status})']
        if status == 0:
            yield


def tune2fs(bench):
    """Ten changes in a row."""
    a_sound_image(bench)
    for _ in range(10):
        if bench.rng.random() < 0.1:
            bench.steps.append(history_writers.tune2fs_journal(bench))
        elif bench.rng.random() < 0.3:
            command = bench.rng.choice([['-u', '7'], ['-g', '8'], ['-M', '/x'], ['-j'], ['-f', '-O', '^has_journal'], ['-J', 'size=4'],
                ['-E', 'stripe_width=8'], ['-E', 'clear_mmp'], ['-E', 'test_fs'],
                                        ['-E', '^test_fs'], ['-E', 'force_fsck'], ['-E', 'orphan_file_size=32', '-O', 'orphan_file'], ['-E',
                                        'encoding=utf8', '-O', 'casefold'],
                                        ['-O', '^casefold'], ['-O', '^project'], ['-O', '^encrypt'], ['-E', 'mmp_update_interval=3', '-O',
                                        'mmp'], ['-s', '1'], ['-O', 'read-only'], ['-O', '^read-only'],
                                        ['-I', '1024'], ['-O', 'extent'], ['-O', 'sparse_super2'], ['-O', 'meta_bg'], ['-e', 'panic'],
                                        ['-o', 'journal_data_writeback,user_xattr']])
            bench.check('-fy')
            bench.steps.append(f'e2fsck -fy, tune2fs {" ".join(command)} ({bench.run("tune2fs", *command, bench.image, text="y" + chr(10))})')
        else:
            bench.steps.append(history_writers.tune2fs(bench))
        yield


def resize2fs(bench):
    a_sound_image(bench)
    for _ in range(5):
        bench.check('-fy')
        bench.steps.append(history_writers.resize2fs(bench))
        yield


def resize2fs_far(bench):
    """Many new groups: the reserved descriptor blocks are used up, or there are none."""
    rng = bench.rng
    bench.make_tree(40)
    made = False
    while not made:
        features = rng.choice(['resize_inode', '^resize_inode', '^resize_inode,meta_bg', '^64bit', '^flex_bg'])
        options = f'-t {rng.choice(["ext2", "ext3", "ext4", "ext4"])} -b 1024 -g {rng.choice([256, 512, 1024])} -O {features}'
        made = bench.mke2fs(options + rng.choice(['', ' -E resize=200000', ' -I 128']), rng.randrange(6, 30) << 20)
    for factor in (4, 8, 0, 2):
        size = os.path.getsize(bench.image) * factor if factor else 0
        if factor:
            os.truncate(bench.image, min(size, 600 << 20))
        bench.check('-fy')
        bench.steps.append(f'resize2fs {size >> 20 or "-M"} ({bench.run("resize2fs", *([] if factor else ["-M"]), bench.image)})')
        yield


SUPERBLOCK_FIELDS = ['mnt_count', 'max_mnt_count', 'checkinterval', 'kbytes_written', 'error_count', 'raid_stride', 'default_mount_opts', 'lastcheck', 'mkfs_time']


def debugfs(bench):
    a_sound_image(bench)
    for _ in range(8):
        bench.draw_files()
        rng, file, folder = bench.rng, bench.a_file(), bench.a_directory()
        new = f'{folder}/d{rng.randrange(10**6)}'
        requests = rng.choice([
            lambda: [f'write {bench.stuff} {new}'], lambda: [f'mkdir {new}', f'mkdir {new}/deeper', f'rmdir {new}/deeper'],
            lambda: [f'symlink {new} {"t" * rng.choice([1, 59, 60, 61, 500])}'],
            lambda: [f'mknod {new} p', f'mknod {new}c c 1 {rng.choice([3, 300, 70000])}', f'mknod {new}b b {rng.choice([8, 259])} 1'],
            lambda: [f'rm {file}'],
            lambda: [f'ea_set {file} user.{"n" * rng.choice([1, 30, 200])} {"v" * rng.choice([1, 90, 700, 3000])}'],
            lambda: [f'ea_set {file} {space}.x v' for space in ('user', 'trusted', 'security')],
            lambda: [f'ea_set {file} user.a {"1" * 40}', f'ea_set {file} user.b {"2" * 90}', f'ea_rm {file} user.a'],
            lambda: [f'sif {file} {t}time @{rng.choice([0, 1, 1 << 31, 1 << 33, 15032385535])}' for t in ('m', 'a', 'c', 'cr')],
            lambda: [f'sif {file} uid {rng.choice([0, 65535, 65536, 4294967294])}', f'sif {file} gid 70000'],
            lambda: [f'sif {file} mode 010{rng.choice(["0000", "7777", "4755"])}'],
            lambda: [f'sif {file} generation {rng.randrange(1 << 32)}'], lambda: [f'sif {file} version {rng.randrange(1 << 32)}'],
            lambda: [f'sif {file} size {rng.randrange(10**7)}'],
            lambda: [f'punch {file} 0 {rng.randrange(9)}'], lambda: [f'fallocate {file} 0 {rng.randrange(60)}'],
            lambda: [f'expand {folder}'], lambda: [f'expand_dir {folder}'], lambda: [f'undel <{rng.randrange(12, 60)}> {new}'],
            lambda: [f'ln {file} {new}', f'sif {file} links_count 2'], lambda: [f'sif {file} faddr 7'],
            lambda: [f'ssv {rng.choice(SUPERBLOCK_FIELDS)} {rng.randrange(99)}'],
            lambda: [f'sif {folder} flags {rng.choice(["0x1000", "0x81000", "0x20000"])}'],
            lambda: [f'sif {file} flags {rng.choice(["0x80010", "0x800c0", "0x80800", "0x10"])}'],
            lambda: [f'ssv hash_seed 6f0a4bd2-5c0e-4c7d-9a55-7d1f6f3f2b11'],
        ])()
        bench.debugfs(requests)
        bench.steps.append('debugfs ' + ', '.join(requests)[:200])
        yield


def kernel(bench):
    """A feature set of history.py, filled in several ways."""
    bench.set = bench.rng.choice([s for s in history_writers.SETS if s != 'ext4-external'])
    options, size = history_writers.make_options(bench.set)
    bench.fresh(size << 20)
    if bench.run('mke2fs', *options, bench.image):
        return
    bench.steps = ['mke2fs ' + bench.set]
    for way in bench.rng.sample([history_writers.kernel, history_writers.kernel_data_journal, history_writers.kernel_discard,
        history_writers.kernel_resize, kernel_more, kernel_more,
                                 kernel_many, history_writers.e2fsck], 4):
        bench.steps.append(way(bench))
        yield


def kernel_more(bench):
    """What operate() does not do."""
    if not bench.mount():
        return 'more (refused)'
    rng, at = bench.rng, os.path.join(bench.mnt, f'more{bench.rng.randrange(10**6)}')
    try:
        os.mkdir(at)
        bench.special_files(at)
        for n in range(30):
            path = os.path.join(at, f'x{n}')
            with open(path, 'wb') as f:
                f.write(rng.randbytes(rng.choice([0, 10, 60000])))
            os.symlink('y' * rng.choice([1, 59, 60, 1000]), path + 'l')
            first, length = rng.randrange(30) * 4096, rng.randrange(1, 40) * 4096
            note = rng.choice([1, 900, 3500])
            command = rng.choice([
                ['fallocate', '-o', str(first), '-l', str(length), path], ['fallocate', '-n', '-l', str(length), path],
                ['fallocate', '-p', '-o', '0', '-l', '8192', path], ['fallocate', '-z', '-o', str(first), '-l', str(length), path],
                ['fallocate', '-c', '-o', '4096', '-l', '4096', path], ['fallocate', '-i', '-o', '4096', '-l', '4096', path],
                ['chattr', '+' + rng.choice('iaAdDSsucjCPT'), path], ['chattr', '+T', at], ['chattr', '+e', path], ['chattr', '-e', path],
                ['chattr', '-p', '77', path], ['truncate', '-s', rng.choice(['1G', '3T', '15T', '1']), path], ['mkswap', path], ['e4defrag', path],
                ['setfattr', '-n', 'trusted.a', '-v', 'b' * note, path], ['setfattr', '-x', 'trusted.a', path],
                ['setfattr', '-h', '-n', 'trusted.link', '-v', 'b' * min(note, 200), path + 'l'], ['mv', path, path + 'moved'], ['rm', path],
                ['setfacl', '-m', 'u:7:rwx,g:8:r', path], ['setfacl', '-d', '-m', 'u:7:rwx', at], ['ln', path, path + 'hard'],
                ['touch', '-d', rng.choice(['1901-12-14', '1969-12-31', '2040-01-01', '2200-01-01', '2446-05-10']), path],
                ['dd', 'if=/dev/zero', 'of=' + path, 'bs=3000', 'count=9', 'oflag=direct,sync']])
            if bench.has(command[0]):
                bench.run(*command)
        holder = os.open(at, os.O_TMPFILE | os.O_RDWR)
        os.write(holder, b'x' * 9000)
        os.close(holder)
    except OSError:
        pass
    finally:
        bench.umount()
    return 'more of the kernel'


def kernel_many(bench):
    """Directories with an index of two levels and many directories in one, then less; and a file of very many extents."""
    if not bench.mount():
        return 'many (refused)'
    rng, at = bench.rng, os.path.join(bench.mnt, f'many{bench.rng.randrange(10**6)}')
    try:
        os.mkdir(at)
        length = rng.choice([10, 100, 240])
        for n in range(rng.choice([900, 3000])):
            os.close(os.open(os.path.join(at, f'{n}'.ljust(length, 'm')), os.O_CREAT, 0o600))
        for n in range(300):
            os.mkdir(os.path.join(at, f'dir{n}'))
        with open(os.path.join(at, 'sparse'), 'wb') as f:
            for n in range(900):
                f.seek(rng.randrange(1 << 33))
                f.write(b's')
        names = os.listdir(at)
        for name in rng.sample(names, len(names) * rng.randrange(10) // 10):
            path = os.path.join(at, name)
            (os.rmdir if os.path.isdir(path) else os.unlink)(path)
    except OSError:
        pass
    finally:
        bench.umount()
    return 'many of the kernel'


def encrypted(bench):
    """A directory that is encrypted by a key of ours."""
    if not bench.has('e4crypt'):
        return
    bench.mke2fs(f'-t ext4 -O encrypt -b {bench.rng.choice([1024, 4096])}', 24 << 20, False)
    yield
    if not bench.mount():
        return
    folder = os.path.join(bench.mnt, 'secret')
    try:
        os.mkdir(folder)
        salt = 's:' + 'a' * 8
        status = bench.run('e4crypt', 'add_key', '-S', salt, folder, text='a passphrase\n')
        for n in range(60):
            try:
                with open(os.path.join(folder, f'f{n}' + 'e' * (n * 4)), 'wb') as f:
                    f.write(bench.rng.randbytes(n * 700))
                os.symlink('t' * (n * 9 + 1), os.path.join(folder, f's{n}'))
                os.mkdir(os.path.join(folder, f'd{n}'))
            except OSError:
                pass
    finally:
        bench.umount()
    bench.steps.append(f'e4crypt ({status}) and files')
    yield


def genext2fs(bench):
    if not bench.has('genext2fs'):
        return
    bench.make_tree(60)
    rng, table = bench.rng, os.path.join(bench.folder, 'devices')
    with open(table, 'w') as f:
        f.write('/dev d 755 0 0 - - - - -\n/dev/mem c 640 0 0 1 1 0 0 -\n/dev/tty c 666 0 0 5 0 0 1 20\n'
                '/dev/sda b 640 0 6 8 0 1 1 15\n/pipe2 p 600 7 8 - - - - -\n')
    for _ in range(3):
        options = ['-b', str(rng.choice([9000, 20000, 70000])), '-B', rng.choice(['1024', '1024', '2048', '4096']), '-N',
            str(rng.choice([1200, 5000]))]
        options += sum(rng.sample([['-m', '0'], ['-m', '20'], ['-z'], ['-e', '255'], ['-U'], ['-P'], ['-q'], ['-f'], ['-L', 'gen'], ['-o',
            rng.choice(['hurd', 'freebsd'])], ['-D', table]], rng.randrange(6)), [])
        if os.path.exists(bench.image):
            os.unlink(bench.image)
        status = bench.run('genext2fs', '-d', bench.tree, *options, bench.image)
        bench.steps = [f'genext2fs {" ".join(options)} ({status})']
        if status == 0:
            yield
            bench.steps.append(f'genext2fs -x ({bench.run("genext2fs", "-x", bench.image, "-B", options[3], "-D", table, bench.image + ".more")})')
            if os.path.exists(bench.image + '.more'):
                os.replace(bench.image + '.more', bench.image)
                yield
            bench.steps.append(history_writers.kernel(bench))
            yield


def busybox(bench):
    if not bench.has('busybox'):
        return
    rng = bench.rng
    for _ in range(4):
        bench.fresh(any_size(rng))
        options = sum(rng.sample([['-b', rng.choice(['1024', '2048', '4096'])], ['-i', rng.choice(['4096', '65536'])], ['-I',
            rng.choice(['128', '256', '512'])], ['-m', '0'], ['-L', 'box']], rng.randrange(5)), [])
        status = bench.run('busybox', 'mke2fs', '-F', *options, bench.image)
        bench.steps = [f'busybox mke2fs {" ".join(options)} ({status})']
        if status == 0:
            yield
            bench.steps.append(f'busybox tune2fs ({bench.run("busybox", "tune2fs", "-i", "30", "-c", "9", "-C", "3", "-L", "tuned", bench.image)})')
            yield
            bench.steps.append(history_writers.kernel(bench))
            yield


def e2tools(bench):
    if not bench.has('e2cp'):
        return
    a_sound_image(bench)
    bench.draw_files()
    rng = bench.rng
    for n in range(4):
        for _ in range(6):
            file, folder = bench.a_file(), bench.a_directory()
            bench.steps.append(command := rng.choice([
                f'e2mkdir {bench.image}:/made{n}/a/b', f'e2cp -p {bench.stuff} {bench.image}:{folder}/copy{rng.randrange(99)}',
                f'e2cp -P 4755 -O 7 -G 70000 {bench.stuff} {bench.image}:/owned{rng.randrange(99)}',
                f'e2ln {bench.image}:{file} /linked{rng.randrange(999)}', f'e2rm {bench.image}:{file}',
                f'e2mv {bench.image}:{file} /moved{rng.randrange(999)}', f'e2rm -r {bench.image}:{folder}']))
            bench.run(*command.split())
        bench.steps = [s.replace(bench.image, '') for s in bench.steps]
        yield


def fuse(bench):
    if not bench.has('fuse2fs'):
        return
    a_sound_image(bench)
    for _ in range(3):
        bench.steps.append(history_writers.fuse2fs(bench))
        yield


def fuse_ext2(bench):
    if not bench.has('fuse-ext2'):
        return
    a_sound_image(bench)
    for _ in range(2):
        bench.steps.append(history_writers.fuse2fs(bench, ['fuse-ext2', bench.image, bench.mnt, '-f', '-o', 'rw+']))
        yield


def copiers(bench):
    """What copies the blocks in use to elsewhere, and what clears those that are not."""
    a_sound_image(bench)
    copy = bench.image + '.copy'
    for option in ('-r', '-ra'):
        status = bench.run('e2image', option, bench.image, copy)
        if status == 0:
            os.replace(copy, bench.image)
            bench.steps.append(f'e2image {option}')
            yield
    if bench.has('zerofree'):
        bench.steps.append(f'zerofree ({bench.run("zerofree", "-f", bench.rng.choice("075"), bench.image)})')
        yield
    if bench.has('partclone.extfs'):
        status = bench.run('partclone.extfs', '-b', '-s', bench.image, '-O', copy, '-L', os.path.join(bench.folder, 'log'))
        if status == 0 and os.path.exists(copy):
            size = os.path.getsize(bench.image)
            os.replace(copy, bench.image)
            os.truncate(bench.image, size)
            bench.steps.append('partclone.extfs -b')
            yield


def genimage(bench):
    if not bench.has('genimage'):
        return
    bench.make_tree(60)
    rng, conf, out = bench.rng, os.path.join(bench.folder, 'genimage.cfg'), os.path.join(bench.folder, 'out')
    kind, how = rng.choice(['ext2', 'ext3', 'ext4']), rng.choice(['true', 'false'])
    with open(conf, 'w') as f:
        features = rng.choice(['', '^resize_inode', 'dir_index'])
        f.write(f'image made.img {{ {kind} {{ label = "gen" use-mke2fs = {how} features = "{features}" }} size = {rng.randrange(16, 64)}M }}')
    status = bench.run('genimage', '--config', conf, '--rootpath', bench.tree, '--inputpath', bench.folder, '--outputpath', out,
        '--tmppath', os.path.join(bench.folder, 'tmp'))
    bench.steps = [f'genimage {kind} {how} ({status})']
    if status == 0:
        os.replace(os.path.join(out, 'made.img'), bench.image)
        yield


def elsewhere(bench):
    """What a tool of --maker makes of one seed: every image that was unmounted."""
    if not bench.options.maker:
        return
    made = os.path.join(bench.folder, 'made')
    bench.run(bench.options.maker, made, str(bench.rng.randrange(10**6)))
    clean = os.path.join(made, 'clean')
    for name in sorted(os.listdir(clean)) if os.path.isdir(clean) else []:
        os.replace(os.path.join(clean, name), bench.image)
        bench.steps = [name]
        yield


# With how many images each has for one of --images.
WRITERS = {f.__name__: (f, weight) for f, weight in (
    (mke2fs, 8), (mke2fs_types, 1), (tune2fs, 6), (resize2fs, 4), (resize2fs_far, 2), (debugfs, 4), (kernel, 5), (encrypted, 1), (genext2fs,
    2), (busybox, 1), (e2tools, 2), (fuse, 2), (fuse_ext2, 1),
    (copiers, 2), (genimage, 1))}
