"""Those who write to an image, for history.py: the kernel, the tools of e2fsprogs, fuse2fs and extscrub itself.

A writer is a function of a Story: it does one thing to story.image, draws from story.rng alone, and returns a few words on what it was.
Tools refuse much of what is asked of them. That is no failure: the image is then as it was."""
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time

EXT3 = 'has_journal dir_index filetype sparse_super large_file ext_attr resize_inode'.split()
EXT4 = EXT3 + 'extent flex_bg metadata_csum 64bit huge_file dir_nlink extra_isize'.split()
# name: (features on top of those or with ^ off, options, size in MiB, options of the kernel's mounts)
SETS = {
    'ext4': (EXT4, '', '-b 4096 -J size=8', 64, ''),
    'ext4-1k': (EXT4, '', '-b 1024 -J size=8', 64, ''),
    'ext4-1k-tiny-log': (EXT4, '', '-b 1024 -J size=1', 32, ''),
    'ext4-2k-tiny-log': (EXT4, '', '-b 2048 -J size=2', 48, ''),
    'ext4-large-log': (EXT4, '', '-b 4096 -J size=24', 64, ''),
    'ext4-no64': (EXT4, '^64bit', '-b 4096 -J size=4', 64, ''),
    'ext4-nocsum': (EXT4, '^metadata_csum,^64bit', '-b 1024 -J size=4', 48, ''),
    'ext4-gdtcsum': (EXT4, '^metadata_csum,uninit_bg', '-b 1024 -J size=2', 48, ''),
    'ext4-quota': (EXT4, 'quota,project', '-b 1024 -J size=4', 48, ''),
    'ext4-128': (EXT4, '^extra_isize', '-b 1024 -I 128 -J size=2', 48, ''),
    'ext4-orphan-file': (EXT4, 'orphan_file', '-b 4096 -J size=4', 64, ''),
    'ext4-fast-commit': (EXT4, 'fast_commit', '-b 4096 -J size=8', 64, ''),
    'ext4-bigalloc': (EXT4, 'bigalloc', '-b 4096 -C 16384 -J size=8', 64, ''),
    'ext4-one-group-flex': (EXT4, '', '-b 1024 -G 1 -g 4096 -J size=4', 48, ''),
    'ext4-data-journal': (EXT4, '', '-b 4096 -J size=6', 64, 'data=journal'),
    'ext4-1k-data-journal': (EXT4, '', '-b 1024 -J size=2', 48, 'data=journal'),
    'ext4-async': (EXT4, '', '-b 1024 -J size=2', 48, 'journal_async_commit'),
    'ext4-seed': (EXT4, 'metadata_csum_seed', '-b 1024 -J size=2', 48, ''),
    'ext4-meta-bg': (EXT4, 'meta_bg,^resize_inode', '-b 1024 -J size=2', 48, ''),
    'ext4-lazy': (EXT4, '', '-b 4096 -J size=8 -E lazy_itable_init=1,lazy_journal_init=1', 64, ''),
    'ext4-external': (EXT4, '', '-b 4096', 64, ''),
    'ext3': (EXT3, '', '-b 1024 -J size=4', 48, ''),
    'ext3-4k-tiny-log': (EXT3, '', '-b 4096 -J size=4', 48, ''),
    'ext3-data-journal': (EXT3, '', '-b 1024 -J size=2', 48, 'data=journal'),
}


def make_options(name):
    base, changes, options, size, _ = SETS[name]
    wish = changes.split(',') if changes else []
    features = [f for f in base if '^' + f not in wish] + [f for f in wish if f[0] != '^']
    inode = [] if '-I' in options else ['-I', '256']
    return ['-q', '-F', *inode, *options.split(), '-O', 'none,' + ','.join(features)], size


# ---- The kernel ----

