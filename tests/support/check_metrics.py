#!/usr/bin/env python3
"""check_metrics.py FILE...: metrics against the text exposition format of Prometheus, version 0.0.4.

Beside the grammar of a line: a family has its HELP and TYPE before its samples, all of them in one piece; no sample is
there twice; and a file ends with the end of a line.
"""
import re
import sys

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf'({NAME})(?:\{{({LABEL}(?:,{LABEL})*)?,?\}})? (\S+)(?: (-?\d+))?')
HELP = re.compile(rf'# HELP ({NAME}) (?:[^\\\n]|\\[\\n])*')
TYPE = re.compile(rf'# TYPE ({NAME}) (counter|gauge|histogram|summary|untyped)')
failures = 0


def fail(text):
    global failures
    failures += 1
    print('FAILED: ' + text, file=sys.stderr)


def is_value(text):
    return re.fullmatch(r'[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|Inf)|NaN', text) is not None


samples = 0
for name in sys.argv[1:]:
    data = open(name, 'rb').read()
    try:
        text = data.decode('utf-8')
    except UnicodeDecodeError as error:
        fail(f'{name}: not UTF-8: {error}')
        continue
    if not text.endswith('\n'):
        fail(f'{name}: the last line does not end')
    helped, typed, ended, seen, family = set(), set(), set(), set(), None
    for number, line in enumerate(text.split('\n')[:-1], 1):
        place = f'{name}:{number}'
        if found := HELP.fullmatch(line) or TYPE.fullmatch(line):
            is_type = line.startswith('# TYPE')
            of = found[1]
            if of in (typed if is_type else helped):
                fail(f'{place}: a second {"TYPE" if is_type else "HELP"} of {of}')
            if of in ended or any(each.startswith(of + '{') for each in seen):
                fail(f'{place}: it stands behind the samples of {of}')
            (typed if is_type else helped).add(of)
        elif found := SAMPLE.fullmatch(line):
            of, labels, value = found[1], found[2] or '', found[3]
            samples += 1
            if of != family:
                if of in ended:
                    fail(f'{place}: the samples of {of} are not in one piece')
                ended.add(family)
                family = of
            if of not in helped or of not in typed:
                fail(f'{place}: {of} has no HELP or no TYPE before it')
            names = [label.split('=')[0] for label in re.findall(LABEL, labels)]
            if len(names) != len(set(names)):
                fail(f'{place}: a label is there twice')
            series = of + '{' + ','.join(sorted(re.findall(LABEL, labels)))
            if series in seen:
                fail(f'{place}: this sample is there twice')
            seen.add(series)
            if not is_value(value):
                fail(f'{place}: {value} is no value')
        else:
            fail(f'{place}: neither a sample nor HELP nor TYPE: {line!r}')
print(f'{len(sys.argv) - 1} files, {samples} samples')
sys.exit(1 if failures else 0)
