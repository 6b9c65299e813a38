#!/usr/bin/env python3
"""make_seeds.py OUT: small sound images for the fuzz targets, and inputs to begin with.

OUT/images/NAME.img    an image of a few hundred blocks of 1 KiB
OUT/images/NAME.slots  its blocks that say something, which inputs patch: file data and zeros are left out
OUT/TARGET.images      the names of the images that the target may choose from
OUT/TARGET/            the target's first inputs

An input (patched_image.h reads it) is a byte that chooses the image, a byte of flags, and patches: the number of a slot
(2 bytes), an offset in its block (2), a length (2), the bytes. Most inputs are the sound image itself: patches come by
mutation.
"""
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile

BLOCK = 1024
UUID = '6f0a4bd2-5c0e-4c7d-9a55-7d1f6f3f2b11'
NO_CSUM = '^metadata_csum,^uninit_bg'
LOG, FAST = 19, 5  # blocks of the log, and of its fast commits, that are slots
SEAL, THOROUGH = 1, 2  # flags: Flag in patched_image.h
here = pathlib.Path(__file__).resolve().parent
out = pathlib.Path(sys.argv[1])
env = dict(os.environ, LC_ALL='C', TZ='GMT0', PATH=os.environ['PATH'] + ':/usr/sbin:/sbin',
           MKE2FS_CONFIG=str(here.parent / 'support' / 'mke2fs.conf'), E2FSCK_CONFIG='/dev/null',
           E2FSPROGS_FAKE_TIME='1700000000')