def fill(story, rounds, operations=30):
    """Files and directories come, grow, shrink, are renamed, linked and go; mostly with a commit after each round."""
    rng, top = story.rng, story.mnt
    for _ in range(rounds):
        dirs = [d for d, _, _ in os.walk(top) if 'lost+found' not in d]
        for _ in range(operations if dirs else 0):
            try:
                operate(rng, dirs)
            except OSError:
                pass
        if rng.random() < 0.9:
            story.run('sync', '-f', top)  # this file system alone


def operate(rng, dirs):
    d = rng.choice(dirs)
    names = os.listdir(d)
    p = os.path.join(d, rng.choice(names)) if names and rng.random() < 0.5 else os.path.join(d, f'f{rng.randrange(10**6)}')
    if 'lost+found' in p:
        return
    what = rng.random()
    there = os.path.lexists(p)
    if there and not (os.path.isdir(p) or os.path.isfile(p) or os.path.islink(p)):
        what = max(what, 0.57)  # opened by nobody: a FIFO waits, and a device is one of this machine's
    if os.path.isdir(p):
        if what < 0.1:
            os.chmod(p, rng.choice([0o755, 0o700, 0o775]))
        elif what < 0.15:
            os.rmdir(p)
    elif what < 0.42:
        with open(p, 'ab') as f:
            f.write(rng.randbytes(rng.choice([10, 700, 5000, 40000])))
            f.flush()
            if rng.random() < 0.1:
                os.fsync(f.fileno())
    elif what < 0.45:
        with open(p, 'wb') as f:
            for _ in range(12):  # many extents
                f.seek(rng.randrange(400) * 8192)
                f.write(b'e' * 100)
    elif what < 0.53:
        os.mkdir(os.path.join(d, f'd{rng.randrange(10**6)}'))
    elif what < 0.57:
        for _ in range(60):  # a directory of several blocks
            os.close(os.open(os.path.join(d, f'n{rng.randrange(10**9)}' + 'n' * 30), os.O_CREAT, 0o600))
    elif what < 0.70 and there:
        os.unlink(p)
    elif what < 0.78 and there:
        os.rename(p, os.path.join(rng.choice(dirs), f'r{rng.randrange(10**6)}'))
    elif what < 0.82 and there:
        os.link(p, os.path.join(rng.choice(dirs), f'l{rng.randrange(10**6)}'))
    elif what < 0.87 and there:
        os.truncate(p, rng.choice([0, 100, 3000]))
    elif what < 0.92 and there:
        os.setxattr(p, 'user.note', rng.randbytes(rng.choice([20, 400])))
    elif what < 0.96:
        os.symlink('x' * rng.choice([20, 90]), os.path.join(d, f's{rng.randrange(10**6)}'))
    elif there:
        os.chown(p, rng.randrange(2000), rng.randrange(2000))


def mount_and_fill(story, extra='', rounds=None):
    rounds = rounds or story.rng.choice([1, 2, 3, 5])
    if not story.mount(extra):
        return f'mount {extra} (refused)'
    try:
        fill(story, rounds)
        story.note_names()
    finally:
        story.umount()
    return f'mount {extra} and {rounds} rounds' if extra else f'mount and {rounds} rounds'


def kernel(story):
    return mount_and_fill(story)


def kernel_data_journal(story):
    return mount_and_fill(story, 'data=journal')


