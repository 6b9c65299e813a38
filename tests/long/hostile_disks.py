"""Disks and containers for hostile.py: partition tables, virtual disks and compressed files, and how they are damaged."""
import gzip
import lzma
import os
import struct
import subprocess
import zlib

from hostile_images import ENV, INTERESTING

SECTOR = 512


def run(*command):
    done = subprocess.run(command, env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f'{command}: {done.stdout.decode()}')


def partitioned(path, image, kind):
    """A disk with `image` in two partitions; returns the sectors that its tables lie in."""
    sectors = len(image) // SECTOR
    first = [2048, 2048 + sectors]
    disk = bytearray((2048 + 2 * sectors + 2048) * SECTOR)
    with open(path, 'wb') as f:
        f.truncate(len(disk))
    if kind == 'gpt':
        lines = ['label: gpt', 'label-id: 6F0A4BD2-5C0E-4C7D-9A55-7D1F6F3F2B11'] + [f'start={s}, size={sectors}' for s in first]
    elif kind == 'mbr':
        lines = ['label: dos', 'label-id: 0x1234'] + [f'start={s}, size={sectors}, type=83' for s in first]
    else:  # logical partitions, each behind an extended boot record
        first = [2048, 2048 + sectors + 1024]
        lines = ['label: dos', 'label-id: 0x1234', f'start=1024, size={2 * sectors + 2048}, type=5'] + [f'start={s}, size={sectors}, type=83' for s in first]
    done = subprocess.run(['sfdisk', '-q', path], env=ENV, input='\n'.join(lines).encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(done.stdout.decode())
    with open(path, 'r+b') as f:
        for s in first:
            f.seek(s * SECTOR)
            f.write(image)
    data = open(path, 'rb').read()
    last = len(data) // SECTOR
    if kind == 'gpt':
        return [0, 1, 1, 2, 2, 3, last - 1, last - 33]
    return [0] if kind == 'mbr' else [0] + [s for s in range(1, last) if s not in range(first[0], first[0] + sectors)
                                            and s not in range(first[1], first[1] + sectors) and data[s * SECTOR + 510:s * SECTOR + 512] == b'\x55\xaa']


def compress(path, image, kind):
    if kind == 'zst':
        run('zstd', '-q', '-f', '-1', image, '-o', path)
        return
    data = open(image, 'rb').read()
    with open(path, 'wb') as f:
        f.write(gzip.compress(data, 1, mtime=0) if kind == 'gz' else lzma.compress(data, preset=0))


VIRTUAL = {'qcow2': 'qcow2', 'vmdk': 'vmdk', 'vhdx': 'vhdx', 'vhd': 'vpc', 'vdi': 'vdi'}
COMPRESSED = ['gz', 'zst', 'xz']
TABLES = ['gpt', 'mbr', 'ebr']
KINDS = list(VIRTUAL) + COMPRESSED + TABLES + ['bomb']


def bases(folder, image):
    """Makes a disk of each kind in `folder`; returns {kind: (path, sectors of tables)}."""
    out, data = {}, open(image, 'rb').read()
    for kind, driver in VIRTUAL.items():
        path = os.path.join(folder, f'disk.{kind}')
        run('qemu-img', 'convert', '-f', 'raw', '-O', driver, image, path)
        out[kind] = (path, [])
    for kind in COMPRESSED:
        path = os.path.join(folder, f'image.img.{kind}')
        compress(path, image, kind)
        out[kind] = (path, [])
    for kind in TABLES:
        path = os.path.join(folder, f'{kind}.img')
        out[kind] = (path, partitioned(path, data, kind))
    return out


def bomb(rng, head):
    """(suffix, bytes) of a small file that unpacks into gigabytes; `head`: what it begins with, maybe an ext4 superblock."""
    suffix, size = rng.choice(COMPRESSED), rng.choice([1 << 20, 1 << 26, 1 << 31])
    if rng.random() < 0.5:
        head = bytes(2048)
    if suffix == 'zst':  # blocks of one repeated byte
        raw = b''.join(struct.pack('<I', len(head) << 3)[:3] + head for _ in (0,))
        rle = struct.pack('<I', (128 << 10) << 3 | 1 << 1)[:3] + b'\0'
        blocks = raw + rle * min(size // (128 << 10) * rng.choice([1, 64]), 1 << 20)
        end = struct.pack('<I', 1 << 3 | 1 << 1 | 1)[:3] + b'\0'
        return suffix, b'\x28\xb5\x2f\xfd' + bytes([0x00, 0x58]) + blocks + end
    size = min(size, 1 << 29)
    if suffix == 'gz':
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    else:
        packer = lzma.LZMACompressor(preset=0)
    out, zeros = [packer.compress(head)], bytes(1 << 20)
    for _ in range(size >> 20):
        out.append(packer.compress(zeros))
    out.append(packer.flush())
    return suffix, b''.join(out)


# What a header may name instead of bytes of its own. Only the canary, never a file of the host: a program that fails writes there.
def names(canary):
    return [canary.encode(), b'json:{"driver":"file","filename":"' + canary.encode() + b'"}', b'nbd://127.0.0.1:10809/', b'../canaries/canary', 
            b'fat:rw:' + os.path.dirname(canary).encode(), b'nbd+unix:///?socket=' + canary.encode()]


def qcow2_names_file(data, rng, canary):
    name = rng.choice(names(canary))
    if rng.random() < 0.5:  # a backing file
        at = 1024
        data[at:at + len(name)] = name
        struct.pack_into('>QI', data, 8, at, len(name))
        return f'backing file {name!r}'
    incompatible = struct.unpack_from('>Q', data, 72)[0] | 4
    struct.pack_into('>Q', data, 72, incompatible)
    if rng.random() < 0.5:  # raw external data
        struct.pack_into('>Q', data, 88, struct.unpack_from('>Q', data, 88)[0] | 2)
    at = struct.unpack_from('>I', data, 100)[0]
    extension = struct.pack('>II', 0x44415441, len(name)) + name
    extension += bytes(-len(extension) % 8)
    data[at:at + len(extension) + 8] = extension + bytes(8)
    return f'data file {name!r}'


def vmdk_names_file(data, rng, canary):
    name = rng.choice(names(canary)).decode()
    descriptor = ('# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=' + rng.choice(['ffffffff', '12345678']) + '\ncreateType="' +
                  rng.choice(['monolithicFlat', 'monolithicSparse', 'twoGbMaxExtentFlat']) + '"\nparentFileNameHint="' + name + '"\n' +
                  f'RW 16384 FLAT "{name}" 0\nddb.virtualHWVersion = "4"\nddb.adapterType = "ide"\n').encode()
    if rng.random() < 0.5:
        data[:] = descriptor
        return 'a descriptor alone that names ' + name
    at = SECTOR * struct.unpack_from('<Q', data, 28)[0]
    if at == 0 or at + 20 * SECTOR > len(data):
        at = SECTOR
    data[at:at + len(descriptor) + 1] = descriptor + b'\0'
    return 'a descriptor in the file that names ' + name


def write_number(data, at, width, new, order):
    if at + width <= len(data):
        data[at:at + width] = (new & (1 << 8 * width) - 1).to_bytes(width, order)


def seal_gpt(data):
    """Checksums of the first header and its entries made to fit."""
    if data[SECTOR:SECTOR + 8] != b'EFI PART':
        return
    header, = struct.unpack_from('<I', data, SECTOR + 12)
    entries, count, size = struct.unpack_from('<QII', data, SECTOR + 72)
    if entries * SECTOR + count * size <= len(data):
        struct.pack_into('<I', data, SECTOR + 88, zlib.crc32(data[entries * SECTOR:entries * SECTOR + count * size]))
    if 24 <= header <= SECTOR:
        struct.pack_into('<I', data, SECTOR + 16, 0)
        struct.pack_into('<I', data, SECTOR + 16, zlib.crc32(data[SECTOR:SECTOR + header]))


def mutate_table(data, sectors, rng, kind):
    texts = []
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.choice(sectors) * SECTOR
        if kind == 'gpt' and at > 0:
            at += rng.choice([8, 12, 16, 24, 32, 40, 48, 72, 80, 84, 88] if data[at:at + 8] == b'EFI PART' else [0, 16, 32, 40, 48, 128, 160, 168])
        else:
            at += 446 + 16 * rng.randrange(4) + rng.choice([0, 4, 8, 12])
        width = rng.choice([1, 4, 4, 8])
        new = rng.choice(INTERESTING + [1024, 2048, 2049, 4096, len(data) // SECTOR, len(data) // SECTOR - 1, rng.getrandbits(32)])
        write_number(data, at, width, new, 'little')
        texts.append(f'{at:#x}/{width} = {new:#x}')
    if kind == 'gpt' and rng.random() < 0.7:
        seal_gpt(data)
        texts.append('sealed')
    if rng.random() < 0.1:
        new = rng.choice([SECTOR, 1024, 4 * SECTOR, len(data) // 2, len(data) - SECTOR])
        del data[new:]
        texts.append(f'length {new}')
    return ', '.join(texts)


def mutate(kind, data, sectors, rng, canary):
    """Damages a disk; returns what was done, in words."""
    if kind in TABLES:
        return mutate_table(data, sectors, rng, kind)
    roll = rng.random()
    if kind == 'qcow2' and roll < 0.35:
        return qcow2_names_file(data, rng, canary)
    if kind == 'vmdk' and roll < 0.35:
        return vmdk_names_file(data, rng, canary)
    if roll < 0.5:
        new = rng.choice([1, 16, 100, 512, len(data) // 3, len(data) - 1, len(data) - 512])
        if rng.random() < 0.5:
            del data[new:]
            return f'length {new}'
    texts = []
    for _ in range(rng.choice([1, 1, 2, 8])):
        reach = rng.choice([128, 512, 4096, len(data)])
        at = rng.randrange(min(reach, len(data)))
        width = rng.choice([1, 2, 4, 8])
        new = rng.choice(INTERESTING + [rng.getrandbits(8 * width), 1 << 40, 1 << 62])
        write_number(data, at, width, new, rng.choice(['little', 'big']))
        texts.append(f'{at:#x}/{width} = {new:#x}')
    return ', '.join(texts)
