#!/usr/bin/env python3
"""make_completions.py EXTSCRUB DIRECTORY: completions for bash, zsh and fish, from what --help says.

Made whenever the program is linked, so that they cannot lack an option, nor have one that is gone.
"""
import os
import re
import subprocess
import sys

program, directory = sys.argv[1:]


def help_of(*command):
    return subprocess.run([program, *command, '--help'], check=True, capture_output=True, text=True).stdout.splitlines()


def section(lines, title):
    """The name and the text of each line below a title."""
    entries = []
    for line in lines[lines.index(title) + 1:] if title in lines else []:
        if not line.startswith('  '):
            break
        entries.append(re.split(r'  +', line.strip(), maxsplit=1))
    return entries


class Option:
    def __init__(self, names, text):
        names, _, self.value = names.partition(' ')
        self.names = names.split(',')
        self.text = text
        self.words = self.value.split('|') if '|' in self.value else []
        self.is_file = self.value in ('FILE', 'DIR')


def options_of(lines):
    return [Option(*entry) for entry in section(lines, 'Options:')]


top = help_of()
commands = section(top, 'Commands:')
options = {'': options_of(top), **{name: options_of(help_of(name)) for name, _ in commands}}
arguments = {name: [each for each, _ in section(help_of(name), 'Arguments:')] for name, _ in commands}
CODES = "extscrub checks 2>/dev/null | awk 'NR > 1 { print $1 }'"


def bash():
    names = ' '.join(name for name, _ in commands)
    values, words = [], []
    for command, its in options.items():
        for option in its:
            pattern = '|'.join(f'{command}:{name}' for name in option.names)
            if option.words:
                values.append(f"    {pattern}) _extscrub_words '{' '.join(option.words)}'; return ;;")
            elif option.value:
                values.append(f'    {pattern}) ' + ('_extscrub_files; return ;;' if option.is_file else 'return ;;'))
        every = ' '.join(name for option in its for name in option.names)
        words.append(f"    {command}:-*) _extscrub_words '{every}' ;;")
    for command, _ in commands:
        if arguments[command] == ['CODE']:
            words.append(f'    {command}:*) _extscrub_words "$({CODES})" ;;')
        elif arguments[command]:
            words.append(f'    {command}:*) _extscrub_files ;;')
    return f'''# Completion of extscrub in bash, made from its --help.
_extscrub_words() {{ mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur"); }}
_extscrub_files() {{
  mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  compopt -o filenames 2>/dev/null
}}
_extscrub() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} command='' word
  COMPREPLY=()
  # bash takes --format=json apart at the equals sign.
  if [[ $cur == = ]]; then cur=''; elif [[ $prev == = ]]; then prev=${{COMP_WORDS[COMP_CWORD - 2]}}; fi
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in {names.replace(' ', '|')}) command=$word; break ;; esac
  done
  case $command:$prev in
{chr(10).join(values)}
  esac
  case $command:$cur in
{chr(10).join(words)}
    :*) _extscrub_words '{names}' ;;
  esac
}}
complete -F _extscrub extscrub
'''


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def zsh():
    def spec(option):
        text = '[' + re.sub(r'([\[\]:\\])', r'\\\1', option.text) + ']'
        if option.words:
            text += f':{option.names[-1].lstrip("-")}:({" ".join(option.words)})'
        elif option.value:
            text += f':{option.value}:' + ('_files' if option.is_file else ' ')
        both = f"({' '.join(option.names)})" if len(option.names) > 1 else ''
        suffix = {True: '=', False: '+'} if option.value else {True: '', False: ''}
        return [quoted(both + name + suffix[name.startswith('--')] + text) for name in option.names]

    def argument(command):
        its = arguments[command]
        if its == ['CODE']:
            return ["':code:_extscrub_codes'"]
        return ["'*:image:_files'"] if its and its[0].startswith('IMAGE') else [f"':{each}:_files'" for each in its]

    def specs(command):
        every = [each for option in options[command] for each in spec(option)]
        return every + (argument(command) if command else [])

    cases = '\n'.join(f"        {name})\n          _arguments -s -S \\\n            " +
                      ' \\\n            '.join(specs(name)) + '\n          ;;' for name, _ in commands)
    described = '\n'.join(f'    {quoted(name + ":" + text.replace(":", chr(92) + ":"))}' for name, text in commands)
    return f'''#compdef extscrub
# Completion of extscrub in zsh, made from its --help.
_extscrub_codes() {{
  local -a codes
  codes=(${{(f)"$({CODES})"}})
  compadd -a codes
}}
_extscrub() {{
  local curcontext=$curcontext state line
  local -a commands
  commands=(
{described}
  )
  _arguments -C \\
    {(" " + chr(92) + chr(10) + "    ").join(specs(''))} \\
    ':command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
{cases}
      esac
      ;;
  esac
}}
_extscrub "$@"
'''


def fish():
    def rule(condition, rest):
        return f"complete -c extscrub -n '{condition}' {rest}"

    lines = ['# Completion of extscrub in fish, made from its --help.', 'complete -c extscrub -f']
    lines += [rule('__fish_use_subcommand', f'-a {name} -d {quoted(text)}') for name, text in commands]
    for command, its in options.items():
        condition = f'__fish_seen_subcommand_from {command}' if command else '__fish_use_subcommand'
        for option in its:
            names = ' '.join(('-l ' if name.startswith('--') else '-s ') + name.lstrip('-') for name in option.names)
            value = ''
            if option.words:
                value = f" -x -a '{' '.join(option.words)}'"
            elif option.value:
                value = ' -r -F' if option.is_file else ' -x'
            lines.append(rule(condition, f'{names}{value} -d {quoted(option.text)}'))
        if command and arguments[command] == ['CODE']:
            lines.append(rule(condition, f"-x -a '({CODES.replace(chr(39), chr(34)).replace('$', chr(92) + '$')})'"))
        elif command and arguments[command]:
            lines.append(rule(condition, '-F'))
    return '\n'.join(lines) + '\n'


os.makedirs(directory, exist_ok=True)
for name, text in ('extscrub.bash', bash()), ('_extscrub', zsh()), ('extscrub.fish', fish()):
    with open(os.path.join(directory, name), 'w', encoding='ascii') as file:
        file.write(text)