def kernel_no_load(story):
    if not story.mount('noload,ro'):
        return 'mount noload,ro (refused)'
    subprocess.run(['find', story.mnt, '-type', 'f', '-exec', 'cat', '{}', '+'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    story.umount()
    return 'mount noload,ro'


def kernel_discard(story):
    return mount_and_fill(story, 'discard')


def kernel_crash(story):
    """The image as it is when the machine stops in the middle."""
    if not story.mount():
        return 'crash (not mounted)'
    try:
        fill(story, story.rng.choice([1, 2, 4]), story.rng.choice([5, 30]))
        story.note_names()
        taken = story.image + '.crash'
        copied = story.snapshot(taken)
    finally:
        story.umount()
    if not copied:
        return 'crash (no moment for it)'
    os.replace(taken, story.image)
    return 'crash'


def kernel_reset_ring(story):
    """Older kernels begin again at the first block of the log."""
    done = reset_ring(story)
    return f'{mount_and_fill(story)} from the log\'s first block{"" if done else " (not reset)"}'


def kernel_resize(story):
    """Growth while it is mounted."""
    size = os.path.getsize(story.image)
    if size >= 90 << 20:
        return 'resize2fs while mounted (large enough)'
    loop = story.output('losetup', '--show', '-f', story.image).strip()
    if not loop:
        return 'resize2fs while mounted (no loop device)'
    try:
        if story.run('mount', *story.mount_options(), loop, story.mnt):
            return 'resize2fs while mounted (refused)'
        fill(story, 1)
        os.truncate(story.image, size + story.rng.choice([4, 9, 20]) * (1 << 20))
        story.run('losetup', '-c', loop)
        status = story.run('resize2fs', loop)
        fill(story, 1)
        story.note_names()
        story.umount()
    finally:
        story.run('losetup', '-d', loop)
    return f'resize2fs while mounted ({status})'


CRC = []


def crc32c(seed, data):
    if not CRC:
        for n in range(256):
            for _ in range(8):
                n = n >> 1 ^ (0x82F63B78 if n & 1 else 0)
            CRC.append(n)
    for byte in data:
        seed = CRC[(seed ^ byte) & 255] ^ seed >> 8
    return seed


def reset_ring(story):
    """Takes s_head out of the journal's superblock."""
    text = story.output('debugfs', '-R', 'bmap <8> 0', story.image).strip()
    size = story.block_size()
    if story.journal or not text.isdigit() or text == '0' or not size:
        return False
    with open(story.image, 'r+b') as f:
        f.seek(int(text) * size)
        log = bytearray(f.read(1024))
        if log[:4] != b'\xc0\x3b\x39\x98' or struct.unpack_from('>I', log, 28)[0]:
            return False
        struct.pack_into('>I', log, 88, 0)
        if struct.unpack_from('>I', log, 40)[0] & 24:
            struct.pack_into('>I', log, 252, 0)
            struct.pack_into('>I', log, 252, crc32c(0xFFFFFFFF, log))
        f.seek(int(text) * size)
        f.write(log)
    return True


# ---- Tools of e2fsprogs ----

def e2fsck(story):
    options = story.rng.choice(['-fy', '-fy', '-fyD', '-fyD', '-p', '-fyE discard', '-fyE fixes_only', '-fyE bmap2extent'])
    return f'e2fsck {options} ({story.check(*options.split(" ", 1))})'


def may_write(story):
    """tune2fs and resize2fs want an image that was checked. What they look at can be had without a check, too."""
    if story.rng.random() < 0.5:
        return f'e2fsck -fy ({story.check("-fy")}), '
    story.debugfs(['ssv mtime 1', 'ssv state 1'])
    return ''


FEATURES = ['64bit', '^64bit', 'metadata_csum', '^metadata_csum', 'quota', '^quota', 'project', 'uninit_bg', '^uninit_bg', 'dir_index', '^dir_index', 'extents',
            'large_dir', 'metadata_csum_seed', '^metadata_csum_seed', 'orphan_file', '^orphan_file', 'fast_commit', '^fast_commit', 'sparse_super', 'filetype',
            'resize_inode', '^resize_inode', 'flex_bg', '^flex_bg', 'huge_file', '^huge_file', 'dir_nlink', '^dir_nlink', 'extra_isize', '^extra_isize', 'mmp', '^mmp',
            'ea_inode', 'encrypt', 'verity', 'large_file', 'stable_inodes', 'casefold', '^ext_attr', 'ext_attr']


def tune2fs_command(story):
    rng = story.rng
    return rng.choice([
        lambda: ['-O', rng.choice(FEATURES)], lambda: ['-O', rng.choice(FEATURES)], lambda: ['-O', rng.choice(FEATURES)],
        lambda: ['-U', rng.choice(['random', 'random', 'clear', 'time'])], lambda: ['-L', f'label{rng.randrange(99)}'], lambda: ['-I', '512'],
        lambda: ['-I', '256'], lambda: ['-c', str(rng.randrange(100))], lambda: ['-C', str(rng.randrange(3))],
        lambda: ['-T', rng.choice(['now', '20200101', '20380101', time.strftime('%Y%m%d')])],
        lambda: ['-e', rng.choice(['continue', 'remount-ro'])], lambda: ['-E', f'stride={rng.choice([0, 4, 16])}'], lambda: ['-E', 'hash_alg=' + rng.choice(['tea', 'half_md4'])],
        lambda: ['-E', 'mount_opts=noatime'], lambda: ['-o', rng.choice(['journal_data', '^journal_data', 'acl', 'nobarrier', 'discard'])], lambda: ['-m', str(rng.randrange(9))],
        lambda: ['-r', str(rng.randrange(900))], lambda: ['-Q', rng.choice(['usrquota', '^usrquota', 'grpquota', '^prjquota'])], lambda: ['-i', '30'],
    ])()


def tune2fs(story, *more):
    before = may_write(story)
    command = tune2fs_command(story)
    return f'{before}tune2fs {" ".join(command)} ({story.run("tune2fs", *more, *command, story.image, text="y" + chr(10))})'


def tune2fs_journal(story):
    """The journal goes and comes again."""
    if story.journal:
        return 'tune2fs -j (external journal)'
    rng = story.rng
    first = story.run('tune2fs', '-f', '-O', '^has_journal', story.image)
    between = f' {mount_and_fill(story)},' if rng.random() < 0.5 else ''
    how = rng.choice([['-j'], ['-J', 'size=1'], ['-J', 'size=8'], ['-O', 'has_journal'], ['-J', 'size=4,fast_commit_size=256']])
    return f'tune2fs -O ^has_journal ({first}),{between} {" ".join(how)} ({story.run("tune2fs", *how, story.image)})'


def resize2fs(story, *more):
    rng, size = story.rng, os.path.getsize(story.image)
    before = may_write(story)
    if rng.random() < 0.5 or size > 90 << 20:
        to = rng.choice(['-M', f'{max(size * rng.randrange(50, 95) // 100, 8 << 20) // 1024}K'])
        status = story.run('resize2fs', *more, '-f', *([to] if to == '-M' else []), story.image, *([to] if to != '-M' else []))
        if status == 0 and not more and rng.random() < 0.7:
            os.truncate(story.image, story.blocks() * story.block_size())
        return f'{before}resize2fs {to} ({status})'
    to = size * rng.randrange(105, 150) // 100 // 4096 * 4096
    os.truncate(story.image, to)
    flags = rng.choice([[], [], ['-b'], ['-s']])
    status = story.run('resize2fs', *more, '-f', *flags, story.image)
    return f'{before}resize2fs to {to >> 20}M {"".join(flags)} ({status})'


def debugfs_requests(story):
    """A few edits of one kind, as an operator would make them."""
    rng = story.rng
    file, other, folder = story.a_file(), story.a_file(), story.a_directory()
    inode = f'<{rng.randrange(12, 400)}>'
    block = rng.randrange(50, max(51, story.blocks() - 1))
    then = int(time.time()) - rng.choice([0, 1, 2, 10, 100000])
    new = f'{folder}/new{rng.randrange(10**6)}'
    return rng.choice([
        lambda: [f'rm {file}', f'rm {other}'],
        lambda: [f'ln {file} {new}', f'unlink {file}'],
        lambda: [f'ln {file} {new}', f'sif {file} links_count 2'],
        lambda: [f'sif {file} mode 0100{rng.choice(["600", "644", "755"])}'],
        lambda: [f'sif {file} {t}time @{then}' for t in rng.choice(['m', 'c', 'a', 'cr', 'mc', 'mac'])],
        lambda: [f'sif {x} {t}time @{then}' for x in (file, other, folder) for t in ('c', 'm')],
        lambda: [f'sif {file} {t}time_extra {rng.randrange(1 << 31) & ~3}' for t in ('m', 'c')],
        lambda: [f'sif {file} uid {rng.randrange(2000)}', f'sif {other} gid {rng.randrange(2000)}'],
        lambda: [f'sif {file} size 12', f'sif {file} size {story.size_of(file)}'],
        lambda: [f'sif {file} size {story.size_of(file) + 12345}'],
        lambda: [f'sif {file} generation {rng.randrange(1 << 31)}'],
        lambda: [f'sif {file} version {rng.randrange(99)}', f'sif {file} flags 0x80040'],
        lambda: [f'write {story.stuff} {new}', f'write {story.stuff} {new}b'],
        lambda: [f'mkdir {new}', f'write {story.stuff} {new}/x'],
        lambda: [f'rmdir {folder}', f'mkdir {folder}'],
        lambda: [f'symlink {new} {"t" * rng.choice([20, 100])}', f'symlink {new}b short'],
        lambda: [f'ea_set {file} user.note {"v" * rng.choice([10, 300, 900])}', f'ea_rm {other} user.note'],
        lambda: [f'set_bg 0 free_blocks_count {rng.randrange(900)}', 'set_bg 0 checksum calc'],
        lambda: [f'set_bg 0 itable_unused {rng.randrange(9)}', f'set_bg 0 used_dirs_count {rng.randrange(9)}', 'set_bg 0 checksum calc'],
        lambda: [f'freeb {block} 2', f'setb {block} 2'],
        lambda: [f'setb {block} 2', f'freeb {block} 2'],
        lambda: [f'freeb {block} 3'],
        lambda: [f'freei {inode}', f'seti {inode}'],
        lambda: [f'seti {inode}'],
        lambda: [f'kill_file {file}'],
        lambda: [f'kill_file {file}', f'unlink {file}'],
        lambda: [f'undel {inode} {new}'],
        lambda: [f'sif {inode} dtime 0', f'sif {inode} links_count 1', f'sif {inode} mode 0100644', f'ln {inode} {new}'],
        lambda: [f'rm {file}', f'undel {story.number_of(file)} {new}'],
        lambda: [f'unlink {file}', f'ln {story.number_of(file)} {file}'],
        lambda: [f'clri {file}'],
        lambda: [f'clri {inode}', f'freei {inode}'],
        lambda: [f'copy_inode {file} {inode}'],
        lambda: [f'copy_inode {other} {file}'],
        lambda: [f'expand_dir {folder}'],
        lambda: [f'punch {file} 0 3', f'fallocate {other} 0 5'],
        lambda: [f'ssv free_blocks_count {rng.randrange(900)}', f'ssv mnt_count {rng.randrange(9)}'],
        lambda: ['ssv lastcheck 20200101', f'ssv wtime @{then}'],
        lambda: ['initialize_dirblock ' + folder] if rng.random() < 0.1 else [f'mknod {new} p'],
        lambda: ['feature ^dir_index'],
        lambda: ['dirty'],
        lambda: ['journal_open', f'journal_write -b {block} {story.block_file(block)}', 'journal_close'],
        lambda: ['journal_open', f'journal_write -r {block}', 'journal_close', 'journal_run'],
    ])()


def debugfs(story):
    requests = debugfs_requests(story)
    if story.rng.random() < 0.4:
        requests += debugfs_requests(story)
    story.debugfs(requests)
    words = 'debugfs ' + ', '.join(requests)
    if story.rng.random() < 0.4:
        words += f', e2fsck -fy ({story.check("-fy")})'
    return words


def undo_of_tools(story):
    """Each with an undo file, and e2undo."""
    rng, undo = story.rng, story.image + '.e2undo'
    name = rng.choice(['tune2fs', 'debugfs', 'resize2fs', 'mke2fs', 'e2fsck'])
    if name == 'tune2fs':
        done = tune2fs(story, '-z', undo)
    elif name == 'resize2fs':
        done = resize2fs(story, '-z', undo)
    elif name == 'e2fsck':
        done = f'e2fsck -fyD ({story.check("-fyD", "-z", undo)})'
    elif name == 'debugfs':
        requests = debugfs_requests(story)
        story.debugfs(requests, '-z', undo)
        done = 'debugfs ' + ', '.join(requests)
    else:
        options, _ = make_options(story.set)
        done = f'mke2fs ({story.run("mke2fs", *story.journal_options(), "-z", undo, *options, story.image)})'
    status = story.run('e2undo', undo, story.image) if os.path.exists(undo) else 'nothing to undo'
    if status and name == 'mke2fs':
        story.names = []
    if os.path.exists(undo):
        os.unlink(undo)
    return f'{done}, e2undo ({status})'


def mke2fs(story):
    rng = story.rng
    options, _ = make_options(story.set)
    if story.journal:
        return 'mke2fs (external journal)'
    more = []
    if rng.random() < 0.5:
        more += ['-E', 'lazy_journal_init=1,lazy_itable_init=1']
    if rng.random() < 0.5 and (uuid := story.uuid()):
        more += ['-U', uuid]
    if rng.random() < 0.15:
        status = story.run('mke2fs', *options, *more, '-S', story.image)
        return f'mke2fs -S {" ".join(more)} ({status}), e2fsck -fy ({story.check("-fy")})'
    status = story.run('mke2fs', *options, *more, story.image)
    story.names = []
    then = f', {mount_and_fill(story)}' if rng.random() < 0.6 else ''
    return f'mke2fs {" ".join(more)} ({status}){then}'


def fuse2fs(story, command=None):
    command = command or ['fuse2fs', '-f', '-o', 'fakeroot', story.image, story.mnt]
    if not shutil.which(command[0]):
        return f'{command[0]} (not installed)'
    # In the foreground: it writes after it was unmounted, and is done when it has ended.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not story.is_mounted():
            time.sleep(0.01)
        if not story.is_mounted():
            return f'{command[0]} (refused)'
        story.mounted = True
        try:
            dirs = [d for d, _, _ in os.walk(story.mnt) if 'lost+found' not in d]
            for _ in range(40 if dirs else 0):
                try:
                    operate(story.rng, dirs)
                except OSError:
                    pass
            story.note_names()
        finally:
            story.umount()
    return command[0]


# ---- extscrub ----

def spoil(story):
    """Damage that is mended safely, for the most part."""
    rng = story.rng
    block = rng.randrange(50, max(51, story.blocks() - 1))
    requests = [f'freeb {block} 3', f'seti <{rng.randrange(200, 900)}>', f'sif {story.a_file()} blocks 77', f'sif {story.a_file()} links_count 9',
                'ssv free_blocks_count 5', 'set_bg 0 free_inodes_count 3', f'freei {story.a_file()}', f'setb {block} 5', f'unlink {story.a_file()}',
                f'clri {story.a_file()}', f'sif {story.a_directory()} links_count 1']
    story.debugfs(rng.sample(requests, rng.choice([1, 2, 4])))


def scrub_command(story, undo):
    rng = story.rng
    return [story.extscrub, 'scrub', '--repair=' + rng.choice(['safe', 'all']), '--commit=' + rng.choice(['journal', 'direct']), '--undo-file', undo,
            *story.journal_flag(), story.image]


def forget(*paths):
    for path in paths:
        if os.path.exists(path):
            os.unlink(path)


def scrub(story):
    undo = story.image + '.undo'
    spoil(story)
    command = scrub_command(story, undo)
    words = f'spoilt, scrub {command[2]} {command[3]} ({story.run(*command)})'
    if story.rng.random() < 0.5 and os.path.exists(undo):
        words += f', undo ({story.run(story.extscrub, "undo", undo, story.image)})'
    forget(undo)
    return words


def scrub_killed(story):
    undo = story.image + '.undo'
    spoil(story)
    command = scrub_command(story, undo)
    wait = story.rng.random() * 0.12
    spoilt = os.stat(story.image).st_mtime_ns
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    words = f'spoilt, scrub {command[2]} {command[3]} killed after {wait * 1000:.0f} ms'
    # What damage leaves may be just what was there before a transaction: only what a scrub has written is looked at.
    if os.stat(story.image).st_mtime_ns != spoilt:
        story.look(words)
    then = story.rng.random()
    if then < 0.3 and os.path.exists(undo):
        words += f', undo ({story.run(story.extscrub, "undo", "--force", undo, story.image)})'
    elif then < 0.7:
        words += f', scrub ({story.run(story.extscrub, "scrub", "--force", "--no-undo", *story.journal_flag(), story.image)})'
    forget(undo, story.image + '.extscrub-errored')
    return words


WRITERS = {f.__name__: (f, weight) for f, weight in (
    (kernel, 5), (kernel_data_journal, 1), (kernel_no_load, 1), (kernel_discard, 1), (kernel_crash, 2), (kernel_reset_ring, 2), (kernel_resize, 1),
    (e2fsck, 3), (tune2fs, 5), (tune2fs_journal, 2), (resize2fs, 3), (debugfs, 8), (undo_of_tools, 3), (mke2fs, 2), (fuse2fs, 2), (scrub, 3), (scrub_killed, 2))}


class Story:
    """One image, what its writers were, and what an audit says after each."""

    def __init__(self, work, set_name, rng, extscrub, alarm):
        self.set, self.rng, self.extscrub, self.alarm = set_name, rng, extscrub, alarm
        self.folder = work
        self.image, self.mnt, self.stuff = (os.path.join(work, name) for name in ('image', 'mnt', 'stuff'))
        self.journal = self.journal_file = None
        self.mounted, self.names, self.steps, self.audits, self.unread, self.alarmed = False, [], [], 0, 0, False
        os.makedirs(self.mnt)
        with open(self.stuff, 'wb') as f:
            f.write(rng.randbytes(20000))

    def make(self):
        options, size = make_options(self.set)
        if self.set == 'ext4-external':
            self.journal_file = os.path.join(self.folder, 'journal')
            with open(self.journal_file, 'wb') as f:
                f.truncate(8 << 20)
            self.run('mke2fs', '-q', '-F', '-b', '4096', '-O', 'journal_dev', self.journal_file)
            self.journal = self.output('losetup', '--show', '-f', self.journal_file).strip()
        with open(self.image, 'wb') as f:
            f.truncate(size << 20)
        if self.run('mke2fs', *self.journal_options(), *options, self.image):
            raise RuntimeError(f'mke2fs does not make {self.set}')
        self.steps.append(mount_and_fill(self, rounds=self.rng.choice([3, 6, 10])))

    def close(self):
        if self.mounted:
            self.umount()
        if self.journal:
            self.run('losetup', '-d', self.journal)

    # What they run.
    def run(self, *command, text=None):
        try:
            return subprocess.run(command, input=text.encode() if text else None, stdin=None if text else subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL, timeout=120).returncode
        except subprocess.TimeoutExpired:
            return 'too slow'

    def output(self, *command):
        return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120).stdout.decode(errors='replace')

    def check(self, *options):
        return self.run('e2fsck', *options, *(['-j', self.journal] if self.journal else []), self.image)

    def debugfs(self, requests, *options):
        self.run('debugfs', '-w', *options, '-f', '-', self.image, text='\n'.join(requests) + '\n')

    # What they want to know.
    def block_size(self):
        return self.field('Block size')

    def blocks(self):
        return self.field('Block count')

    def field(self, name):
        for line in self.output('dumpe2fs', '-h', self.image).splitlines():
            if line.startswith(name + ':') and line.split()[-1].isdigit():
                return int(line.split()[-1])
        return 0

    def uuid(self):
        for line in self.output('dumpe2fs', '-h', self.image).splitlines():
            if line.startswith('Filesystem UUID:'):
                return line.split()[-1]
        return None

    def note_names(self):
        self.names = []
        for at, folders, files in os.walk(self.mnt):
            for name in files + folders:
                path = os.path.join(at, name)
                try:
                    st = os.lstat(path)
                except OSError:
                    continue
                self.names.append(('/' + os.path.relpath(path, self.mnt), name in folders, st.st_ino, st.st_size))

    def a_file(self):
        return self.rng.choice([n[0] for n in self.names if not n[1]] or ['/nothing'])

    def a_directory(self):
        return self.rng.choice([n[0] for n in self.names if n[1] and 'lost+found' not in n[0]] or ['/lost+found'])

    def size_of(self, path):
        return next((n[3] for n in self.names if n[0] == path), 0)

    def number_of(self, path):
        return f'<{next((n[2] for n in self.names if n[0] == path), 12)}>'

    def block_file(self, block):
        """A file with what lies in a block."""
        path, size = os.path.join(self.folder, 'block'), self.block_size() or 1024
        with open(self.image, 'rb') as image, open(path, 'wb') as f:
            image.seek(block * size)
            f.write(image.read(size))
        return path

    def journal_options(self):
        return ['-J', 'device=' + self.journal] if self.journal else []

    def journal_flag(self):
        return ['--journal', self.journal_file] if self.journal else []

    # Mounts.
    def mount_options(self, extra=''):
        words = [w for w in (SETS[self.set][4], extra, 'journal_path=' + self.journal if self.journal else '') if w]
        return ['-o', ','.join(words)] if words else []

    def mount(self, extra=''):
        options = self.mount_options(extra)
        options = ['-o', 'loop,nodev' + (',' + options[1] if options else '')]
        if self.run('mount', '-t', 'ext4', *options, self.image, self.mnt):
            # Not all of it goes with what a writer has made of the image.
            if self.run('mount', '-t', 'ext4', '-o', 'loop,nodev' + (',' + extra if extra and extra != 'data=journal' else '') +
                        (',journal_path=' + self.journal if self.journal else ''), self.image, self.mnt):
                return False
        self.mounted = True
        return True

    def umount(self):
        for _ in range(50):
            if self.run('umount', self.mnt) == 0 or not self.is_mounted():
                break
            time.sleep(0.05)
        self.mounted = False

    def is_mounted(self):
        """Also where the process behind it has died."""
        with open('/proc/self/mounts') as mounts:
            return any(line.split()[1] == self.mnt for line in mounts)

    def snapshot(self, to):
        """What the device of a mounted image has at one moment; False where it was written to all the time."""
        for _ in range(6):
            files = [(self.image, to)] + ([(self.journal_file, to + '.journal')] if self.journal else [])
            for a, b in files:
                shutil.copyfile(a, b)
            if all(subprocess.run(['cmp', '-s', a, b]).returncode == 0 for a, b in files):
                if self.journal:
                    os.replace(to + '.journal', self.journal_file + '.taken')
                return not self.journal or self.take_journal()
            time.sleep(0.01)
        return False

    def take_journal(self):
        return False  # its loop device stays in use

    # What is said to it.
    def look(self, words, image=None, journal=None):
        raise NotImplementedError
