#!/usr/bin/env python3
"""Removes each guard of tests/house/mutants.txt in turn, and sees that its tests notice.

  mutants.py [--work DIR] [--jobs N] [--only WORD] SOURCE

The source is copied to DIR (a temporary one), built there once, and then again for each guard that is taken out; the tests
that the guard names have to fail. Prints those that do not. Exit status 1 when there is one, or when a guard is not where
the list says.
"""
import argparse, os, subprocess, sys, tempfile


def read_list(path):
    """[(name, file, tests, old, new)]"""
    mutants = []
    for line in open(path):
        line = line.rstrip('\n')
        if line.startswith('== '):
            mutants.append({'name': line[3:], 'old': [], 'new': []})
        elif line.startswith('in '):
            mutants[-1]['file'] = line[3:]
        elif line.startswith('noticed by '):
            mutants[-1]['tests'] = line[11:].split()
        elif line.startswith(('-', '+')):
            mutants[-1]['old' if line[0] == '-' else 'new'].append(line[1:])
        elif line and not line.startswith('#'):
            sys.exit(f'{path}: what is this? {line}')
    return mutants


def run(command, **options):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


class Tree:
    def __init__(self, source, work, jobs):
        self.source, self.jobs = os.path.join(work, 'source'), jobs
        self.build_directory = os.path.join(work, 'build')
        os.makedirs(self.source, exist_ok=True)
        files = run(['git', '-C', source, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'], check=True).stdout
        packed = subprocess.run(['tar', '-C', source, '--null', '-T', '-', '-cf', '-'], input=files, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(['tar', '-C', self.source, '-xf', '-'], input=packed, check=True)
        run(['cmake', '-S', self.source, '-B', self.build_directory, '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Dev',
             '-DCMAKE_CXX_FLAGS_DEV=-O0 -g0', '-DEXTSCRUB_UNITY=ON'], check=True)

    def build(self):
        return run(['ninja', '-C', self.build_directory, f'-j{self.jobs}', 'extscrub', 'unit-tests'])

    def passes(self, test):
        """None where the test was skipped."""
        if test.startswith('e2e_'):
            status = run([f'{self.source}/tests/e2e/{test}.sh', f'{self.build_directory}/extscrub'], timeout=600).returncode
            return None if status == 77 else status == 0
        try:
            return run([f'{self.build_directory}/tests/unit-tests', '--filenames-as-tags', '--abort', f'[#{test}]'],
                       timeout=600).returncode == 0
        except subprocess.TimeoutExpired:
            return False


def look_at(tree, mutant):
    """Why the guard's removal is a fault of the tests; empty when it was noticed."""
    path = os.path.join(tree.source, mutant['file'])
    text = open(path).read()
    old, new = '\n'.join(mutant['old']), '\n'.join(mutant['new'])
    if text.count(old) != 1:
        return f'{text.count(old)} times in {mutant["file"]}: mend the list'
    with open(path, 'w') as f:
        f.write(text.replace(old, new))
    try:
        built = tree.build()
        if built.returncode != 0:
            return 'does not compile without it: mend the list\n' + '\n'.join(
                line for line in built.stdout.decode().split('\n') if 'error' in line)
        results = [tree.passes(test) for test in mutant['tests']]
        if False in results:
            return ''
        return 'its tests are skipped here' if all(r is None for r in results) else 'NOT NOTICED'
    finally:
        with open(path, 'w') as f:
            f.write(text)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--work')
    ap.add_argument('--jobs', type=int, default=os.cpu_count())
    ap.add_argument('--only', default='')
    ap.add_argument('source')
    a = ap.parse_args()
    mutants = [m for m in read_list(os.path.join(a.source, 'tests/house/mutants.txt')) if a.only in m['name']]
    with tempfile.TemporaryDirectory() as temporary:
        tree = Tree(os.path.realpath(a.source), a.work or temporary, a.jobs)
        if (built := tree.build()).returncode != 0:
            sys.exit(built.stdout.decode()[-2000:] + '\nit does not build')
        for test in sorted({t for m in mutants for t in m['tests']}):
            if tree.passes(test) is False:
                sys.exit(f'{test} fails although nothing was taken out')
        left = 0
        for mutant in mutants:
            why = look_at(tree, mutant)
            print(f'{mutant["name"]}: {why or "noticed"}', flush=True)
            left += bool(why)
        print(f'{len(mutants)} guards, {left} not noticed')
        sys.exit(1 if left else 0)


main()
