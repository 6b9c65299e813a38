"""Small ext2, ext3 and ext4 images of many feature sets, and the ways hostile.py damages them: fields and bytes of every kind of
metadata, with the checksums made to fit again or not. All that happens follows from the random.Random that is passed."""
import os
import random
import re
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ENV = dict(os.environ, LC_ALL='C', TZ='GMT0', MKE2FS_CONFIG=os.path.join(HERE, '../support/mke2fs.conf'), E2FSCK_CONFIG='/dev/null',
           PATH=os.environ['PATH'] + ':/usr/sbin:/sbin')
UUID = '6f0a4bd2-5c0e-4c7d-9a55-7d1f6f3f2b11'

INTERESTING = [0, 1, 2, 3, 5, 8, 12, 32, 64, 255, 256, 1024, 4096, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff]


def feature_sets():
    """{name: options of mke2fs} of support/feature_sets.txt, made small: 8 MiB in four groups where the block size allows it."""
    sets = {}
    for line in open(os.path.join(HERE, '../support/feature_sets.txt')):
        if line.startswith('#') or not line.strip():
            continue
        name, _, options = line.strip().split(None, 2)
        options = re.sub(r' -g \d+', '', options)
        if '-b 65536' in options:
            options, size = options + ' -O ^has_journal', '8M'
        elif '-b 4096' in options:
            options, size = options + ' -g 1024 -J size=4' if 'ext2' not in options else options + ' -g 1024', '16M'
        elif 'bigalloc' in options:
            options, size = options.replace('-C 16384', '-C 4096') + ' -g 8192 -J size=1', '24M'
        elif '-b 2048' in options:
            options, size = options + ' -g 2048 -J size=2', '12M'
        else:
            options, size = options + ' -g 2048' + ('' if 'ext2' in options or '^has_journal' in options else ' -J size=1'), '8M'
        sets[name] = (options, size)
    return sets


def make_tree(root):
    rng = random.Random(7)
    for d in ('dir/sub/deeper', 'many', 'x' * 200 + '/y'):
        os.makedirs(os.path.join(root, d))
    for i in range(24):
        with open(os.path.join(root, f'dir/file{i}'), 'wb') as f:
            f.write(b'd' * (i * 377))
    for name, step, runs in (('big', 4096, 40), ('runs', 8192, 60), ('far', 1 << 20, 5)):
        with open(os.path.join(root, name), 'wb') as f:
            for i in range(runs):
                f.seek(i * step)
                f.write(bytes(rng.getrandbits(7) | 1 for _ in range(1500)))
    for i in range(90):
        open(os.path.join(root, f'many/a-rather-long-name-of-an-empty-file-{i}'), 'w').close()
    os.symlink('target', os.path.join(root, 'link'))
    os.symlink('l' * 200, os.path.join(root, 'longlink'))
    os.link(os.path.join(root, 'big'), os.path.join(root, 'hard'))
    os.mkfifo(os.path.join(root, 'pipe'))
    for i, size in enumerate((20, 150, 900)):
        os.setxattr(os.path.join(root, f'dir/file{i + 3}'), 'user.attribute', b'v' * size)


