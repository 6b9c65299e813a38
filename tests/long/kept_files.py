#!/usr/bin/env python3
"""Count the files that a scrub loses without need (root, loop mounts).

  kept_files.py [--repair all|safe] [--only NAME] EXTSCRUB IMAGE_DIR

With --repair=all each image is mended twice, by e2fsck -fy and by extscrub scrub --repair=all, and both results are
mounted: a file that can be read after e2fsck must have the same contents under the same path after extscrub, unless
extscrub reports its loss. With --repair=safe the other side is the damaged image itself, mounted read-only.
IMAGE_DIR holds *.img or *.img.zst files. The last line is `images N, files F: lost L, altered A, mounts that failed M`; exit status 0 when
L and A are 0.
"""
import argparse, glob, hashlib, json, os, shutil, subprocess, sys, tempfile


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=120)


def contents(path):
    """What can be compared of one name; None when it cannot be read."""
    try:
        st = os.lstat(path)
        if os.path.islink(path):
            return 'link', os.readlink(path)
        if not os.path.isfile(path):
            return None
        # A sparse file of terabytes is compared by its size and its first and last bytes.
        with open(path, 'rb', buffering=0) as f:
            if st.st_size > 1 << 28:
                head = f.read(1 << 20)
                f.seek(-(1 << 20), os.SEEK_END)
                return 'file', st.st_size, hashlib.sha1(head + f.read()).digest()
            digest = hashlib.sha1()
            while block := f.read(1 << 20):
                digest.update(block)
            return 'file', st.st_size, digest.digest()
    except OSError:
        return None


def tree(image):
    """{path: (inode, contents)} of all that can be read; None when the kernel does not mount the image."""
    with tempfile.TemporaryDirectory() as mnt:
        if run('mount', '-o', 'ro,loop,noload', image, mnt).returncode != 0 and run('mount', '-o', 'ro,loop', image, mnt).returncode != 0:
            return None
        try:
            files = {}
            for directory, _, names in os.walk(mnt, onerror=lambda e: None):
                for name in names:
                    path = os.path.join(directory, name)
                    if (c := contents(path)) is not None:
                        files['/' + os.path.relpath(path, mnt)] = (os.lstat(path).st_ino, c)
            return files
        finally:
            run('umount', mnt)


def unpack(source, target):
    if source.endswith('.zst'):
        subprocess.check_call(['zstd', '-dqf', '--sparse', source, '-o', target])
    else:
        subprocess.check_call(['cp', '--sparse=always', source, target])


def reported(report):
    """Paths, inodes and texts of the losses that the scrub reports."""
    losses = [l for i in report['images'] if i['repairs'] for l in i['repairs']['losses']]
    return {l['path'] for l in losses if l['path']}, {l['inode'] for l in losses if l['inode']}, [l['what'] for l in losses]


def is_renamed(inode, c, after, whats):
    """The same inode with the same contents has another name, and a report speaks of that name."""
    names = [os.path.basename(p) for p, there in after.items() if there == (inode, c)]
    return any(f"'{name}'" in what for name in names for what in whats)


def is_reported(path, inode, paths, inodes):
    return inode in inodes or any(path == p or path.startswith(p.rstrip('/') + '/') for p in paths if p != '/')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--repair', choices=['all', 'safe'], default='all')
    parser.add_argument('--only', default='')
    parser.add_argument('extscrub')
    parser.add_argument('images')
    args = parser.parse_args()
    images = files = lost = altered = unmounted = 0
    work = tempfile.mkdtemp()
    try:
        for source in sorted(glob.glob(os.path.join(args.images, '*.img*'))):
            if args.only not in source:
                continue
            name = os.path.basename(source).removesuffix('.zst')
            theirs, ours = os.path.join(work, 'theirs.img'), os.path.join(work, 'ours.img')
            unpack(source, theirs)
            unpack(source, ours)
            if args.repair == 'all':
                run('e2fsck', '-fy', theirs)
            scrub = run(args.extscrub, 'scrub', '--repair=' + args.repair, '--format=json', ours)
            paths, inodes, whats = reported(json.loads(scrub.stdout))
            before, after = tree(theirs), tree(ours)
            images += 1
            if before is None or after is None:
                unmounted += 1
                # One that only the other side's image can be mounted for has lost everything.
                if before and after is None:
                    print(f'{name}: cannot be mounted after the scrub')
                    lost += len(before)
                continue
            files += len(before)
            for path, (inode, c) in before.items():
                there = after.get(path)
                if there and there[1] == c:
                    continue
                if args.repair == 'all' and (is_reported(path, inode, paths, inodes) or is_renamed(inode, c, after, whats)):
                    continue
                if there:
                    altered += 1
                    print(f'{name}: {path} (inode {inode}) has other contents: {c[1]} bytes, then {there[1][1]}')
                else:
                    lost += 1
                    print(f'{name}: {path} (inode {inode}) is not there')
    finally:
        shutil.rmtree(work)
    print(f'images {images}, files {files}: lost {lost}, altered {altered}, mounts that failed {unmounted}')
    sys.exit(1 if lost or altered else 0)


main()