def run(*command, ok=(0,), stdin=''):
    p = subprocess.run([str(c) for c in command], env=env, input=stdin, text=True, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    if p.returncode not in ok:
        sys.exit(f"{' '.join(map(str, command))} exits {p.returncode}: {p.stdout}")
    return p.stdout


# Name: size in blocks, options of mke2fs, requests to debugfs.
IMAGES = {
    'extents': (768, '-t ext4 -O ^has_journal,^resize_inode', []),
    'extents-plain': (768, f'-t ext4 -O ^has_journal,^resize_inode,{NO_CSUM}', []),
    'indirect': (768, '-t ext2', []),
    'bigalloc': (2048, '-t ext4 -O ^has_journal,^resize_inode,bigalloc -C 8192', []),
    'htree': (768, f'-t ext4 -O ^has_journal,^resize_inode,{NO_CSUM}', []),
    'htree-csum': (768, '-t ext4 -O ^has_journal,^resize_inode,large_dir', []),
    'htree-tea': (768, f'-t ext4 -O ^has_journal,^resize_inode,{NO_CSUM}', ['ssv def_hash_version tea']),
    'casefold': (768, f'-t ext4 -O ^has_journal,^resize_inode,casefold,encrypt,{NO_CSUM}',
                 ['sif /many flags 0x40081000', 'sif /d flags 0x80800']),
    'inline': (768, f'-t ext4 -I 256 -O ^has_journal,^resize_inode,inline_data,{NO_CSUM}', []),
    'attributes': (768, f'-t ext4 -I 256 -O ^has_journal,^resize_inode,encrypt,{NO_CSUM}',
                   ['ea_set /three user.a ' + 'v' * 20, 'ea_set /three user.b ' + 'v' * 600,
                    'ea_set /d trusted.c ' + 'v' * 40, 'ea_set /d user.d ' + 'v' * 500, 'sif /three flags 0x80800',
                    'ea_set /small security.e ' + 'v' * 300]),
    'values': (768, f'-t ext4 -I 256 -O ^has_journal,^resize_inode,ea_inode,{NO_CSUM}',
               ['ea_set /three user.b ' + 'v' * 1900, 'ea_set /small user.b ' + 'v' * 1900,
                'ea_set /d user.c ' + 'v' * 1200]),
    'journal': (2600, f'-t ext4 -J size=1 -O ^resize_inode,{NO_CSUM}', []),
    'journal-csum': (2600, '-t ext4 -J size=1 -O ^resize_inode,orphan_file', []),
    'journal-fast': (3000, f'-t ext4 -J size=1,fast_commit_size=256 -O ^resize_inode,fast_commit,{NO_CSUM}', []),
    'journal-ext3': (2600, '-t ext3 -J size=1', []),
    'groups': (1536, '-t ext4 -g 512 -O ^has_journal,metadata_csum_seed,^flex_bg -E resize=100000', []),
    'metabg': (1536, f'-t ext4 -g 256 -O ^has_journal,^resize_inode,meta_bg,mmp,{NO_CSUM}', []),
    'super2': (1536, f'-t ext4 -g 512 -O ^has_journal,^resize_inode,sparse_super2,quota,project,{NO_CSUM} '
                     '-E quotatype=usrquota:grpquota:prjquota', []),
    'gdtcsum': (1536, '-t ext4 -g 512 -O ^has_journal,^resize_inode,^metadata_csum,uninit_bg', []),
}
TARGETS = {
    'maps': ['extents-plain', 'extents', 'indirect', 'bigalloc'],
    'directories': ['htree', 'htree-csum', 'htree-tea', 'casefold', 'inline', 'indirect'],
    'attributes': ['attributes', 'values', 'inline', 'casefold', 'extents'],
    'journal': ['journal', 'journal-csum', 'journal-fast', 'journal-ext3'],
    'image': list(IMAGES),
}


def make_tree(root):
    """Little data, many structures. No zeros: mke2fs leaves holes for those."""
    def put(name, runs):
        with open(root / name, 'wb') as f:
            for offset, length in runs:
                f.seek(offset)
                f.write(b'd' * length)
    for d in ('d/sub', 'many'):
        (root / d).mkdir(parents=True)
    put('small', [(0, 40)])
    put('three', [(0, 3000)])
    put('empty', [])
    put('runs90', [(i * 8192, 1024) for i in range(90)])       # a leaf below the root
    put('far', [(i << 20, 1024) for i in (0, 1, 30, 70, 900)])  # in indirect maps all levels
    os.symlink('target', root / 'link')
    os.symlink('l' * 200, root / 'longlink')
    os.link(root / 'small', root / 'hard')
    os.mkfifo(root / 'pipe')
    for i in range(44):
        os.link(root / 'empty', root / f'many/{i}-{"long-name-" * (4 + i % 3)}')


def places_of(image, inode, blocks):
    requests = '\n'.join(f'bmap <{inode}> {b}' for b in blocks)
    return [int(line) for line in run('debugfs', '-f', '-', image, stdin=requests).splitlines() if line.isdecimal()]


def make_image(name, tree, work):
    blocks, options, requests = IMAGES[name]
    path = out / 'images' / f'{name}.img'
    path.unlink(missing_ok=True)
    extended = f'hash_seed={UUID}'  # mke2fs takes the last -E only
    if '-E ' in options:
        options, more = options.split('-E ')
        extended += ',' + more
    run('mke2fs', '-q', '-F', '-b', BLOCK, '-N', 64, '-U', UUID, '-m', 0, *options.split(), '-E', extended, '-d', tree,
        path, blocks)
    for request in [r for r in requests if r.startswith('ssv')]:
        run('debugfs', '-w', '-R', request, path)
    run('e2fsck', '-fyD', path, ok=(0, 1))
    if rest := [r for r in requests if not r.startswith('ssv')]:
        run('debugfs', '-w', '-f', '-', path, stdin='\n'.join(rest))
    data = path.read_bytes()
    block = [data[i:i + BLOCK] for i in range(0, len(data), BLOCK)]
    slots = [i for i, b in enumerate(block) if b.strip(b'\0d')]
    if 'journal' in name:  # the log's first blocks, and where fast commits begin
        slots += places_of(path, 8, [*range(1, 1 + LOG), *(range(1025, 1025 + FAST) if 'fast' in name else [])])
    path.with_suffix('.slots').write_text(' '.join(map(str, slots)) + '\n')
    return data, slots


def patch(slot, offset, data):
    return struct.pack('<HHH', slot, offset, len(data)) + data


def copy(slot, source):
    return struct.pack('<6H', slot, 0, 0x8006, source, 0, BLOCK)


class Log:
    """A log written by hand, as patches: checksums are left to the flag SEAL."""

    def __init__(self, data, slots, first_slot, incompat=1, version=2, compat=0):
        self.data, self.patches, self.sequence = data, b'', 7
        self.super = slots.index(data.find(struct.pack('>I', 0xC03B3998)) // BLOCK)
        self.next = first_slot  # of the log's block 1
        self.compat, self.incompat, self.slots = compat, incompat, slots
        head = struct.pack('>3I', compat, incompat, 0) if version == 2 else bytes(12)
        self.put(self.super, 4, struct.pack('>I', 4 if version == 2 else 3))
        self.put(self.super, 0x18, struct.pack('>2I', self.sequence, 1) + bytes(4) + head + b'uuid of a log...')
        if incompat & 0x18:
            self.put(self.super, 0x50, b'\4')
        superblock = data[1024:2048]
        flags = struct.unpack_from('<I', superblock, 0x60)[0] | 4  # needs_recovery
        self.put(slots.index(1), 0x60, struct.pack('<I', flags))

    def put(self, slot, offset, data):
        self.patches += patch(slot, offset, data)

    def block(self, kind, body):
        self.put(self.next, 0, struct.pack('>3I', 0xC03B3998, kind, self.sequence) + body)
        self.next += 1

    def descriptor(self, blocks):
        body = b''
        for i, block in enumerate(blocks):
            flags = (2 if i else 0) | (8 if i + 1 == len(blocks) else 0)
            if self.incompat & 16:
                body += struct.pack('>4I', block, flags, 0, 0)
            else:
                body += struct.pack('>IHH', block, 0, flags)
                body += bytes(4) if self.incompat & 2 else b''
                body += bytes(2) if self.incompat & 8 else b''
            body += bytes(16) if i == 0 else b''
        self.block(1, body)
        for block in blocks:
            self.patches += copy(self.next, self.slots.index(block))
            self.next += 1

    def revoke(self, blocks):
        form = '>Q' if self.incompat & 2 else '>I'
        body = b''.join(struct.pack(form, b) for b in blocks)
        self.block(5, struct.pack('>I', 16 + len(body)) + body)

    def commit(self):
        self.block(2, (b'\1\4' if self.compat else bytes(2)) + bytes(34) + struct.pack('>Q', 1000000))
        self.sequence += 1

    def fast(self, slot, tags):
        body = b''.join(struct.pack('<HH', tag, len(value)) + value for tag, value in tags)
        self.put(slot, 0, body)


def journal_seeds(name, data, slots):
    first_slot = len(slots) - LOG - (FAST if 'fast' in name else 0)
    for version, compat, incompat in ((1, 0, 0), (2, 0, 1), (2, 0, 3), (2, 1, 3), (2, 0, 9), (2, 0, 0x13), (2, 0, 0x17)):
        log = Log(data, slots, first_slot, incompat | (0x20 if 'fast' in name else 0), version, compat)
        log.descriptor([slots[3], slots[4], slots[6]])
        log.commit()
        log.revoke([slots[6]])
        log.descriptor([slots[5]])
        log.commit()
        if 'fast' in name:
            inode = 13
            table = struct.unpack_from('<I', data, 2048 + 8)[0]
            raw = data[table * BLOCK + (inode - 1) * 256:][:256]
            extent = struct.pack('<IHHI', 5, 1, 0, 1500)
            log.fast(len(slots) - FAST, [
                (9, struct.pack('<II', 0, log.sequence)), (6, struct.pack('<I', inode) + raw),
                (1, struct.pack('<I', inode) + extent), (2, struct.pack('<III', inode, 0, 1)),
                (3, struct.pack('<II', 2, inode) + b'created'), (4, struct.pack('<II', 2, inode) + b'linked'),
                (5, struct.pack('<II', 2, inode) + b'small'), (8, struct.pack('<II', log.sequence, 0))])
        yield log.patches
    # Orphans: a list of two, one deleted and one to be cut.
    table = next(i for i in range(len(slots)) if data[slots[i] * BLOCK + 256:slots[i] * BLOCK + 258] == b'\xed\x41')
    link, size, time = 26, 4, 20
    place = lambda ino: (table + (ino - 1) * 256 // BLOCK, (ino - 1) * 256 % BLOCK)
    orphans = patch(slots.index(1), 0xE8, struct.pack('<I', 14))
    for ino, following in ((14, 16), (16, 0)):
        slot, offset = place(ino)
        orphans += patch(slot, offset + time, struct.pack('<I', following))
        orphans += patch(slot, offset + (link if ino == 14 else size), bytes(2))
    yield orphans


def main():
    shutil.rmtree(out, ignore_errors=True)
    (out / 'images').mkdir(parents=True)
    made = {}
    with tempfile.TemporaryDirectory() as work:
        tree = pathlib.Path(work) / 'tree'
        tree.mkdir()
        make_tree(tree)
        for name in IMAGES:
            made[name] = make_image(name, tree, work)
    for target, names in TARGETS.items():
        (out / f'{target}.images').write_text('\n'.join(names) + '\n')
        corpus = out / target
        corpus.mkdir()

        def put(index, name, patches, flags=SEAL):
            (corpus / f'{name}').write_bytes(bytes([index, flags]) + patches)
        for index, name in enumerate(names):
            data, slots = made[name]
            put(index, name, b'')
            put(index, f'{name}-thorough', b'', SEAL | THOROUGH)
            if 'journal' in name:
                for i, patches in enumerate(journal_seeds(name, data, slots)):
                    put(index, f'{name}-log{i}', patches)


main()
