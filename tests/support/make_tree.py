#!/usr/bin/env python3
"""make_tree.py DIR: the tree of files that the tests' images hold. Nearly every name in it is used by some test."""
import os
import sys

root = sys.argv[1]


def put(name, runs):
    """A file of (offset, length) runs of data; between them are holes. No zeros: mke2fs leaves holes for those."""
    with open(os.path.join(root, name), 'wb') as f:
        for offset, length in runs:
            f.seek(offset)
            f.write(b'd' * length)


for d in ('dir/sub/deeper', 'many'):
    os.makedirs(os.path.join(root, d))
for i in range(1, 41):
    put(f'dir/file{i}', [(0, i * 377)])
put('small', [(0, 900)])
put('other', [(0, 900)])
put('three', [(0, 3000)])   # three blocks of 1 KiB
put('big', [(0, 400000)])   # a double-indirect map with blocks of 1 KiB
put('empty', [])
put('runs3', [(i * 131072, 65536) for i in range(3)])      # three extents, in the inode
put('runs10', [(i * 131072, 65536) for i in range(10)])    # a leaf below the root
put('runs600', [(i * 8192, 1024) for i in range(600)])     # with blocks of 1 KiB, two levels below the root
os.symlink('target', os.path.join(root, 'link'))           # fast: in the inode
os.symlink('l' * 200, os.path.join(root, 'longlink'))      # slow: in a block
os.link(os.path.join(root, 'small'), os.path.join(root, 'hard'))
os.mkfifo(os.path.join(root, 'pipe'))
for i in range(200):
    put(f'many/a-rather-long-name-of-an-empty-file-{i}', [])
for path, dirs, files in os.walk(root, topdown=False):
    for name in files + ['.']:
        os.utime(os.path.join(path, name), (1700000000, 1700000000), follow_symlinks=False)