def make_image(path, options, size, tree, with_journal):
    """A sound image; `with_journal`: its log holds a transaction that was not replayed."""
    log = subprocess.run(['mke2fs', '-q', '-F', '-N', '512', '-U', UUID, '-d', tree, *options.split(), path, size], env=ENV,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if log.returncode:
        raise RuntimeError(log.stdout.decode())
    subprocess.run(['e2fsck', '-fyD', path], env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if with_journal:
        script = 'jo -c\njw -b 300,301,302 /dev/zero\njc\n' if 'csum' not in options else 'jo\njw -b 300,301,302 /dev/zero\njc\n'
        subprocess.run(['debugfs', '-w', '-f', '-', path], env=ENV, input=script.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def table(polynomial):
    out = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (polynomial if i & 1 else 0)
        out.append(i)
    return out


CRC32C, CRC16 = table(0x82F63B78), table(0xA001)


def crc32c(crc, data):
    for byte in data:
        crc = CRC32C[(crc ^ byte) & 255] ^ crc >> 8
    return crc


def crc16(crc, data):
    for byte in data:
        crc = CRC16[(crc ^ byte) & 255] ^ crc >> 8
    return crc


class ExtImage:
    """The bytes of an image, by the layout that it has before it is damaged; `length`: how many of them are left."""

    def __init__(self, data):
        self.data, self.length = data, len(data)
        self.block_size = 1024 << self.u32(1024 + 24)
        self.first_data = self.u32(1024 + 20)
        self.blocks = self.u32(1024 + 4)
        self.inode_size = self.u16(1024 + 88)
        self.per_group = self.u32(1024 + 32)
        self.inodes_per_group = self.u32(1024 + 40)
        self.compat, self.incompat, self.ro_compat = (self.u32(1024 + at) for at in (92, 96, 100))
        self.desc_size = self.u16(1024 + 254) if self.incompat & 0x80 else 32
        self.groups = -(-(self.blocks - self.first_data) // self.per_group)
        self.csum, self.gdt_csum = bool(self.ro_compat & 0x400), bool(self.ro_compat & 0x10)
        self.seed = self.u32(1024 + 0x270) if self.incompat & 0x2000 else crc32c(0xffffffff, data[1024 + 104:1024 + 120])
        self.inode_tables = [self.u32(self.desc_at(g) + 8) for g in range(self.groups)]
        self.block_bitmaps = [self.u32(self.desc_at(g)) for g in range(self.groups)]
        self.inode_bitmaps = [self.u32(self.desc_at(g) + 4) for g in range(self.groups)]
        self.used = [n for n in range(1, self.groups * self.inodes_per_group + 1) if self.u16(self.inode_at(n))]

    # What a damaged field leads to behind the end reads as zeros.
    def u16(self, at):
        return int.from_bytes(self.data[at:at + 2], 'little')

    def u32(self, at):
        return int.from_bytes(self.data[at:at + 4], 'little')

    def put(self, at, width, value):
        if at + width <= len(self.data):
            self.data[at:at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, 'little')

    def desc_at(self, group):
        per_block = self.block_size // self.desc_size
        block = 1024 // self.block_size + 1  # behind the superblock; with meta_bg all is in one meta group here
        if not self.incompat & 0x10:
            block += group // per_block
        return block * self.block_size + group % per_block * self.desc_size

    def inode_at(self, number):
        group, place = divmod(number - 1, self.inodes_per_group)
        return self.inode_tables[group] * self.block_size + place * self.inode_size

    def maps(self, number):
        """The blocks of an inode: (those of its map, those of its content), a few of each."""
        at = self.inode_at(number)
        if self.u32(at + 32) & 0x10000000:  # inline data
            return [], []
        nodes, content = [], []
        if self.u32(at + 32) & 0x80000:
            self.extents(at + 40, 0, nodes, content)
        elif self.u16(at) & 0xF000 in (0x4000, 0x8000) or self.u32(at + 28):
            content += [b for b in (self.u32(at + 40 + 4 * i) for i in range(12)) if 0 < b < self.blocks]
            for i in (12, 13):
                b = self.u32(at + 40 + 4 * i)
                if 0 < b < self.blocks:
                    nodes.append(b)
        return nodes, content[:40]

    def extents(self, at, depth, nodes, content):
        if self.u16(at) != 0xF30A or depth > 4:
            return
        for i in range(min(self.u16(at + 2), 84)):
            entry = at + 12 + 12 * i
            if self.u16(at + 6):
                leaf = self.u32(entry + 4)
                if leaf < self.blocks:
                    nodes.append(leaf)
                    self.extents(leaf * self.block_size, depth + 1, nodes, content)
            else:
                start = self.u32(entry + 8)
                content += [b for b in range(start, start + min(self.u16(entry + 4), 16)) if b < self.blocks]

    # Checksums

    def seal_super(self, at=1024):
        if self.u32(at + 100) & 0x400:
            self.put(at + 1020, 4, crc32c(0xffffffff, self.data[at:at + 1020]))

    def seal_descriptor(self, group):
        at = self.desc_at(group)
        number = struct.pack('<I', group)
        body = bytearray(self.data[at:at + self.desc_size])
        if self.csum:
            body[30:32] = b'\0\0'
            self.put(at + 30, 2, crc32c(crc32c(self.seed, number), body))
        elif self.gdt_csum:
            crc = crc16(crc16(crc16(0xffff, self.data[1024 + 104:1024 + 120]), number), body[:30])
            self.put(at + 30, 2, crc16(crc, body[32:]))

    def inode_seed(self, number):
        return crc32c(crc32c(self.seed, struct.pack('<I', number)), self.data[self.inode_at(number) + 100:self.inode_at(number) + 104])

    def seal_inode(self, number):
        if not self.csum:
            return
        at = self.inode_at(number)
        body = bytearray(self.data[at:at + self.inode_size])
        high = self.inode_size > 128 and struct.unpack_from('<H', body, 128)[0] >= 4
        body[124:126] = b'\0\0'
        if high:
            body[130:132] = b'\0\0'
        crc = crc32c(self.inode_seed(number), body)
        self.put(at + 124, 2, crc)
        if high:
            self.put(at + 130, 2, crc >> 16)

    def seal_bitmaps(self, group):
        if not self.csum:
            return
        at = self.desc_at(group)
        cluster_bits = self.u32(1024 + 28) - self.u32(1024 + 24) if self.ro_compat & 0x200 else 0
        for bitmap, low, high, bits in ((self.block_bitmaps[group], 24, 56, self.per_group >> cluster_bits),
                                        (self.inode_bitmaps[group], 26, 58, self.inodes_per_group)):
            start = bitmap * self.block_size
            crc = crc32c(self.seed, self.data[start:start + bits // 8])
            self.put(at + low, 2, crc)
            if self.desc_size >= 60:
                self.put(at + high, 2, crc >> 16)
        self.seal_descriptor(group)

    def seal_block(self, number, block):
        """A block of inode `number`: by what it looks like, a tree node or leaf of a directory, an extent block, attributes."""
        if not self.csum:
            return
        at, size = block * self.block_size, self.block_size
        if self.u16(at) == 0xF30A:
            tail = 12 + 12 * self.u16(at + 4)
            if tail + 4 <= size:
                self.put(at + tail, 4, crc32c(self.inode_seed(number), self.data[at:at + tail]))
        elif self.u32(at) == 0xEA020000:
            body = bytearray(self.data[at:at + size])
            body[16:20] = bytes(4)
            self.put(at + 16, 4, crc32c(crc32c(self.seed, struct.pack('<Q', block)), body))
        elif self.u32(at + size - 12) == 0xDE00000C:
            self.put(at + size - 4, 4, crc32c(self.inode_seed(number), self.data[at:at + size - 12]))
        elif self.u16(self.inode_at(number)) & 0xF000 == 0x4000:
            for head in (32, 8):
                limit, count = self.u16(at + head), self.u16(at + head + 2)
                if 8 * limit + head + 8 == size and count <= limit:
                    body = bytearray(self.data[at:at + head + 8 * count])
                    tail = bytearray(self.data[at + head + 8 * limit:at + head + 8 * limit + 8])
                    self.put(at + size - 4, 4, crc32c(crc32c(self.inode_seed(number), body), tail[:4] + bytes(4)))
                    break


# (offset, width) of fields
SUPER = [(o, 4) for o in (0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 76, 84, 92, 96, 100, 0xE0, 0xE4, 0xE8, 0x104, 0x10C, 0x14C,
                          0x150, 0x154, 0x158, 0x164, 0x194, 0x240, 0x244, 0x248, 0x24C, 0x250, 0x268, 0x26C, 0x270, 0x280)] + \
        [(o, 2) for o in (0x34, 0x36, 0x38, 0x3A, 0x3C, 0x58, 0x5A, 0xCE, 0xFE, 0x15C, 0x15E, 0x160, 0x166, 0x274, 0x27E)] + \
        [(o, 1) for o in (0xCC, 0xCD, 0xFC, 0xFD, 0x174, 0x175, 0x176)]
DESCRIPTOR = [(0, 4), (4, 4), (8, 4), (12, 2), (14, 2), (16, 2), (18, 2), (24, 2), (26, 2), (28, 2), (30, 2), (32, 4), (36, 4), (40, 4), (50, 2)]
INODE = [(0, 2), (2, 2), (4, 4), (8, 4), (16, 4), (20, 4), (24, 2), (26, 2), (28, 4), (32, 4), (40, 2), (42, 2), (44, 2), (46, 2), (48, 4), (52, 4),
         (56, 2), (58, 2), (60, 4), (64, 4), (68, 2), (72, 4), (88, 4), (92, 4), (96, 4), (100, 4), (104, 4), (108, 4), (112, 4), (116, 2),
         (118, 2), (124, 2), (128, 2), (130, 2), (132, 4), (144, 4), (160, 4), (164, 2), (166, 2), (168, 4), (172, 4)]


def value(rng, image, old, width):
    kind = rng.random()
    if kind < 0.35:
        return rng.choice(INTERESTING)
    if kind < 0.55:
        return old ^ 1 << rng.randrange(8 * width)
    if kind < 0.7:
        return old + rng.choice([-2, -1, 1, 2, 8, 16])
    if kind < 0.9:
        return rng.randrange(image.blocks + 8)
    return rng.getrandbits(8 * width)


def mutate(image, rng):
    """Damages the image once; returns what was done, in words."""
    seal = rng.random() < 0.6
    sealed = ' sealed' if seal else ''
    kind = rng.choices(['super', 'descriptor', 'inode', 'block', 'bitmap', 'journal', 'move', 'anywhere', 'backup', 'length'],
                       [10, 12, 30, 25, 5, 6, 5, 3, 3, 1])[0]

    def field(start, fields):
        offset, width = rng.choice(fields)
        old = int.from_bytes(image.data[start + offset:start + offset + width], 'little')
        new = value(rng, image, old, width)
        image.put(start + offset, width, new)
        return f'{offset:#x}/{width}: {old:#x} -> {new & (1 << 8 * width) - 1:#x}{sealed}'

    if kind == 'super':
        text = field(1024, SUPER)
        if seal:
            image.seal_super()
        return 'superblock ' + text
    group = rng.randrange(image.groups)
    if kind == 'descriptor':
        text = field(image.desc_at(group), [f for f in DESCRIPTOR if sum(f) <= image.desc_size])
        if seal:
            image.seal_descriptor(group)
        return f'descriptor {group} {text}'
    number = rng.choice(image.used)
    if kind == 'inode':
        if rng.random() < 0.3:
            number = rng.choice([2, 7, 8, 11])
        text = field(image.inode_at(number), [f for f in INODE if sum(f) <= image.inode_size])
        if seal:
            image.seal_inode(number)
        return f'inode {number} {text}'
    if kind in ('block', 'move'):
        nodes, content = image.maps(number)
        if image.u16(image.inode_at(number)) & 0xF000 != 0x4000 and number != 8 and kind == 'block':
            content = []
        if acl := image.u32(image.inode_at(number) + 104):
            nodes = nodes + [acl] * 3
        blocks = [b for b in nodes + content if b < image.blocks]
        if not blocks:
            number, blocks = 2, image.maps(2)[1] or [image.inode_tables[0]]
        block = rng.choice(blocks)
        at = block * image.block_size
        if kind == 'move':
            source = rng.choice([0, rng.randrange(image.blocks), image.inode_tables[group], image.block_bitmaps[group]])
            image.data[at:at + image.block_size] = image.data[source * image.block_size:(source + 1) * image.block_size].ljust(image.block_size, b'\0')
            return f'block {block} of inode {number}: the content of block {source}'
        texts = []
        for _ in range(rng.choice([1, 1, 2, 6])):
            places = 64 if rng.random() < 0.7 else image.block_size // 2
            texts.append(field(at + 2 * rng.randrange(places), [(0, 2), (0, 4), (0, 1), (1, 1)]))
        if seal:
            image.seal_block(number, block)
        return f'block {block} of inode {number} ' + ', '.join(texts)
    if kind == 'bitmap':
        block = rng.choice([image.block_bitmaps, image.inode_bitmaps])[group]
        start = block * image.block_size + rng.randrange(image.inodes_per_group // 8)
        length = rng.choice([1, 1, 16, image.block_size])
        fill = rng.choice([0, 255, rng.randrange(256)])
        for i in range(start, min(start + length, (block + 1) * image.block_size, len(image.data))):
            image.data[i] = fill
        if seal:
            image.seal_bitmaps(group)
        return f'bitmap {block}: {length} bytes of {fill:#x} at {start}{sealed}'
    if kind == 'journal':
        blocks = image.maps(8)[1] if image.compat & 4 else []
        if blocks:
            at = blocks[0] * image.block_size if rng.random() < 0.5 else rng.choice(blocks[:8]) * image.block_size
            text = field(at + 4 * rng.randrange(24), [(0, 4), (2, 2), (3, 1)])
            return 'journal ' + text
        kind = 'anywhere'
    if kind == 'backup':
        group = rng.choice([g for g in (1, 3) if g < image.groups] or [0])
        at = (image.first_data + group * image.per_group) * image.block_size
        return f'backup {group} ' + field(at, SUPER)
    if kind == 'length':
        new = rng.choice([1024, 2048, 4096, len(image.data) // 2, len(image.data) * 7 // 10, len(image.data) - 1, len(image.data) - image.block_size,
                          len(image.data) + 4096])
        image.length = new
        return f'length {new}'
    start, length = rng.randrange(max(1, len(image.data))), rng.choice([1, 512, image.block_size, 8 * image.block_size])
    length = min(length, len(image.data) - start)
    image.data[start:start + length] = rng.choice([bytes(length), b'\xff' * length, rng.randbytes(length)])
    return f'{length} bytes at {start}'
