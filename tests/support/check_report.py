#!/usr/bin/env python3
"""check_report.py SCHEMA PAGE REPORT...: JSON reports against the schema, and the schema against its manual page.

The page has a heading "Members of NAME" for each object of the schema, and below it a tagged paragraph for each member;
the words that a member may have stand in it in bold.
Members that no report has with another value than null are named at the end: nothing was proven of them.
"""
import json
import re
import sys

import jsonschema

schema_file, page_file, *reports = sys.argv[1:]
schema = json.load(open(schema_file))
objects = schema['$defs']
failures = 0


def fail(text):
    global failures
    failures += 1
    print('FAILED: ' + text, file=sys.stderr)


jsonschema.Draft202012Validator.check_schema(schema)
kinds = {'images': 'run', 'problems': 'catalogue', 'problem': 'explanation'}
seen = set()


def remember(value, name):
    """Notes which members of the object `name` have a value."""
    for member, inner in value.items():
        part = objects[name]['properties'].get(member)
        if inner is None or inner == [] or part is None:
            continue
        seen.add((name, member))
        reference = re.search(r'"#/\$defs/(\w+)"', json.dumps(part))
        if reference:
            for each in inner if isinstance(inner, list) else [inner]:
                remember(each, reference[1])


for report in reports:
    try:
        document = json.load(open(report))
    except ValueError as error:
        fail(f'{report}: not JSON: {error}')
        continue
    # Told by the one that is meant: the errors of all three would hide what is wrong.
    kind = next((kinds[key] for key in kinds if key in document), None)
    if kind is None:
        fail(f'{report}: none of {", ".join(kinds)} is in it')
        continue
    validator = jsonschema.Draft202012Validator({**schema, 'oneOf': [{'$ref': '#/$defs/' + kind}]})
    errors = list(validator.iter_errors(document))
    for error in errors:
        best = jsonschema.exceptions.best_match([error])
        place = '/'.join(str(step) for step in best.absolute_path)
        fail(f'{report}: at {place or "the top"}: {best.message[:300]}')
    if not errors:
        remember(document, kind)

# The page, both ways. What a member's words mean is said once, where it is the same in several objects.
described, words, name, is_tag, members = {}, {}, None, False, []
for line in open(page_file):
    line = line.rstrip('\n').replace('\\-', '-')
    heading = re.match(r'\.SS Members of (\w+)', line)
    if line.startswith(('.SH', '.SS')):
        name, members = (heading[1] if heading else None), []
        if name:
            described[name] = set()
    elif name and is_tag:
        members = re.findall(r'[a-z0-9_]+', line.split(' ', 1)[1])
        described[name].update(members)
    elif line.startswith(('.B ', '.BR ')):
        for member in members:
            words.setdefault(member, set()).add(line.split()[1])
    is_tag = line == '.TP'
for name in sorted(set(objects) | set(described)):
    members = set(objects.get(name, {'properties': {}})['properties'])
    for member in sorted(members ^ described.get(name, set())):
        where = 'the schema, but not in the manual page' if member in members else 'the manual page only'
        fail(f'{name}.{member} is in {where}')
    for member in sorted(members):
        lacking = {word for word in objects[name]['properties'][member].get('enum', []) if word} - words.get(member, set())
        if lacking:
            fail(f'{name}.{member}: the manual page lacks {", ".join(sorted(lacking))}')

print(f'{len(reports)} reports')
missing = [f'{name}.{member}' for name in objects for member in objects[name]['properties'] if (name, member) not in seen]
print('without a value in all of them: ' + (', '.join(missing) or 'none'))
sys.exit(1 if failures else 0)
