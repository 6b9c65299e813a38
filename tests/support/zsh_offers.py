#!/usr/bin/env python3
"""zsh_offers.py FUNCTIONS SCRATCH: what zsh offers at the end of each command line that it reads, and an empty line.

zsh completes in a terminal only: it gets one, its own compadd notes what is offered, and a key completes and says so.
"""
import os
import pty
import select
import subprocess
import sys
import time

functions, scratch = sys.argv[1:]
offered, done, dump, setup = (os.path.join(scratch, name) for name in ('offered', 'done', 'dump', 'setup.zsh'))

# Made in a terminal, the list of completion functions takes a minute.
subprocess.run(['zsh', '-f', '-c', f'fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -d {dump}'], check=True)
with open(setup, 'w') as file:
    file.write(f'''fpath=({functions} $fpath)
autoload -Uz compinit
compinit -C -d {dump}
unsetopt auto_list
compadd() {{
  local -a offered
  builtin compadd -A offered "$@"
  print -rl -- "${{offered[@]}}" >>{offered}
  builtin compadd "$@"
}}
show() {{ zle complete-word; zle kill-whole-line; print -rn >{done} }}
zle -N show
bindkey '^T' show
print -rn >{done}
''')
pid, terminal = pty.fork()
if pid == 0:
    os.execvpe('zsh', ['zsh', '-f', '-i'], {**os.environ, 'TERM': 'xterm'})


def type_in(text):
    """Types, and waits until the file `done` is there; what zsh prints meanwhile is read, so that it does not block."""
    os.write(terminal, text.encode())
    end = time.monotonic() + 60
    while not os.path.exists(done):
        if time.monotonic() > end:
            sys.exit('zsh does not answer')
        if select.select([terminal], [], [], 0.02)[0]:
            os.read(terminal, 65536)
    os.remove(done)


type_in(f'. {setup}\n')
for line in sys.stdin:
    open(offered, 'w').close()
    type_in(line.rstrip('\n') + '\x14')
    print(''.join(sorted({each for each in open(offered) if each != '\n'})), flush=True)
os.kill(pid, 9)
